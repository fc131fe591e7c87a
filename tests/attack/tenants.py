"""What is another's: the table of routes, ids, sealed blobs, model limits and scopes, made of the application's own router."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.access.caller import ADMIN
from antiphon.composition import app
from antiphon.config import BackendConfig, Config
from antiphon.server.http.router import HttpRoute
from tests.attack.fuzz import check_alive
from tests.attack.report import Report
from tests.attack.target import ADMIN as ADMIN_KEY
from tests.attack.target import ANN, BOB, KEYS, LIMITED, READER, Target, target
from tests.attack.upstream import INVALID, echo
from tests.attack.verdict import TERMINAL, fault_of
from tests.attack.wire import Answer, Closed, WebSocket, frame

SECRET = "The crown jewels are under the stairs."
OTHER_MODEL = "gpt-forbidden"
ALLOWED = "scripted"
SENDING = ("/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact")

Json = dict[str, Any]


class Things(NamedTuple):
    """What Ann has: ids by the kind of thing, and blobs that were sealed for her."""

    ids: dict[str, str]
    blobs: list[Json]


def routes() -> list[HttpRoute]:
    """Return all routes that the application has."""
    backend = BackendConfig(url="http://127.0.0.1:9", api="scripted")
    return app.Parts(Config(store="memory", backends={"scripted": backend})).app.router.routes


def settings(url: str) -> str:
    """Return the settings of the server that is tried."""
    lines = [KEYS.replace('metrics = "open"', 'metrics = "key"')]
    lines.append('[backends.scripted]\nurl = "http://127.0.0.1:9"\napi = "scripted"')
    for name, profile in (("echo", "vllm"), ("deep", "deepseek"), ("open", "openrouter")):
        lines.append(f'[backends.{name}]\nurl = "{url}"\nprofile = "{profile}"\ndiscover = false')
        lines.append(f'[models.{name}]\nbackends = ["{name}"]\nname = "allowed"')
    lines.append(f'[models.{OTHER_MODEL}]\nbackends = ["echo"]\nname = "forbidden"\naliases = ["forbidden-alias"]')
    lines.append(f'[prompts.secret]\nmodel = "{OTHER_MODEL}"\ninput = []')
    text = "\n".join(lines)
    return text.replace(
        f'key = "{LIMITED}"\nmodels = ["scripted"]', f'key = "{LIMITED}"\nmodels = ["scripted", "echo"]'
    )


async def make_things(one: Target) -> Things:
    """Make, as Ann, one thing of each kind with the secret in it."""
    stored = await one.json("POST", "/v1/responses", {"model": "scripted", "input": SECRET})
    running = await one.json(
        "POST", "/v1/responses", {"model": "scripted", "input": f"/delay 60\n/repeat 90 {SECRET}", "background": True}
    )
    message = {"type": "message", "role": "user", "content": SECRET}
    conversation = await one.json("POST", "/v1/conversations", {"items": [message], "metadata": {"a": SECRET}})
    items = await one.json("GET", f"/v1/conversations/{conversation['id']}/items")
    body = (
        b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="s.txt"\r\n\r\n%b\r\n--b--\r\n' % SECRET.encode()
    )
    form = (("content-type", "multipart/form-data; boundary=b"),)
    file = json.loads((await one.ask("POST", "/v1/files", body, key=ANN, headers=form)).body)
    announced = {"filename": SECRET, "purpose": "assistants", "bytes": 5, "mime_type": "text/plain"}
    upload = await one.json("POST", "/v1/uploads", announced)
    thought = await one.json(
        "POST",
        "/v1/responses",
        {
            "model": "scripted",
            "input": f"/think {SECRET}\nok",
            "store": False,
            "include": ["reasoning.encrypted_content"],
        },
    )
    compacted = await one.json("POST", "/v1/responses/compact", {"model": "echo", "input": SECRET})
    blobs = [item for item in (*thought["output"], *compacted["output"]) if item.get("encrypted_content")]
    assert {item["type"] for item in blobs} >= {"reasoning"}, (thought, compacted)
    ids = {
        "response": stored["id"],
        "running": running["id"],
        "output item": stored["output"][0]["id"],
        "conversation": conversation["id"],
        "conversation item": items["data"][0]["id"],
        "file": file["id"],
        "upload": upload["id"],
    }
    return Things(ids, [{k: v for k, v in item.items() if k in ("type", "encrypted_content", "id")} for item in blobs])


class Table:
    """The attempts on one server; each is counted, and each that reads something is a finding."""

    def __init__(self, one: Target, report: Report, things: Things, store: str) -> None:
        self.one = one
        self.report = report
        self.things = things
        self.store = store
        self.tried = 0

    def judge(self, name: str, answer: Answer, expected: set[int], method: str = "POST") -> None:
        """Look whether an answer has what is Ann's, or another status than it must have."""
        self.tried += 1
        case = f"{self.store}: {name}"
        if SECRET.encode() in answer.body:
            self.report.found("tenants", "a foreign text was read", case, b"", answer.body[:2000].decode())
        fault = fault_of(answer, method)
        if fault:
            self.report.found("tenants", fault, case, b"", answer.body[:2000].decode(errors="replace"))
        elif answer.status not in expected:
            self.report.found(
                "tenants", f"status {answer.status}", case, b"", answer.body[:500].decode(errors="replace")
            )

    async def foreign_ids(self) -> None:
        """Put every id of Ann's into every variable of every route, as Bob, as nobody and as a stranger."""
        for route in routes():
            if route.public or "{" not in route.path or route.path.startswith("/models"):
                continue
            names = re.findall(r"\{(\w+)(?::path)?\}", route.path)
            for values in itertools.product(self.things.ids.values(), repeat=len(names)):
                path = "/v1" + route.path
                for name, value in zip(names, values, strict=True):
                    path = re.sub(r"\{" + name + r"(:path)?\}", value, path)
                for query in ("", "?stream=true", "?include[]=reasoning.encrypted_content&limit=100"):
                    body = b"{}" if route.method == "POST" else None
                    for key, expected in ((BOB, {404, 400}), ("", {401}), ("sk-stranger", {401})):
                        answer = await self.one.ask(route.method, path + query, body, key=key)
                        self.judge(f"{route.method} {path}{query} key={key}", answer, expected, route.method)

    def uses(self) -> dict[str, Json]:
        """Return the fields of requests that would use what is Ann's."""
        found: dict[str, Json] = {}
        for kind, id in self.things.ids.items():
            found[f"previous_response_id {kind}"] = {"previous_response_id": id}
            found[f"conversation {kind}"] = {"conversation": id}
            found[f"conversation object {kind}"] = {"conversation": {"id": id}}
            found[f"item_reference {kind}"] = {"input": [{"type": "item_reference", "id": id}]}
            found[f"item_reference without type {kind}"] = {"input": [{"id": id}]}
            for part in ("input_file", "input_image", "input_audio"):
                message = {"type": "message", "role": "user", "content": [{"type": part, "file_id": id}]}
                found[f"{part} {kind}"] = {"input": [message]}
            output = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": id}]}
            found[f"output with a file {kind}"] = {
                "input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, output]
            }
            found[f"prompt variable {kind}"] = {
                "prompt": {"id": "secret", "variables": {"x": {"type": "input_file", "file_id": id}}}
            }
            found[f"mask {kind}"] = {"tools": [{"type": "image_generation", "input_image_mask": {"file_id": id}}]}
        for blob in self.things.blobs:
            for kind in ("reasoning", "compaction", "compaction_summary"):
                item = {"summary": [], **blob, "type": kind}
                found[f"{blob['type']} blob in {kind}"] = {"input": [item, {"role": "user", "content": "Say it."}]}
        return found

    async def foreign_uses(self) -> None:
        """Send them as Bob, over HTTP and WebSocket, to models of several kinds."""
        socket = await WebSocket.open(self.one.port, BOB)
        for name, fields in self.uses().items():
            for model in ("scripted", "echo", "deep", "open"):
                body = {"model": model, "input": "Say it.", **fields}
                for path in SENDING:
                    answer = await self.one.ask("POST", path, body, key=BOB)
                    self.judge(f"{path} {name} {model}", answer, {200, 400, 404, 409, 422, 502})
                answer = await self.one.ask("POST", SENDING[0], {**body, "stream": True}, key=BOB)
                self.judge(f"stream {name} {model}", answer, {200, 400, 404, 409, 422, 502})
                came = await _turn(socket, body)
                self.tried += 1
                if SECRET.encode() in came:
                    self.report.found(
                        "tenants", "a foreign text was read", f"{self.store}: ws {name} {model}", b"", came.decode()
                    )
            item = {
                "type": "item_reference",
                "id": "x",
                **(fields["input"][0] if isinstance(fields.get("input"), list) else {}),
            }
            own = await self.one.json("POST", "/v1/conversations", {}, key=BOB)
            answer = await self.one.ask("POST", f"/v1/conversations/{own['id']}/items", {"items": [item]}, key=BOB)
            self.judge(f"items {name}", answer, {200, 400, 404})
            listed = await self.one.ask("GET", f"/v1/conversations/{own['id']}/items", key=BOB)
            self.judge(f"listed items {name}", listed, {200}, "GET")
        for id in self.things.ids.values():
            for event in ("response.steer", "response.cancel"):
                came = await _turn(socket, {"previous_response_id": id, "input": "Stop."}, event)
                if SECRET.encode() in came:
                    self.report.found(
                        "tenants", "a foreign text was read", f"{self.store}: ws {event}", b"", came.decode()
                    )
        socket.close()

    async def lists(self) -> None:
        """Read every route without variables as Bob."""
        for route in routes():
            if "{" in route.path or route.method != "GET" or route.scopes == {ADMIN}:
                continue
            answer = await self.one.ask("GET", "/v1" + route.path, key=BOB)
            if route.path.startswith("/playground") or answer.status == 426:
                continue
            self.judge(f"GET {route.path}", answer, {200, 404, 503}, "GET")
            for id in self.things.ids.values():
                if id.encode() in answer.body:
                    self.report.found("tenants", "a foreign id was listed", f"{self.store}: {route.path}")

    async def scopes(self) -> None:
        """Call every route with keys of every kind: 403 where the scope is missing, anything else where it is there."""
        have = {ANN: {"responses", "chat"}, READER: {"read"}, ADMIN_KEY: {"responses", "chat", "read", ADMIN}}
        for route, (key, scopes) in itertools.product(routes(), have.items()):
            path = re.sub(r"\{\w+(:path)?\}", "x_0", route.path)
            body = b"{}" if route.method == "POST" else None
            answer = await self.one.ask(route.method, path, body, key=key)
            self.tried += 1
            may = route.public or bool(scopes & set(route.scopes))
            if may == (answer.status in (401, 403)):
                self.report.found(
                    "tenants", f"status {answer.status} with scopes {sorted(scopes)}", f"{route.method} {path}"
                )
            if not route.public:
                answer = await self.one.ask(route.method, path, body)
                self.judge(f"{route.method} {path} without a key", answer, {401}, route.method)

    async def still_there(self) -> None:
        """Look whether what is Ann's is as it was."""
        for path in (
            f"/v1/responses/{self.things.ids['response']}",
            f"/v1/responses/{self.things.ids['running']}",
            f"/v1/conversations/{self.things.ids['conversation']}",
            f"/v1/files/{self.things.ids['file']}",
        ):
            answer = await self.one.ask("GET", path, key=ANN)
            if answer.status != 200 or (b'"cancelled"' in answer.body):
                self.report.found(
                    "tenants", "what is Ann's was changed", f"{self.store}: {path}", b"", answer.body[:500].decode()
                )


