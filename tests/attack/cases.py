"""The fuzzer's cases: case N of seed S is the same everywhere."""

from __future__ import annotations

import json
from functools import cache
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from tests.attack import corpus, deciding, hosted, messages, relays
from tests.attack.framing import raw_case
from tests.attack.mutate import TEXTS, Mutator, mutate_bytes
from tests.attack.target import ADMIN, ANN, MODELS, Target
from tests.attack.verdict import Form
from tests.attack.wire import BINARY, CONTINUATION, TEXT, frame, request

SMALLER = 300_000  # bytes of a mutant at most

_BODIES = ("/responses", "/responses", "/responses", "/responses/input_tokens", "/responses/compact")
_UPLOADS = (
    "hi",
    "# A\n\nThe fund lapsed.\n" * 50,
    "",
    "\x00",
    "{}",
    "%PDF-1.4\n",
    "PK\x03\x04",
    "<html><p>a",
    "\xff\xfe",
)
_NAMES = (
    "a.txt",
    "a.md",
    "a.html",
    "a.pdf",
    "a.docx",
    "a.json",
    "",
    "..",
    "../../a",
    "a\\b",
    "ü.txt",
    "a" * 300,
    "\x00",
    "a\x00.txt",
    "CON",
    ".",
    "a/b/c.py",
    "\ud800",
)


CHAT = "/chat/completions"


class Case(NamedTuple):
    """One request. `hangs`: it may be incomplete, so that no answer is one; `form`: of the errors that it may get."""

    data: bytes
    method: str = "POST"
    path: str = ""
    body: bytes = b""
    hangs: bool = False
    form: Form = ""


class Known(NamedTuple):
    """Ids of things that are there, in the place of the documents' variables."""

    response: str
    conversation: str
    item: str
    file: str
    vector_store: str = "vs_0"
    batch: str = "vsfb_0"
    container: str = "cntr_0"
    container_file: str = "cfile_0"
    upload: str = "upload_0"
    job: str = "batch_0"
    message_batch: str = "msgbatch_0"
    endpoint: str = "whe_0"
    requests: str = "file-0"
    key: str = "key_0"
    chat: str = "chatcmpl_0"

    def of(self, variable: str, path: str) -> str:
        """Return the id that a variable of a path stands for."""
        if variable == "file_id" and "containers" in path:
            return self.container_file
        return str(getattr(self, variable.removesuffix("_id"), "x"))


@cache
def _mutator() -> Mutator:
    random = Random(0)
    samples = [
        corpus.sample(random, one.document, one.body) for one in corpus.operations() for _ in range(8) if one.body
    ]
    more = [hosted.request(random, "vs_0", "cntr_0", "file-0") for _ in range(20)]
    return Mutator(corpus.types(), [*corpus.golden(), *samples, *more])


@cache
def _messages_mutator() -> Mutator:
    return Mutator(messages.types(), messages.samples())


def form(parts: list[tuple[str, str | None, bytes]], boundary: str = "b") -> bytes:
    """Return a form's body, of names, file names and contents."""
    body = b""
    for name, filename, content in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'
        body += head.encode("utf-8", "surrogatepass") + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


FORM = (("content-type", "multipart/form-data; boundary=b"),)


async def known(target: Target) -> Known:
    """Make the things whose ids the cases use."""
    response = await target.json("POST", "/v1/responses", {"model": "scripted", "input": "/think a\nhi"})
    conversation = await target.json(
        "POST", "/v1/conversations", {"items": [{"type": "message", "role": "user", "content": "hi"}]}
    )
    items = await target.json("GET", f"/v1/conversations/{conversation['id']}/items")
    parts = [("purpose", None, b"assistants"), ("file", "a.txt", b"The fund lapsed on Monday.")]
    uploaded = await target.ask("POST", "/v1/files", form(parts), key=ANN, headers=FORM)
    file = json.loads(uploaded.body)["id"]
    store = (await target.json("POST", "/v1/vector_stores", {"name": "v", "file_ids": [file]}))["id"]
    batch = await target.json("POST", f"/v1/vector_stores/{store}/file_batches", {"file_ids": [file]})
    announced = {"filename": "a.txt", "purpose": "assistants", "bytes": 26, "mime_type": "text/plain"}
    upload = (await target.json("POST", "/v1/uploads", announced))["id"]
    found = Known(response["id"], conversation["id"], items["data"][0]["id"], file, store, batch["id"], upload=upload)
    found = found._replace(**await _batches(target))
    kept = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}], "store": True}
    chat = (await target.json("POST", "/v1/chat/completions", kept))["id"]
    key = (await target.json("POST", "/v1/admin/keys", {"name": "a"}, key=ADMIN))["id"]
    found = found._replace(chat=chat, key=key)
    made = await target.ask("POST", "/v1/containers", {"name": "c"}, key=ANN)
    if made.status == 200:  # there is a sandbox on this machine
        container = json.loads(made.body)["id"]
        kept = await target.json("POST", f"/v1/containers/{container}/files", {"file_id": file})
        found = found._replace(container=container, container_file=kept["id"])
    return found


