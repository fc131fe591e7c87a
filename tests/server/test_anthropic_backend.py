"""A whole server in front of a backend that speaks the Messages API: every way to ask, and every way to go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig, ModelConfig
from tests.backends.anthropic.streams import block, call, message, sse, text, thoughts
from tests.server.whole import Client, turn, upstream, whole_server

pytestmark = pytest.mark.slow

Json = dict[str, Any]
SIGNED = {"type": "thinking", "thinking": "I call.", "signature": "c2lnbmVk+/=="}
REDACTED = {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ=+/"}
CALLED = message(
    thoughts(0, "I ", "call.", signature=SIGNED["signature"]),
    block(1, REDACTED),
    text(2, "Let me see."),
    call(3, "toolu_1", "get_weather", '{"location":', '"Paris"}'),
    reason="tool_use",
)
DONE = message(text(0, "It is ", "sunny."))
TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
MODES = ("streamed", "whole", "background", "websocket")


class Messages(BaseHTTPRequestHandler):
    """Calls a tool, and answers when it has the result. `model` may say what goes wrong."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[Json]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        models = [
            {"type": "model", "id": id, "max_input_tokens": 200_000} for id in ("claude-opus-4-5", "claude-haiku-4-5")
        ]
        self._send(200, "application/json", json.dumps({"data": models, "has_more": False}).encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/count_tokens"):
            self._send(200, "application/json", b'{"input_tokens": 321}')
            return
        assert self.path == "/v1/messages" and self.headers["x-api-key"] == "sk-theirs"
        self.seen.append(request)
        if request["model"] == "overloaded":
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
            self._send(529, "application/json", json.dumps(error).encode())
            return
        events = CALLED if request.get("tools") and len(request["messages"]) == 1 else DONE
        self._send(200, "text/event-stream", sse(events))

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with upstream(Messages) as url:
        backend = BackendConfig(url=url.removesuffix("/v1"), api="anthropic", key="sk-theirs", break_after=0)
        models = {
            "busy": ModelConfig(backends=["upstream"], name="overloaded", fallbacks=["claude-haiku-4-5"]),
            "full": ModelConfig(backends=["upstream"], name="overloaded"),
        }
        store = str(tmp_path_factory.mktemp("store") / "antiphon.db")
        with whole_server(
            backends={"upstream": backend}, models=models, store=store, recall_bytes=0, retries=0
        ) as client:
            yield client


@pytest.fixture
def seen() -> list[Json]:
    Messages.seen.clear()
    return Messages.seen


def make(client: Client, mode: str, **fields: Any) -> Json:
    """Make a response in one of the MODES; return it as it ended."""
    request = {"model": "claude-opus-4-5", "tools": [TOOL], "reasoning": {"effort": "low"}, **fields}
    if mode == "streamed":
        return client.stream(**request)[-1]["response"]
    if mode == "websocket":
        with client.websocket() as connection:
            return turn(connection, **request)[-1]["response"]
    if mode == "background":
        return client.finished(client.create(background=True, **request)["id"])
    return client.create(**request)


def result(response: Json) -> Json:
    (called,) = [item for item in response["output"] if item["type"] == "function_call"]
    return {"type": "function_call_output", "call_id": called["call_id"], "output": "sunny"}


def check_second(request: Json) -> None:
    """Make sure that the second request has all of the first answer, byte for byte."""
    assert [message["role"] for message in request["messages"]] == ["user", "assistant", "user"]
    signed, redacted, said, called = request["messages"][1]["content"]
    assert (signed, redacted, said["text"]) == (SIGNED, REDACTED, "Let me see.")
    assert called == {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"location": "Paris"}}
    (answered,) = request["messages"][2]["content"]
    assert (answered["type"], answered["tool_use_id"], answered["content"]) == ("tool_result", "toolu_1", "sunny")