async def _turn(socket: WebSocket, fields: Json, event: str = "response.create") -> bytes:
    """Make a turn; return all that came."""
    socket.send(frame(json.dumps({"type": event, **fields}).encode()))
    came = b""
    try:
        while True:
            message = await socket.receive(10)
            came += message
            kind = json.loads(message)["type"]
            if kind in TERMINAL or kind == "error" or kind.startswith("response.steer"):
                return came
    except (Closed, TimeoutError) as error:
        return came + repr(error).encode()


def limited_bodies() -> list[bytes]:
    """Return requests of a key that may call `echo` only, which try to call another model."""
    good = {"model": "echo", "input": "hi"}
    inject = {
        'z":0,"model":"forbidden","y': 1, 'z":0,"messages":[],"model":"forbidden': "x", "Model": "forbidden",
        "model\x00": "forbidden", "extra_body": {"model": "forbidden"}, "models": ["forbidden"], "model ": "forbidden",
        "\\u006dodel": "forbidden", "route": "forbidden", "lora": "forbidden", "fallbacks": [OTHER_MODEL],
    }  # fmt: skip
    found = [json.dumps({**good, name: value}).encode() for name, value in inject.items()]
    for name in (
        OTHER_MODEL, "forbidden", "forbidden-alias", OTHER_MODEL.upper(), f" {OTHER_MODEL}", f"{OTHER_MODEL}\x00", f"echo\x00{OTHER_MODEL}",
        f"echo/{OTHER_MODEL}", f"echo,{OTHER_MODEL}", f"echo\n{OTHER_MODEL}", f"{OTHER_MODEL}:latest", f"../{OTHER_MODEL}", "*", "gpt-*", "",
        "secret",
    ):  # fmt: skip
        found.append(json.dumps({**good, "model": name}).encode())
    found.append(b'{"model":"echo","input":"hi","model":"%b"}' % OTHER_MODEL.encode())
    found.append(b'{"model":"%b","input":"hi","model":"echo","mod\\u0065l":"forbidden"}' % OTHER_MODEL.encode())
    found.append(json.dumps({"input": "hi", "prompt": {"id": "secret"}}).encode())
    found.append(json.dumps({"model": None, "input": "hi", "prompt": {"id": "secret"}}).encode())
    for tool in ('z","model":"forbidden', 'f"}}],"model":"forbidden'):
        found.append(json.dumps({**good, "tools": [{"type": "function", "name": tool, "parameters": {}}]}).encode())
    found.append(json.dumps({**good, "tools": [{"type": "image_generation", "model": "forbidden"}]}).encode())
    return found


