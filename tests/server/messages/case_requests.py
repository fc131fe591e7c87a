"""Requests of the Messages API, sent through the SDK and by hand."""

from __future__ import annotations

import base64
from typing import Any

import httpx2 as httpx

from tests.server.messages.planned import Planned
from tests.server.test_messages import folded, same
from tests.server.whole import Client, Json


def asking(messages: list[Json] | str = "Hi.", **fields: Any) -> Json:
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    return {"model": "m", "max_tokens": 100, "messages": messages, **fields}


def post(
    client: Client, body: Json, headers: dict[str, str] | None = None, path: str = "/v1/messages"
) -> httpx.Response:
    return httpx.post(client.url + path, json=body, headers={**client.headers, **(headers or {})})


def both(client: Client, messages: list[Json] | str, **fields: Any) -> Json:
    """Return a Message, which is the same streamed and not."""
    body = asking(messages, **fields)
    whole = post(client, body)
    assert whole.status_code == 200, whole.text
    message = whole.json()
    assert same(folded(post(client, {**body, "stream": True}).text))["content"] == same(message)["content"]
    return dict(message)


def sent() -> list[Json]:
    """Return the messages of the backend's last request."""
    return list(Planned.asked[-1]["messages"])


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()


# Blocks


def call(index: int, id: str, name: str = "f", arguments: str = "") -> Json:
    """Return a piece of a call as chat completions have it."""
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}


def more(index: int, arguments: str) -> Json:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


TOOL = {"name": "f", "input_schema": {"type": "object"}}
SHAPES: dict[str, tuple[list[Json], str, list[Any], str]] = {
    "26 calls whose pieces interleave": (
        [call(0, "a"), call(1, "b"), more(0, '{"x"'), more(1, '{"y"'), more(0, ":1}"), more(1, ":2}")],
        "tool_calls",
        [{"x": 1}, {"y": 2}],
        "tool_use",
    ),
    "27 text behind a call": (
        [{"content": "One."}, call(0, "a", arguments="{}"), {"content": "Two."}],
        "tool_calls",
        ["One.", {}, "Two."],
        "tool_use",
    ),
    "28 a call without arguments": ([call(0, "a")], "tool_calls", [{}], "tool_use"),
    "29 a call that ends with stop": ([call(0, "a", arguments='{"x":1}')], "stop", [{"x": 1}], "tool_use"),
    "37 a late thought": (
        [{"content": "One."}, {"reasoning_content": "Hm."}, {"content": "Two."}],
        "stop",
        ["One.", "(Hm.)", "Two."],
        "end_turn",
    ),
}


THOUGHT = {"deltas": [{"reasoning_content": "I must call."}, {"content": "Well."}]}
