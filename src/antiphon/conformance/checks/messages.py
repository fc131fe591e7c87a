"""Anthropic's Messages API."""

from __future__ import annotations

from typing import Any

from antiphon.conformance.base import Area, NotOffered
from antiphon.conformance.checks.responses import ROOM
from antiphon.conformance.checks.tools import PARIS, PLACE
from antiphon.conformance.grammar import parsed
from antiphon.conformance.shapes import MESSAGES_ANSWER, MESSAGES_OUTPUT, MESSAGES_USAGE, TOOL_USE
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json, decoded

AREA = Area("messages")
SECTION = "Anthropic API reference, Messages"
HELLO = [{"role": "user", "content": "Say hello."}]
TOOL: Json = {"name": "get_weather", "description": "Get the weather of a place.", "input_schema": PLACE}
CHOICE: Json = {"type": "tool", "name": "get_weather"}


async def answered(talk: CheckTalk, **fields: Any) -> Json:
    """Make a message. Raises NonConforming, NotOffered."""
    body = {"model": talk.model, "messages": HELLO, "max_tokens": ROOM, **fields}
    made = talk.fits(await talk.ok("POST", "/messages", body), MESSAGES_ANSWER, "message")
    talk.fits(made["usage"], MESSAGES_USAGE, "message.usage")
    return made


def text_of(message: Json) -> str:
    """Return the text of a message."""
    return "".join(str(block.get("text", "")) for block in message["content"] if isinstance(block, dict))


@AREA.check("text", "a message is answered, and its tokens are counted", SECTION, optional=False)
async def _text(talk: CheckTalk) -> None:
    made = await answered(talk, system="Be brief.")
    talk.need(text_of(made).strip(), "the message says nothing")
    talk.need(made["stop_reason"] == "end_turn", f"stop_reason is {made['stop_reason'][:40]}, not end_turn")


@AREA.check(
    "stream",
    "events come in order, with names; deltas stand within their block",
    f"{SECTION}, Streaming",
    optional=False,
)
async def _stream(talk: CheckTalk) -> None:
    body = {"model": talk.model, "messages": HELLO, "max_tokens": ROOM}
    events = [event for event in parsed(talk, (await talk.events("/messages", body)).events) if event["type"] != "ping"]
    kinds = [event["type"] for event in events]
    talk.need(
        kinds and kinds[0] == "message_start", f"the first event is {(kinds or ['none'])[0][:40]}, not message_start"
    )
    talk.need(kinds[-2:] == ["message_delta", "message_stop"], "the last events are not message_delta and message_stop")
    open_block: Any = None
    said = []
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            talk.need(open_block is None, "a block starts within another")
            open_block = event.get("index")
        talk.need(
            open_block is not None and event.get("index") == open_block, f"{event['type'][:40]} outside of its block"
        )
        if event["type"] == "content_block_delta":
            said.append(str((event.get("delta") or {}).get("text", "")))
        elif event["type"] == "content_block_stop":
            open_block = None
    talk.need(open_block is None, "a block does not stop")
    talk.need("".join(said).strip(), "the deltas say nothing")
    talk.need((events[-2].get("delta") or {}).get("stop_reason") == "end_turn", "stop_reason is not end_turn")
    talk.fits(events[-2].get("usage"), MESSAGES_OUTPUT, "usage")


@AREA.check(
    "forced call", "a tool that `tool_choice` names is called, and its result is answered", f"{SECTION}, Tool use"
)
async def _call(talk: CheckTalk) -> None:
    asked = [{"role": "user", "content": PARIS}]
    made = await answered(talk, messages=asked, tools=[TOOL], tool_choice=CHOICE)
    calls = [block for block in made["content"] if isinstance(block, dict) and block.get("type") == "tool_use"]
    talk.need(calls, "the model called no tool")
    call = talk.fits(calls[0], TOOL_USE, "call")
    talk.need(call["name"] == "get_weather", "it called another tool")
    talk.need(made["stop_reason"] == "tool_use", f"stop_reason is {made['stop_reason'][:40]}, not tool_use")
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "18 degrees, sunny"}
    said = [*asked, {"role": "assistant", "content": made["content"]}, {"role": "user", "content": [result]}]
    after = await answered(talk, messages=said, tools=[TOOL])
    talk.need(after["content"], "the result of the call is not answered")


@AREA.check("forced call, streamed", "the input of a call is streamed as JSON", f"{SECTION}, Streaming")
async def _streamed_call(talk: CheckTalk) -> None:
    asked = [{"role": "user", "content": PARIS}]
    body = {"model": talk.model, "messages": asked, "max_tokens": ROOM, "tools": [TOOL], "tool_choice": CHOICE}
    events = parsed(talk, (await talk.events("/messages", body)).events)
    starts = [event.get("content_block") or {} for event in events if event["type"] == "content_block_start"]
    talk.need(any(block.get("type") == "tool_use" for block in starts), "the model called no tool")
    said = "".join(
        str((event.get("delta") or {}).get("partial_json", ""))
        for event in events
        if event["type"] == "content_block_delta"
    )
    talk.need(isinstance(decoded(said.encode()), dict), "the pieces are no JSON object together")


@AREA.check("count tokens", "the tokens of a request are counted", f"{SECTION}, Count tokens")
async def _count(talk: CheckTalk) -> None:
    few = await talk.ok("POST", "/messages/count_tokens", {"model": talk.model, "messages": HELLO})
    long = [{"role": "user", "content": "Say hello. " * 50}]
    more = await talk.ok("POST", "/messages/count_tokens", {"model": talk.model, "messages": long})
    counts = [count.get("input_tokens") for count in (few, more)]
    talk.need(all(isinstance(count, int) for count in counts), "input_tokens is no number")
    talk.need(0 < counts[0] < counts[1], "a longer message has no more tokens")  # type: ignore[operator]  # `need` above: numbers


@AREA.check("error", "a bad request is a 400 with Anthropic's error object", f"{SECTION}, Errors")
async def _error(talk: CheckTalk) -> None:
    body = {"model": talk.model, "messages": [{"role": "nobody", "content": "Hi"}], "max_tokens": 8}
    answer = await talk.send("POST", "/messages", body)
    if answer.status in (404, 405, 501):
        raise NotOffered(f"POST /messages: {answer.status}")
    talk.need(answer.status in (400, 422), f"{answer.status} instead of a 400")
    value = answer.json
    talk.need(isinstance(value, dict) and isinstance(value.get("error"), dict), "the body has no error object")
    talk.want(value.get("type") == "error", "the body's type is not `error`")
    talk.need(value["error"].get("type") and value["error"].get("message"), "the error has no type and message")