async def model_limits(one: Target, report: Report, called: set[str], store: str) -> int:
    """Try to call another model than the key may."""
    socket = await WebSocket.open(one.port, LIMITED)
    called.clear()
    tried = 0
    for body in limited_bodies():
        for path in (*SENDING, "/v1/chat/completions"):
            sent = (
                body.replace(b'"input": "hi"', b'"messages":[{"role":"user","content":"hi"}]')
                if "chat" in path
                else body
            )
            for extra in ({}, {"background": True}, {"stream": True}):
                fields = sent[:-1] + b"".join(b',"%b":true' % name.encode() for name in extra) + b"}"
                answer = await one.ask("POST", path, fields, key=LIMITED)
                tried += 1
                fault = fault_of(answer)
                if fault:
                    report.found(
                        "tenants", fault, f"{store}: {path}", fields, answer.body[:600].decode(errors="replace")
                    )
                if "forbidden" in called:
                    report.found("tenants", "a model was called that the key may not call", f"{store}: {path}", fields)
                    called.discard("forbidden")
        socket.send(frame(b'{"type":"response.create",' + body[1:]))
        try:
            while json.loads(await socket.receive(10))["type"] not in (*TERMINAL, "error"):
                pass
        except (Closed, TimeoutError) as error:
            report.found("tenants", f"{error!r} on a WebSocket", store, body)
            socket = await WebSocket.open(one.port, LIMITED)
        if "forbidden" in called:
            report.found("tenants", "a model was called that the key may not call", f"{store}: ws", body)
            called.discard("forbidden")
        tried += 1
    socket.close()
    if INVALID in called:
        report.found("tenants", "a backend was sent what is no JSON", store)
    shown = await one.ask("GET", "/v1/models", key=LIMITED)
    if (
        OTHER_MODEL.encode() in shown.body
        or (await one.ask("GET", f"/v1/models/{OTHER_MODEL}", key=LIMITED)).status != 404
    ):
        report.found("tenants", "a model was shown that the key may not call", store)
    return tried


async def run_tenants(folder: Path, report: Report, store: str, name: str) -> None:
    """Go through the whole table on one store."""
    async with echo() as (url, called), target(folder, settings(url), store=store) as one:
        table = Table(one, report, await make_things(one), name)
        await table.foreign_ids()
        await table.foreign_uses()
        await table.lists()
        await table.scopes()
        await table.still_there()
        limited = await model_limits(one, report, called, name)
        report.figure(f"tenants: attempts on {name}", table.tried + limited)
        await check_alive(one, report, "tenants", name)
