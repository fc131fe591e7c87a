"""`parallel_tool_calls: false` through servers that make several calls all the same, in the shapes that they send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from antiphon.config import BackendConfig
from tests.golden.rules import check_stream
from tests.server.whole import Client, upstream, whole_server

Json = dict[str, Any]
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}
CUSTOM = {"type": "custom", "name": "shell"}


def events(*, ids: bool, places: bool, kind: str) -> list[Json]:
    """Return a stream with two calls and a message; servers differ in whether they tell ids and places."""
    field = "arguments" if kind == "function_call" else "input"
    delta = "response.function_call_arguments" if field == "arguments" else "response.custom_tool_call_input"
    name = TOOL["name"] if field == "arguments" else CUSTOM["name"]
    said: list[Json] = [{"type": "response.created", "response": {"id": "r"}}]
    output = []
    for place, text in enumerate(('{"a":1}', '{"b":2}')):
        at: Json = {"output_index": place} if places else {}
        own = {"item_id": f"fc_{place}"} if ids else {}
        item = {"type": kind, "call_id": f"call_{place}", "name": name, **({"id": f"fc_{place}"} if ids else {})}
        said += [
            {"type": "response.output_item.added", "item": {**item, field: ""}, **at},
            {"type": f"{delta}.delta", "delta": text, **own, **at},
            {"type": f"{delta}.done", field: text, **own, **at},
            {"type": "response.output_item.done", "item": {**item, field: text}, **at},
        ]
        output.append({**item, field: text})
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "So."}],
    }
    output.append(message)
    said.append({"type": "response.completed", "response": {"id": "r", "output": output, "usage": None}})
    return said


class Calls(BaseHTTPRequestHandler):
    """Answers with two calls, in the shape that the request's `model` names."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        models = [{"id": name, "object": "model"} for name in SHAPES]
        self._send("application/json", json.dumps({"object": "list", "data": models}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = SHAPES[request["model"]]
        if request["model"] == "whole":
            return self._send("application/json", json.dumps({"object": "response", **said[-1]["response"]}))
        return self._send("text/event-stream", "".join(f"data: {json.dumps(event)}\n\n" for event in said))

    def _send(self, type: str, body: str) -> None:
        self.send_response(200)
        self.send_header("content-type", type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


SHAPES = {
    "ids and places": events(ids=True, places=True, kind="function_call"),
    "ids": events(ids=True, places=False, kind="function_call"),
    "places": events(ids=False, places=True, kind="function_call"),
    "neither": events(ids=False, places=False, kind="function_call"),
    "custom": events(ids=True, places=True, kind="custom_tool_call"),
    "whole": events(ids=True, places=True, kind="function_call"),
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        upstream(Calls) as url,
        whole_server(backends={"calls": BackendConfig(url=url, api="responses")}) as served,
    ):
        yield served


def output(client: Client, streamed: bool, **request: Any) -> list[Json]:
    if not streamed:
        return list(client.create(**request)["output"])
    told = client.stream(**request)
    check_stream(told)
    return list(told[-1]["response"]["output"])


@pytest.mark.slow
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_call_is_shown_where_one_is_wanted(client: Client, shape: str, streamed: bool) -> None:
    asked: Json = {"model": shape, "input": "x", "tools": [TOOL, CUSTOM]}
    both = output(client, streamed, **asked)
    one = output(client, streamed, **asked, parallel_tool_calls=False)
    assert [item["call_id"] for item in both[:2]] == ["call_0", "call_1"]
    told = [item.get("arguments") or item.get("input") or item["content"][0]["text"] for item in one]
    assert told == ['{"a":1}', "So."]
    assert [item["type"] for item in one] == [both[0]["type"], "message"]
