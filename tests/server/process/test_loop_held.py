"""The largest of what clients may send: nothing holds the event loop, neither its own thread nor one beside it.

By CPU time (`watched.py`): what one call in a helper thread takes counts, too, since it keeps the interpreter's lock.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.attack.growing import _calls
from tests.attack.wire import CONTINUATION, PING, TEXT, frame
from tests.bounds import bound
from tests.server.process.watched import Watched, watched

pytestmark = [pytest.mark.slow, pytest.mark.alone]

HELD = bound(0.1)
"""Seconds. Half of it is what is asked for; processors and their caches are shared with other tests."""

MIB = 1024 * 1024
MOST = 16 * MIB - 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A server at its default settings, with a backend that is not there."""
    backends = {"scripted": {"url": "http://127.0.0.1:9", "api": "scripted"}, "chat": {"url": "http://127.0.0.1:9"}}
    folder = tmp_path_factory.mktemp("held")
    settings = {"backends": backends, "models": {"chat": {"backends": ["chat"]}}, "shutdown_grace": 1.0}
    with watched(folder, **settings, store=f"{folder}/db") as server:
        ask(server, responses(input="hi"))
        yield server


def ask(server: Watched, request: tuple[str, bytes, dict[str, str]]) -> int:
    path, body, headers = request
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def raw(body: bytes, path: str = "/v1/responses", **headers: str) -> tuple[str, bytes, dict[str, str]]:
    return path, body, headers


def responses(path: str = "/v1/responses", **fields: object) -> tuple[str, bytes, dict[str, str]]:
    return raw(json.dumps({"model": "chat", **fields}).encode(), path)


