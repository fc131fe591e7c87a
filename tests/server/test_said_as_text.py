"""What models say as text, or beside it, through the whole server: calls, thoughts, sources, pictures; streamed, continued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from tests.core.text.leaked_calls import BARE, GLM, HERMES, KIMI, KIMI_K3, MINIMAX, QWEN
from tests.core.text.test_leaks import DSML
from tests.server.whole import Client, Json, turn, upstream, whole_server

pytestmark = pytest.mark.slow

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS = [{"type": "function", "name": name, "parameters": PARAMETERS} for name in ("get_weather", "get_time")]
LEAKED = {
    "hermes": HERMES,
    "qwen": QWEN,
    "glm": GLM,
    "minimax": MINIMAX,
    "kimi": KIMI,
    "kimi k3": KIMI_K3,
    "dsml": DSML,
    "bare": BARE,
    "pythonic": '[get_weather(city="Paris")]',
    "dsml with two bars": DSML.replace("｜DSML｜", "｜｜DSML｜｜"),
    "gemma": '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>}<tool_call|>',
    "gpt-oss": '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>',
    "mistral": '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}',
}
SOURCE = {
    "type": "url_citation",
    "url_citation": {"url": "https://example.com/a", "title": "A", "start_index": 0, "end_index": 2},
}
PIXEL = "iVBORw0KGgo="


class Speaker(BaseHTTPRequestHandler):
    """Says what the last user message holds: a message as JSON; behind outputs of tools, that it is done."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[Json]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(b'{"data":[{"id":"m"}]}', "application/json")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append(body)
        last = body["messages"][-1]
        message = {"content": "Done."} if last["role"] == "tool" else json.loads(last["content"])
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return self._send(json.dumps({"choices": [choice]}).encode(), "application/json")
        pieces = [{"content": piece} for piece in message.pop("content", None) or ()]
        if "reasoning" in message:
            pieces.insert(0, {"reasoning": message.pop("reasoning")})
        chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in (*pieces, message)]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        data = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        return self._send(data + b"data: [DONE]\n\n", "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with upstream(Speaker) as url, whole_server(url) as client:
        yield client


def say(**message: Any) -> Json:
    return {"role": "user", "content": json.dumps(message)}


def answered(client: Client, mode: str, **fields: Any) -> tuple[Json, list[Json]]:
    if mode == "whole":
        return client.create(model="m", **fields), []
    if mode == "streamed":
        events = client.stream(model="m", **fields)
    else:
        with client.websocket() as connection:
            events = turn(connection, model="m", **fields)
    return events[-1]["response"], events


def items(response: Json, type: str) -> list[Json]:
    return [item for item in response["output"] if item["type"] == type]


MODES = pytest.mark.parametrize("mode", ["whole", "streamed", "websocket"])


@MODES
@pytest.mark.parametrize("way", ["chained", "replayed"])
@pytest.mark.parametrize("form", LEAKED)
def test_a_leaked_call_is_a_call(client: Client, form: str, way: str, mode: str) -> None:
    asked = say(content=f"<think>Hm.</think>{LEAKED[form]}")
    response, _ = answered(client, mode, input=[asked], tools=TOOLS)
    calls = items(response, "function_call")
    assert calls and not items(response, "message")
    assert json.loads(calls[0]["arguments"])["city"] in ("Paris", "2024")
    outputs = [{"type": "function_call_output", "call_id": call["call_id"], "output": "1"} for call in calls]
    more: Json = {"previous_response_id": response["id"], "input": outputs}
    if way == "replayed":
        more = {"store": False, "input": [asked, *response["output"], *outputs]}
    after, _ = answered(client, mode, tools=TOOLS, **more)
    assert after["status"] == "completed" and items(after, "message")[0]["content"][0]["text"] == "Done."
    sent = Speaker.seen[-1]["messages"]
    assert [call["function"]["name"] for call in sent[-len(calls) - 1]["tool_calls"]] == [
        call["name"] for call in calls
    ]


@MODES
@pytest.mark.parametrize("form", LEAKED)
def test_without_functions_or_where_calls_are_forbidden_it_is_text(client: Client, form: str, mode: str) -> None:
    for fields in ({}, {"tools": TOOLS, "tool_choice": "none"}):
        response, _ = answered(client, mode, input=[say(content=LEAKED[form])], **fields)
        assert [item["type"] for item in response["output"]] == ["message"]
        assert response["output"][0]["content"][0]["text"] == LEAKED[form]


@MODES
@pytest.mark.parametrize("way", ["chained", "replayed"])
def test_sources_and_pictures_are_told_and_do_not_disturb_what_follows(client: Client, way: str, mode: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    asked = say(content="Hi", annotations=[SOURCE], images=[picture])
    response, events = answered(client, mode, input=[asked])
    (message,), (made,) = items(response, "message"), items(response, "image_generation_call")
    (annotation,) = message["content"][0]["annotations"]
    assert (annotation["url"], annotation["start_index"], annotation["end_index"]) == ("https://example.com/a", 0, 2)
    assert (made["status"], made["result"]) == ("completed", PIXEL)
    if events:
        types = [event["type"] for event in events]
        assert types.index("response.output_text.annotation.added") < types.index("response.output_text.done")
        assert [event["annotation"] for event in events if "annotation" in event] == [annotation]
    more: Json = {"previous_response_id": response["id"], "input": [say(content="Ho")]}
    if way == "replayed":
        more = {"store": False, "input": [asked, *response["output"], say(content="Ho")]}
    after, _ = answered(client, mode, **more)
    assert items(after, "message")[0]["content"][0]["text"] == "Ho"
    kept = client.get(f"/v1/responses/{response['id']}")[1]
    assert kept["output"] == response["output"]
