"""Answers of odd shapes, as exact bytes, through a whole server: whole, streamed, in the background and over WebSocket.

Each is a variant of a kind that public reports of backends show. What a client gets is the same in all four ways.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.backends.vendors.test_vendors import told
from tests.golden.rules import check_stream
from tests.server.serving import wait_until
from tests.server.whole import Client, turn, upstream, whole_server

pytestmark = pytest.mark.slow

Json = dict[str, Any]
PATH = {"type": "object", "properties": {"path": {"type": "string"}}}
TOOLS = [{"type": "function", "name": name, "parameters": PATH, "strict": False} for name in ("read", "write")]
READ, WRITE = ["read", {"path": "a"}], ["write", {"path": "b"}]
MODES = ("whole", "streamed", "background", "WebSocket")


def chunk(delta: Json, finish: str | None = None, **fields: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}


def whole(message: Json, finish: str = "stop", **fields: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return json.dumps({"id": "c1", "object": "chat.completion", "choices": [choice], **fields}).encode()


def stream(*frames: Json | str) -> bytes:
    texts = [frame if isinstance(frame, str) else f"data: {json.dumps(frame)}\n\n" for frame in frames]
    return "".join([*texts, "data: [DONE]\n\n"]).encode()


def call(name: str, path: str, id: str, **fields: Any) -> Json:
    function = {"name": name, "arguments": json.dumps({"path": path})}
    return {"id": id, "type": "function", "function": function, **fields}


def said(text: str, field: str = "content") -> tuple[bytes, bytes]:
    """Return a text as a stream of three characters each, and as a whole answer."""
    pieces = [chunk({field: text[at : at + 3]}) for at in range(0, len(text), 3)]
    return stream(*pieces, chunk({}, "stop")), whole({field: text})


FLAT = {"id": "x", "type": "function", "name": "read", "arguments": '{"path":"a"}'}
LEAKED = '<tool_call>\n{"name": "read", "arguments": {"path": "a"}}\n</tool_call>'
TWO_LINES = '{"name": "read", "arguments": {"path": "a"}}\n{"name": "write", "arguments": {"path": "b"}}'
SECOND = {"index": 1, "delta": {"content": "B"}}
TWO_CHOICES = {**chunk({}), "choices": [*chunk({"content": "Hello"})["choices"], SECOND]}
HELLO = {"text": "Hello"}
CALLED = {"calls": [READ]}
BOTH = {"calls": [READ, WRITE]}
ODD: dict[str, tuple[bytes, bytes, Json]] = {
    # Calls: one object, a list by index as text, flat entries, names and ids in every fragment, arguments as an object.
    "call is no list": (
        stream(chunk({"tool_calls": call("read", "a", "x")}), chunk({}, "tool_calls")),
        whole({"tool_calls": call("read", "a", "x")}, "tool_calls"),
        CALLED,
    ),
    "flat entry": (
        stream(chunk({"tool_calls": [{"index": 0, **FLAT}]}), chunk({}, "tool_calls")),
        whole({"tool_calls": [FLAT]}, "tool_calls"),
        CALLED,
    ),
    "flat entry is no list": (
        stream(chunk({"tool_calls": FLAT}), chunk({}, "tool_calls")),
        whole({"tool_calls": FLAT}, "tool_calls"),
        CALLED,
    ),
    "flat entry with an object": (
        stream(chunk({"tool_calls": [{"index": 0, **FLAT, "arguments": {"path": "a"}}]}), chunk({}, "tool_calls")),
        whole({"tool_calls": [{**FLAT, "arguments": {"path": "a"}}]}, "tool_calls"),
        CALLED,
    ),
    "flat entry in pieces": (
        stream(
            chunk({"tool_calls": [{"index": 0, "id": "x", "name": "read", "arguments": '{"path"'}]}),
            chunk({"tool_calls": [{"index": 0, "arguments": ':"a"}'}]}),
            chunk({}, "tool_calls"),
        ),
        whole({"tool_calls": [FLAT]}, "tool_calls"),
        CALLED,
    ),
    "name beside a function": (
        stream(chunk({"tool_calls": [{"index": 0, **call("read", "a", "x"), "name": "other"}]}), chunk({}, "stop")),
        whole({"tool_calls": [{**call("read", "a", "x"), "name": "other"}]}),
        CALLED,
    ),
    "indexes as text": (
        stream(
            chunk({"tool_calls": [call("read", "a", "x", index="1")]}),
            chunk({"tool_calls": [call("write", "b", "y", index="2")]}),
            chunk({}, "tool_calls"),
        ),
        whole({"tool_calls": [call("read", "a", "x", index="1"), call("write", "b", "y", index="2")]}),
        BOTH,
    ),
    "call repeated at the end": (
        stream(
            chunk({"tool_calls": [call("read", "a", "x", index=0)]}),
            chunk({"tool_calls": [call("read", "a", "x", index=0)]}, "tool_calls"),
        ),
        whole({"tool_calls": [call("read", "a", "x")]}, "tool_calls"),
        CALLED,
    ),
    # Calls in the text, and in the thoughts where these are all of the answer.
    "calls as lines": (*said(f"<tool_calls>\n{TWO_LINES}\n</tool_calls>"), BOTH),
    "calls as a list": (*said(f'<tool_calls>\n[{TWO_LINES.replace(chr(10), ",")}]\n</tool_calls>'), BOTH),
    "call in thoughts": (*said(f"I look.\n{LEAKED}", "reasoning_content"), {**CALLED, "thoughts": f"I look.\n{LEAKED}"}),
    "call in other thoughts": (*said(f"I look.\n{LEAKED}\n", "reasoning"), {**CALLED, "thoughts": f"I look.\n{LEAKED}\n"}),
    "call amid thoughts": (
        *said(f"As in {LEAKED}: no.", "reasoning_content"),
        {"thoughts": f"As in {LEAKED}: no."},
    ),
    "call in thoughts before an answer": (
        stream(chunk({"reasoning_content": LEAKED}), chunk({"content": "Hello"}), chunk({}, "stop")),
        whole({"reasoning_content": LEAKED, "content": "Hello"}),
        {**HELLO, "thoughts": LEAKED},
    ),
    "call of nobody": (*said(LEAKED.replace("read", "frob")), {"text": LEAKED.replace("read", "frob")}),
    # Frames.
    "blank lines before": (
        stream(": PROCESSING\n\n", chunk({"content": "Hello"}), chunk({}, "stop")),
        b"\n     \n\n     \n" + whole({"content": "Hello"}),
        HELLO,
    ),
    "data in two lines": (
        b"data: "
        + json.dumps(chunk({"content": "Hello"})).encode().replace(b' "delta"', b'\ndata: "delta"')
        + b"\n\n"
        + stream(chunk({}, "stop")),
        whole({"content": "Hello"}),
        HELLO,
    ),
    "second choice": (
        stream(
            TWO_CHOICES,
            chunk({}, "stop"),
        ),
        whole({"content": "Hello"}).replace(b'"choices": [', b'"choices": [{"index": 1, "message": {"content": "B"}}, '),
        HELLO,
    ),
    "side fields": (
        stream(
            chunk({"content": "Hello", "refusal": [], "tool_calls": "", "annotations": "x"}, usage="none", error={}),
            chunk({}, "stop", usage={"prompt_tokens": -1}),
        ),
        whole({"content": "Hello", "refusal": [], "tool_calls": [None], "reasoning": False}, usage=[{}], error=""),
        HELLO,
    ),
    # Errors in the place of an answer keep their words.
    "error as text": (
        b'{"code":"unavailable","error":"Timed out waiting for first token"}',
        b'{"code":"unavailable","error":"Timed out waiting for first token"}',
        {"words": "Timed out waiting for first token"},
    ),
    "message is an object": (
        stream({"error": {"message": {"text": "The flux failed"}}}),
        b'{"error":{"message":{"text":"The flux failed"}}}',
        {"words": "The flux failed"},
    ),
    "metadata of a response": (
        stream({"ResponseMetadata": {"Error": {"Code": "X", "Message": "The flux failed"}}}),
        b'{"ResponseMetadata":{"Error":{"Code":"X","Message":"The flux failed"}}}',
        {"words": "The flux failed"},
    ),
    "choices and an error": (
        stream(chunk({}, "length"), chunk({"content": ""}, error={"code": 400, "message": "Token limit reached"})),
        b'{"error":{"code":400,"message":"Token limit reached"}}',
        {"words": "Token limit reached"},
    ),
    "error in mid-stream": (
        stream(chunk({"content": "Hel"}), 'event: error\ndata: {"error":{"message":"worker died","status_code":400}}\n\n'),
        b'{"error":{"message":"worker died"}}',
        {"words": "worker died"},
    ),
    "page": (b"<html><title>Just a moment</title></html>", b"<html><title>Just a moment</title></html>", {"words": ""}),
}  # fmt: skip


class Odd(BaseHTTPRequestHandler):
    """Plays the answer whose place in the table the request's `model` names."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        models = [{"id": f"odd-{number}", "object": "model"} for number in range(len(ODD))]
        self._send(json.dumps({"object": "list", "data": models}).encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        streamed, answer, _ = list(ODD.values())[int(request["model"].removeprefix("odd-"))]
        self._send(streamed if request.get("stream") else answer)

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if body[:1] in b"d:" else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with upstream(Odd) as url, whole_server(url) as client:
        wait_until(lambda: len(client.get("/v1/models")[1]["data"]) == len(ODD))
        yield client


def made(client: Client, mode: str, request: Json) -> Json:
    """Make a response in one of the four ways; one that is refused is the error's body."""
    if mode == "WebSocket":
        with client.websocket() as connection:
            final: Json = turn(connection, **request)[-1]
        return final.get("response", final)
    if mode == "streamed":
        status, events = client.post("/v1/responses", stream=True, **request)
        if status != 200:
            return events  # type: ignore[no-any-return]  # it is the error's body
        check_stream(events)
        return events[-1]["response"]  # type: ignore[no-any-return]  # it is a response
    _, body = client.post("/v1/responses", background=mode == "background", **request)
    return client.finished(body["id"]) if mode == "background" else body


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_read_alike_in_all_ways(client: Client, name: str, mode: str) -> None:
    request = {"model": f"odd-{list(ODD).index(name)}", "input": "Go.", "tools": TOOLS}
    response, expected = made(client, mode, request), ODD[name][2]
    if "words" in expected:
        assert response.get("status") != "completed"
        assert expected["words"] in response["error"]["message"]
    else:
        assert response["status"] == "completed", response
        assert told(response) == expected