async def _batches(target: Target) -> dict[str, str]:
    body = {"model": "scripted", "input": "hi"}
    line = json.dumps({"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": body})
    parts = [("purpose", None, b"batch"), ("file", "b.jsonl", line.encode())]
    uploaded = await target.ask("POST", "/v1/files", form(parts), key=ANN, headers=FORM)
    file = json.loads(uploaded.body)["id"]
    wanted = {"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"}
    job = await target.json("POST", "/v1/batches", wanted)
    params = {"model": "scripted", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    other = await target.json("POST", "/v1/messages/batches", {"requests": [{"custom_id": "1", "params": params}]})
    return {"job": job["id"], "message_batch": other["id"], "requests": file}


def http_case(seed: int, number: int, ids: Known) -> Case:
    """Return a case."""
    random = Random(f"{seed}/http/{number}")
    kind = random.random()
    if kind < 0.1:
        data = raw_case(random, ANN)
        return Case(data, data[:40].split(b" ")[0].decode("latin-1"), hangs=True)
    if kind < 0.3:
        path = "/v1" + random.choice(_BODIES)
        fields = _fields(random, random.choice(corpus.golden()))
        return _case("POST", path, _mutator().mutate(random, fields)[:SMALLER])
    if kind < 0.33:
        return _case("POST", "/v1" + random.choice(_BODIES), random.choice(corpus.refused()))
    if kind < 0.56:
        return _messages(random)
    if kind < 0.66:
        fields = hosted.request(random, ids.vector_store, ids.container, ids.file)
        fields["stream"] = random.random() < 0.5
        body = _mutator().mutate(random, fields) if random.random() < 0.8 else msgspec.json.encode(fields)
        return _case("POST", "/v1/responses", body[:SMALLER])
    if kind < 0.7:
        return _decided(random)
    return _documented(random, ids)


def _decided(random: Random) -> Case:
    native = random.random() < 0.7
    fields = {**(deciding.decision if native else deciding.systemone)(random), "model": random.choice(MODELS)}
    body = _mutator().mutate(random, fields) if random.random() < 0.8 else msgspec.json.encode(fields)
    return _case("POST", "/v1/decisions" if native else "/v1/systemone", body[:SMALLER])


def _messages(random: Random) -> Case:
    fields = {
        **random.choice(messages.samples()),
        "model": random.choice((*MODELS, "claude", "claude", "anthropic/echo")),
    }
    if random.random() < 0.5:
        fields["stream"] = True
    path = "/v1" + random.choice(messages.PATHS)
    return _case("POST", path, _messages_mutator().mutate(random, fields)[:SMALLER], "messages")


def _documented(random: Random, ids: Known) -> Case:
    operation = random.choice(corpus.operations())
    path = "/v1" + operation.path
    while "{" in path:
        name = path[path.index("{") + 1 : path.index("}")]
        id = random.choice(MODELS) if name == "model" else ids.of(name, path)
        other = random.choice((id, id, id, quote(random.choice(TEXTS)[:200], safe="") or "x", "a%2fb", "%00"))
        path = path.replace("{" + name + "}", other.replace("{", "%7b"), 1)
    method = operation.method
    if method == "DELETE" and not path.rstrip("/").endswith("%00"):
        path += "x"  # what is known stays
    query = [
        f"{name}={quote(str(random.choice((*TEXTS, 0, 1, -1, 10**20, 'true', 'asc')))[:300], safe='')}"
        for name, _ in operation.query
        if random.random() < 0.4
    ]
    path += "?" + "&".join(query) if query else ""
    shape: Form = "messages" if path.startswith("/v1/messages") else "openai"
    if operation.form is not None and (operation.body is None or random.random() < 0.5):
        return _uploaded(random, path, ids)
    if operation.body is None:
        return _case(method, path, None if method != "POST" else b"{}", shape)
    fields = _with_ids(corpus.sample(random, operation.document, operation.body), random, ids)
    if isinstance(fields, dict) and "responses" in path and "ids" not in fields:
        fields = _fields(random, fields)
    elif isinstance(fields, dict) and operation.path in (*relays.PATHS, CHAT) and random.random() < 0.9:
        fields = {**fields, "model": random.choice(MODELS), "stream": False}
    if random.random() < 0.3:
        return _case(method, path, msgspec.json.encode(fields), shape)
    return _case(method, path, _mutator().mutate(random, fields)[:SMALLER], shape)


def _with_ids(value: Any, random: Random, ids: Known) -> Any:
    """Put ids of files that are there into a body, mostly."""
    if not isinstance(value, dict) or random.random() < 0.3:
        return value
    found = dict(value)
    if "input_file_id" in found:
        found["input_file_id"] = ids.requests
    if "file_id" in found:
        found["file_id"] = ids.file
    if "file_ids" in found:
        found["file_ids"] = [ids.file] * random.choice((1, 1, 2))
    if isinstance(found.get("files"), list):
        found["files"] = [_with_ids(one, random, ids) for one in found["files"]]
    return found


def _uploaded(random: Random, path: str, ids: Known) -> Case:
    """Return an upload: a form with a part of each kind, perhaps broken."""
    content = random.choice(_UPLOADS).encode("latin-1")
    parts: list[tuple[str, str | None, bytes]] = [
        ("purpose", None, random.choice((b"assistants", b"user_data", b"x", b""))),
        ("data" if "uploads" in path else "file", random.choice(_NAMES) if random.random() < 0.95 else None, content),
    ]
    if random.random() < 0.2:
        parts.append(("expires_after[anchor]", None, b"created_at"))
        parts.append(("expires_after[seconds]", None, random.choice((b"3600", b"-1", b"9" * 400, "²".encode(), b""))))
    if random.random() < 0.1:
        parts.append(
            (random.choice(("file", "file_id", "x" * 1000, "\x00")), None, random.choice((ids.file, "x")).encode())
        )
    if path.partition("?")[0].removeprefix("/v1") in relays.PATHS:
        parts += relays.form_fields(random, random.choice(MODELS))
        parts.append(("image", "a.png", content))
    random.shuffle(parts)
    body = form(parts)
    if random.random() < 0.3:
        body = mutate_bytes(random, body)
    kind = random.choice(
        (
            *["multipart/form-data; boundary=b"] * 6,
            'Multipart/Form-Data; boundary="b"',
            "multipart/form-data",
            "multipart/form-data; boundary=" + "b" * 300,
            "text/plain",
        )
    )
    return Case(request("POST", path, body, (("content-type", kind),), ANN), "POST", path, form="openai")


def _fields(random: Random, fields: dict[str, Any]) -> dict[str, Any]:
    """Name a model that is there, and ask for a stream now and then."""
    found = {**fields, "model": random.choice(MODELS)}
    if random.random() < 0.4:
        found["stream"] = True
    if random.random() < 0.7:
        found.pop("background", None)
    if random.random() < 0.5:
        found["store"] = False
    return found


def _case(method: str, path: str, body: bytes | None, form: Form = "openai") -> Case:
    return Case(request(method, path, body, (), key_of(path)), method, path, body or b"", form=form)


def key_of(path: str) -> str:
    """Return the key of whoever may ask for a path."""
    return ADMIN if path.startswith(("/v1/admin/", "/v1/organization/")) else ANN


def ws_case(seed: int, number: int, ids: Known | None = None) -> bytes:
    """Return the frames of a message."""
    random = Random(f"{seed}/ws/{number}")
    fields: Any = {"type": "response.create", **_fields(random, random.choice(corpus.golden()))}
    if random.random() < 0.2:
        ids = ids or Known("resp_0", "conv_0", "msg_0", "file_0")
        fields = {"type": "response.create", **hosted.request(random, ids.vector_store, ids.container, ids.file)}
    if random.random() < 0.2:
        fields["stream_id"] = random.choice(("a", "b", "", "x" * 300, "\n"))
    if random.random() < 0.1:
        fields["type"] = random.choice(("response.steer", "response.cancel", "session.update", ""))
    if random.random() < 0.1:
        fields["generate"] = random.choice((False, None, 0))
    body = _mutator().mutate(random, fields)[:SMALLER]
    if random.random() < 0.1 and len(body) > 3:
        middle = random.randrange(1, len(body))
        return frame(body[:middle], TEXT, fin=False) + frame(body[middle:], CONTINUATION)
    return frame(body, BINARY if random.random() < 0.05 else TEXT)
