"""examples/hosted_tool.py over a real socket: its calls, its refusals, and what `create_app` does not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import httpx2
import msgspec
import pytest
from examples.hosted_tool import HANDBOOK, PAGES, Handbook

from antiphon import BackendConfig, Config, ConfigError, create_app, hosted_kind
from tests.server.serving import MODES, serving
from tests.server.whole import upstream

TOOL = {"type": "handbook", "language": "en"}


class Model(BaseHTTPRequestHandler):
    """Searches for the question, then says what it was told."""

    protocol_version = "HTTP/1.1"
    told: ClassVar[list[str]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(b'{"object":"list","data":[{"id":"m","object":"model"}]}', "application/json")

    def do_POST(self) -> None:
        messages = json.loads(self.rfile.read(int(self.headers["content-length"])))["messages"]
        last = messages[-1]
        if last["role"] == "tool":
            self.told.append(last["content"])
            delta: dict[str, Any] = {"content": "You have 30."}
        else:
            function = {"name": "handbook", "arguments": json.dumps({"query": last["content"]})}
            delta = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
        end = "stop" if "content" in delta else "tool_calls"
        chunks = [{"index": 0, "delta": delta}, {"index": 0, "delta": {}, "finish_reason": end}]
        lines = [b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode() for choice in chunks]
        self._send(b"".join([*lines, b"data: [DONE]\n\n"]), "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def example(mode: str) -> Iterator[str]:
    """Serve the example's tool in front of the model; gives the base URL."""
    with upstream(Model) as backend:
        config = Config(store="memory", backends={"gpu": BackendConfig(url=backend)})
        with serving(create_app(config, hosted_tools=[Handbook(PAGES)]), mode=mode) as served:
            yield f"{served.url}/v1/responses"


@pytest.mark.parametrize("mode", MODES)
def test_the_tool_is_called_streamed_and_not(mode: str) -> None:
    body = {"model": "m", "input": "Leave?", "tools": [TOOL]}
    with example(mode) as url:
        Model.told.clear()
        whole = httpx2.post(url, json=body).json()
        answer = httpx2.post(url, json={**body, "stream": True})
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        again = {"model": "m", "input": "Leave?", "tools": [TOOL], "previous_response_id": whole["id"]}
        chained = httpx2.post(url, json=again).json()
    assert Model.told == [PAGES["en"]["leave"]] * 3
    for response in (whole, events[-1]["response"], chained):
        call, message = response["output"]
        assert call.pop("id").startswith("hb_")
        assert call == {"type": "handbook_call", "status": "completed", "query": "Leave?", "pages": 1}
        assert message["content"][0]["text"] == "You have 30."
        assert response["tools"] == [TOOL]
        assert "30 days" not in json.dumps(response)
    stages = [event["type"] for event in events if "handbook_call." in event["type"]]
    assert stages == [f"response.handbook_call.{stage}" for stage in ("in_progress", "searching", "completed")]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_declaration_that_it_refuses_is_a_400(streamed: bool) -> None:
    tools = [TOOL, {"type": "handbook", "language": "la"}]
    with example("direct") as url:
        answer = httpx2.post(url, json={"model": "m", "input": "Leave?", "tools": tools, "stream": streamed})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["message"]) == ("tools[1].language", "Unknown language 'la'. Known: en, de.")


class Other:
    """A tool of any kind."""

    bounds = Handbook.bounds
    admit = Handbook.admit

    def __init__(self, kind: Any) -> None:
        self.kind = kind


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ([HANDBOOK, HANDBOOK], "two are of the kind 'handbook'"),
        ([hosted_kind("handbook", prefix="x", opening={}, arguments=[])], "'handbook', or a type .* is there already"),
        ([hosted_kind("function", prefix="x", opening={}, arguments=[])], "'function', or a type .* is there already"),
        ([msgspec.structs.replace(HANDBOOK, runs="client")], "the kind 'handbook' is not one of a hosted tool"),
        ([msgspec.structs.replace(HANDBOOK, serve=None)], "the kind 'handbook' is not one of a hosted tool"),
    ],
)
def test_tools_that_cannot_be_served_are_refused_at_once(kinds: list[Any], message: str) -> None:
    config = Config(store="memory", backends={"only": BackendConfig(api="scripted", url="http://unused")})
    with pytest.raises(ConfigError, match=f"^hosted tools: .*{message}"):
        create_app(config, hosted_tools=[Other(kind) for kind in kinds])
