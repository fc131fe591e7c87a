"""What a client sees where a model does not take a parameter: an answer, the header that names it, `/ready`."""

from __future__ import annotations

import http.server
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from antiphon.config import ModelConfig
from tests.server.whole import Client, upstream, whole_server

pytestmark = pytest.mark.slow

CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
TOOL = {"type": "function", "name": "read", "parameters": {"type": "object", "properties": {}}}


class Strict(http.server.BaseHTTPRequestHandler):
    """A model that streams only, thinks always, and takes neither tool_choice nor all efforts."""

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._json({"data": [{"id": "strict"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not body.get("stream"):
            self._refuse("enable_thinking must be set to false for non-streaming calls")
        elif body.get("tool_choice") not in (None, "auto"):
            self._refuse("tool_choice does not support being set to required in thinking mode")
        elif body.get("reasoning_effort") not in (None, "low", "high"):
            self._refuse("reasoning_effort must be one of 'low', 'high'")
        else:
            delta = {"tool_calls": [CALL]} if "tools" in body else {"content": "Hi."}
            chunks = [{"index": 0, "delta": delta}, {"index": 0, "delta": {}, "finish_reason": "stop"}]
            data = b"".join(b"data: %b\n\n" % json.dumps({"choices": [chunk]}).encode() for chunk in chunks)
            self._send(200, "text/event-stream", data + b"data: [DONE]\n\n")

    def _refuse(self, words: str) -> None:
        self._json({"error": {"message": words}}, 400)

    def _json(self, body: object, status: int = 200) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, type: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with upstream(Strict) as url:
        yield url


def asked(client: Client, **fields: Any) -> tuple[str, bytes]:
    """Return the header that names what is ignored, and the body."""
    body = json.dumps({"model": "strict", "input": "Hi", **fields}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{client.url}/v1/responses", body), timeout=20) as reply:
        assert reply.status == 200
        return reply.headers.get("x-antiphon-ignored", ""), reply.read()


WISHES: dict[str, dict[str, Any]] = {
    "": {},
    "reasoning.effort": {"reasoning": {"effort": "medium"}},
    "tool_choice": {"tools": [TOOL], "tool_choice": "required"},
    "image_generation, reasoning.effort": {"tools": [{"type": "image_generation"}], "reasoning": {"effort": "xhigh"}},
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("ignored", WISHES)
def test_a_model_is_asked_without_what_it_refuses_and_the_client_is_told(url: str, ignored: str, stream: bool) -> None:
    with whole_server(url) as client:
        for _ in range(2):
            header, body = asked(client, stream=stream, **WISHES[ignored])
            assert header == ignored
            assert b'"status":"completed"' in body


def test_what_was_learned_is_shown(url: str) -> None:
    with whole_server(url) as client:
        assert "learned" not in client.get("/ready")[1]["backends"][0]
        asked(client, tools=[TOOL], tool_choice={"type": "function", "name": "read"}, reasoning={"effort": "medium"})
        (backend,) = client.get("/ready")[1]["backends"]
        assert backend["learned"] == [
            {"setting": "drop", "value": ["tool_choice"], "models": 1},
            {"setting": "efforts", "value": ["low", "high"], "models": 1},
            {"setting": "stream", "value": "always", "models": 1},
        ]


@pytest.mark.parametrize("stream", [True, False])
def test_an_effort_is_a_hint_unless_one_wants_to_be_told(url: str, stream: bool) -> None:
    models = {"plain": ModelConfig(name="strict", reasoning=False)}
    wish: dict[str, Any] = {"input": "Hi", "stream": stream, "reasoning": {"effort": "low"}}
    with whole_server(url, models=models) as client:
        assert asked(client, model="plain", **wish)[0] == "reasoning.effort"
    with whole_server(url, models=models, unsupported_parameters="refuse") as client:
        status, body = client.post("/v1/responses", model="plain", **wish)
        assert (status, body["error"]["param"]) == (400, "reasoning.effort")
        status, body = client.post(
            "/v1/responses", **{**wish, "model": "strict", "reasoning": {"effort": "medium"}, "stream": True}
        )
        assert (status, body["error"]["message"]) == (400, "reasoning_effort must be one of 'low', 'high'")