@pytest.mark.parametrize("mode", MODES)
def test_a_tool_is_called_and_answered(client: Client, seen: list[Json], mode: str) -> None:
    first = make(client, mode, input="Weather?")
    assert [item["type"] for item in first["output"]] == ["reasoning", "message", "function_call"]
    assert first["output"][0]["content"][0]["text"] == "I call."
    assert first["usage"]["input_tokens_details"]["cached_tokens"] == 4
    second = make(client, mode, input=[result(first)], previous_response_id=first["id"])
    assert second["status"] == "completed"
    assert second["output"][-1]["content"][0]["text"] == "It is sunny."
    check_second(seen[1])
    assert seen[0]["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert all(request["stream"] for request in seen)


@pytest.mark.parametrize("mode", ["streamed", "whole", "websocket"])
def test_thoughts_that_the_client_carries_come_back_as_they_were(client: Client, seen: list[Json], mode: str) -> None:
    sealed = {"store": False, "include": ["reasoning.encrypted_content"]}
    question = {"role": "user", "content": "Weather?"}
    first = make(client, mode, input=[question], **sealed)
    assert SIGNED["signature"] not in json.dumps(first)
    make(client, mode, input=[question, *first["output"], result(first)], **sealed)
    check_second(seen[1])


def test_thoughts_do_not_go_to_another_family(client: Client, seen: list[Json]) -> None:
    first = make(client, "whole", input="Weather?")
    make(client, "whole", model="claude-haiku-4-5", input=[result(first)], previous_response_id=first["id"])
    assert [block["type"] for block in seen[1]["messages"][1]["content"]] == ["text", "tool_use"]
    assert "thinking" not in seen[1], "a budget cannot be asked for behind a call without its thoughts"


def test_a_conversation_keeps_them_too(client: Client, seen: list[Json]) -> None:
    status, conversation = client.post("/v1/conversations")
    assert status == 200
    first = make(client, "whole", input="Weather?", conversation=conversation["id"])
    make(client, "streamed", input=[result(first)], conversation=conversation["id"])
    check_second(seen[1])


def test_the_prefix_is_the_same_in_each_request(client: Client, seen: list[Json]) -> None:
    first = make(client, "whole", input="Weather?", instructions="Be kind.")
    make(client, "whole", input=[result(first)], instructions="Be kind.", previous_response_id=first["id"])
    one, two = (json.loads(json.dumps(request)) for request in seen)
    for request in (one, two):
        assert json.dumps(request).count('"cache_control"') == (3 if request is one else 4)
        for message_ in request["messages"]:
            message_["content"][-1].pop("cache_control", None)
    assert (two["system"], two["tools"], two["messages"][:1]) == (one["system"], one["tools"], one["messages"])


def test_its_models_are_listed_with_their_windows(client: Client) -> None:
    _, listed = client.get("/v1/models")
    assert {model["id"] for model in listed["data"]} >= {"claude-opus-4-5", "claude-haiku-4-5"}


def test_tokens_are_counted_by_the_server(client: Client) -> None:
    status, counted = client.post("/v1/responses/input_tokens", model="claude-opus-4-5", input="Hello")
    assert (status, counted["input_tokens"]) == (200, 321)


@pytest.fixture
def recalling() -> Iterator[Client]:
    """A server that remembers thoughts by call, for clients that drop them."""
    with upstream(Messages) as url:
        backend = BackendConfig(url=url.removesuffix("/v1"), api="anthropic", key="sk-theirs", break_after=0)
        with whole_server(backends={"upstream": backend}) as client:
            yield client


def test_chat_completions_are_translated(recalling: Client, seen: list[Json]) -> None:
    function = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
    user = {"role": "user", "content": "Weather?"}
    asked = {"model": "claude-opus-4-5", "messages": [user], "tools": [function], "reasoning_effort": "low"}
    status, body = recalling.post("/v1/chat/completions", **asked)
    assert status == 200, body
    choice = body["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls" and call["function"]["name"] == "get_weather"
    result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
    again = {**asked, "messages": [*asked["messages"], choice["message"], result]}
    status, body = recalling.post("/v1/chat/completions", **again)
    assert status == 200 and body["choices"][0]["message"]["content"] == "It is sunny."
    check_second(seen[1])  # with the thoughts and their signature, which chat clients do not carry


def test_an_overloaded_server_is_busy_and_another_model_stands_in(client: Client, seen: list[Json]) -> None:
    status, body = client.post("/v1/responses", model="full", input="a")
    assert (status, body["error"]["code"], body["error"]["message"]) == (503, "backend_unavailable", "Overloaded")
    assert client.create(model="busy", input="a")["output"][-1]["content"][0]["text"] == "It is sunny."
    assert [request["model"] for request in seen] == ["overloaded", "overloaded", "claude-haiku-4-5"]