def text(unit: bytes) -> tuple[str, bytes, dict[str, str]]:
    return raw(b'{"model":"chat","input":"%b"}' % (unit * (MOST // len(unit))))


def part(**fields: str) -> list[object]:
    return [{"role": "user", "content": [fields]}]


def file(data: bytes, name: str) -> list[object]:
    return part(type="input_file", filename=name, file_data=base64.b64encode(data).decode())


def image(url: str) -> list[object]:
    return part(type="input_image", image_url=url)


Make = Callable[[], tuple[str, bytes, dict[str, str]]]

REQUESTS: dict[str, Make] = {
    "text": lambda: text(b"a"),
    "text beyond ASCII": lambda: text("😀".encode()),
    "escapes": lambda: text(b"\\u00e9"),
    "line breaks": lambda: raw(b'{"model":"chat","input":"%b"}' % (b"\\n" * 3_990_000)),
    "too many line breaks": lambda: text(b"\\n"),
    "pairs of surrogates": lambda: text(b"\\ud83d\\ude00"),
    "lone surrogates": lambda: text(b"\\ud83d"),
    "blanks, packed": lambda: raw(zlib.compress(b" " * MOST), **{"content-encoding": "deflate"}),
    "an unended text": lambda: raw(b'{"model":"chat","input":"' + b"a" * MOST),
    "instructions": lambda: responses(input="x", instructions="a" * MOST),
    "a user": lambda: responses(input="x", user="a" * MOST),
    "an id": lambda: responses(input="x", previous_response_id="a" * MOST),
    "many items": lambda: responses(input=[{"role": "user", "content": "a" * 1500}] * 9999),
    "calls": lambda: responses(input=_calls(4900)),
    "many objects": lambda: responses(input=[{"type": "web_search_call", "id": "x", "url": "u", "a": [{}] * 90_000}]),
    "an item with a long URL": lambda: responses(input=[{"type": "web_search_call", "id": "x", "url": "u" * MOST}]),
    "an image": lambda: responses(input=image("data:image/png;base64," + "A" * (MOST - 100))),
    "a data URL of parameters": lambda: responses(input=image("data:" + ";a=b" * (MOST // 4 - 100))),
    "a text file": lambda: responses(input=file(b"a " * (MOST * 3 // 8 - 200), "a.txt")),
    "lines of a file": lambda: responses(input=file(b"\r\n" * (MOST * 3 // 8 - 200), "a.csv")),
    "a binary file": lambda: responses(input=file(b"\0" * (MOST * 3 // 4 - 400), "a.pdf")),
    "a script": lambda: responses(model="scripted", input="a " * 60_000),
    "a script of lines": lambda: responses(model="scripted", input="\n" * 3_900_000),
    "a repetition": lambda: responses(model="scripted", input="/repeat 100000 abcde", stream=True),
    "a conversation": lambda: responses("/v1/conversations", items=[{"role": "user", "content": "a" * (MOST - 200)}]),
    "chat": lambda: responses("/v1/chat/completions", messages=[{"role": "user", "content": "a" * (MOST - 200)}]),
    "chat with many images": lambda: responses(
        "/v1/chat/completions",
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}] * 30_000}],
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_no_request_holds_the_loop(server: Watched, kind: str) -> None:
    request = REQUESTS[kind]()
    server.held()
    assert ask(server, request) in (200, 400, 502, 503)
    assert server.held(by_threads=True) < HELD


SHAPES: dict[str, Callable[[], bytes]] = {
    "text": lambda: b'"%b"' % (b"a" * (MOST - 1000)),
    "pairs": lambda: b"{%b}" % b",".join(b'"k%d":"%b"' % (n, b"v" * 80) for n in range(140_000)),
    "texts": lambda: b"[%b]" % b",".join([b'"%b"' % (b"a" * 100)] * 148_000),
    "objects": lambda: b"[%b]" % b",".join([b"{}"] * 85_000),  # little enough not to be large
}
NECESSARY: dict[str, object] = {
    "model": "chat", "input": "a", "messages": [{"role": "user", "content": "a"}], "max_tokens": 10, "query": "a", "prompt": "a",
    "documents": ["a"], "voice": "a", "state": "a", "questions": [{"type": "choice", "choices": ["a", "b"], "question": "?"}],
    "items": [], "endpoint": "/v1/responses", "completion_window": "24h", "input_file_id": "file_1", "file_id": "file_1",
    "name": "a", "filename": "a", "purpose": "assistants", "bytes": 1, "mime_type": "text/plain", "url": "https://example.com",
    "part_ids": ["a"], "event_types": ["batch.failed"], "default_version": "1", "requests": [],
}  # fmt: skip
"""Fields without which a route looks no further."""


def bodies(document: Any) -> dict[str, Make]:
    """Return how to make the largest bodies of each route with a body: an unknown field, and one of each kind."""
    found: dict[str, Make] = {}
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            continue
        properties = _properties(document, content["schema"])
        fields = {name: value for name, value in NECESSARY.items() if name in properties}
        named = {"zzz": ("text", "pairs"), "metadata": ("pairs",), "attributes": ("pairs",), "messages": ("objects",)}
        named |= dict.fromkeys(("input", "query", "prompt", "documents", "state", "questions"), ("text", "texts"))
        named |= {name: ("text",) for name, schema in properties.items() if "enum" in str(schema)[:300]}
        for name, shapes in named.items():
            for shape in shapes if name == "zzz" or name in properties else ():
                others = {key: value for key, value in fields.items() if key != name}
                found[f"{path} {name} {shape}"] = partial(
                    body_with, re.sub(r"\{\w+\}", "x_1", path), others, name, shape
                )
    return found


def body_with(path: str, others: dict[str, object], name: str, shape: str) -> tuple[str, bytes, dict[str, str]]:
    """Return a request with a large field beside others."""
    beside = json.dumps(others).encode()[:-1]
    return raw(beside + b'%b"%b":%b}' % (b"," if others else b"", name.encode(), SHAPES[shape]()), path)


def _properties(document: Any, schema: Any) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    inner = [*schema.get("allOf", ()), *schema.get("anyOf", ())]
    return {
        **schema.get("properties", {}),
        **{key: value for one in inner for key, value in _properties(document, one).items()},
    }


PARTS = 24


@pytest.mark.parametrize("part", range(PARTS))
def test_no_body_of_any_route_holds_the_loop(server: Watched, part: int) -> None:
    with urllib.request.urlopen(f"{server.url}/openapi.json") as answer:
        document = json.load(answer)
    tried = bodies(document)
    assert len({name.split()[0] for name in tried}) > 30
    found = {}
    for name in list(tried)[part::PARTS]:
        request = tried[name]()
        server.held()
        try:
            status = ask(server, request)
        except ConnectionError:
            status = 413  # it is answered, and closed, before it is read
        held = server.held(by_threads=True)
        if held > HELD or status == 500:
            found[name] = f"{status} after {held * 1000:.0f} ms"
    assert not found


FRAMES = {
    "pings": frame(b"p" * 100, PING) * 40_000,
    "empty messages": frame(b"") * 40_000,
    "messages": frame(b"{}") * 20_000,
    "fragments": (frame(b"", TEXT, fin=False) + frame(b" ", CONTINUATION, fin=False) * 4000 + frame(b"x", CONTINUATION))
    * 10,
    "blanks": frame(b" " * (8 * MIB - 100)),
    "an unended list": frame(b'{"type":"response.create","input":' + b"[" * (8 * MIB - 100)),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_no_frames_hold_the_loop(server: Watched, kind: str) -> None:
    with connect(server.url.replace("http", "ws") + "/v1/responses", max_size=None) as connection:
        server.held()
        connection.socket.settimeout(2)
        with contextlib.suppress(TimeoutError):  # what it answers is not read, so it does not read
            connection.socket.sendall(FRAMES[kind])
        assert server.held(by_threads=True) < HELD
