"""The two ways in which a request is read: in one pass where all in it is usual, and field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.errors import APIError
from antiphon.responses.intake.asked import Asked
from antiphon.server.messages.decoder import MessagesRequestDecoder
from antiphon.types.items import FunctionCallOutput
from antiphon.types.raw import JsonText

Json = dict[str, Any]

LONG = 'A line, "quoted".\n' * 100
MARK = {"cache_control": {"type": "ephemeral"}}
TOOL = {"name": "f", "description": "Does it.", "input_schema": {"type": "object", "properties": {}}}
MESSAGES: list[Json] = [
    {"role": "user", "content": "Go on."},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look.", "citations": None},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": "c2", "name": "f", "input": None},
            {"type": "tool_use", "id": "c3", "name": "f", "input": {}},
            {"type": "tool_use", "id": "c4", "name": "f", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"tool_use_id": "c1", "type": "tool_result", "content": LONG, "is_error": False},
            {"tool_use_id": "c2", "type": "tool_result", "content": "short", "is_error": None},
            {"tool_use_id": "c3", "type": "tool_result", "content": LONG, "is_error": True},
            {"tool_use_id": "c4", "type": "tool_result", "content": None},
            {"type": "text", "text": "And now?", **MARK},
        ],
    },
]
BODY = {"model": "m", "max_tokens": 9, "messages": MESSAGES, "tools": [TOOL], **MARK}


async def asked(body: Json) -> Asked:
    return await MessagesRequestDecoder(lambda name: name).decode(json.dumps(body).encode())


@pytest.mark.parametrize(
    "unusual",
    [
        {"service_tier": "auto"},
        {"messages": [*MESSAGES, {"role": "user", "content": [{"type": "hologram", "text": 7}]}]},
        {"messages": [*MESSAGES, {"role": "user", "content": [{"type": "search_result", "source": "s"}]}][:4]},
    ],
)
async def test_a_request_says_the_same_in_both_ways(unusual: Json) -> None:
    one, other = await asked(BODY), await asked({**BODY, **unusual})
    assert other.items[: len(one.items) - 1] == one.items[:-1]
    assert other.tools == one.tools


async def test_a_long_result_stays_json() -> None:
    """One that is an error has a word put before it, so it is decoded."""
    items = (await asked(BODY)).items
    outputs = [item.output for item in items if isinstance(item, FunctionCallOutput)]
    assert [type(output) for output in outputs] == [JsonText, str, str, str]
    assert [str(output) for output in outputs] == [LONG, "short", f"Error:\n{LONG}", ""]


async def test_the_same_tool_is_decoded_once() -> None:
    """What is made of a tool is kept under its identity. One that is refused is refused by its own place each time."""
    first, second = await asked(BODY), await asked({**BODY, "max_tokens": 8})
    assert first.tools[0] is second.tools[0]
    for at in (0, 1):
        tools = [TOOL] * at + [{"name": "f"}]
        with pytest.raises(APIError) as caught:
            await asked({**BODY, "tools": tools})
        assert caught.value.param == f"tools.{at}.input_schema"


async def test_a_missing_limit_is_told_before_what_is_wrong_with_a_message() -> None:
    messages = [*MESSAGES, {"role": "user", "content": [{"type": "image", "source": None}]}]
    with pytest.raises(APIError) as error:
        await asked({**BODY, "messages": messages, "max_tokens": None})
    assert error.value.param == "max_tokens"
