"""What of a Messages request a chat backend gets: spellings that mean the same are the same bytes, history keeps its place."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from antiphon.backends.chat.codec import CodecOptions, request
from antiphon.backends.chat.profiles import PROFILES, Policies
from antiphon.core.request.text_format import PLAIN
from antiphon.core.turn import Turn
from antiphon.errors import InvalidRequest
from antiphon.server.messages.decoder import MessagesRequestDecoder

Json = dict[str, Any]
CACHED = {"cache_control": {"type": "ephemeral"}}


async def planned(*, most: int, **fields: Any) -> Turn:
    """Return the Turn of a request, as Intake makes it of what the decoder read."""
    body = {"model": "m", "max_tokens": most, **fields}
    asked = await MessagesRequestDecoder(lambda name: name).decode(json.dumps(body).encode())
    reasoning = asked.request.reasoning
    return Turn(
        model="m",
        request=asked.request,
        instructions=asked.request.instructions,
        items=asked.items,
        tools=asked.tools,
        tool_choice="auto",
        parallel_tool_calls=True,
        text=PLAIN,
        temperature=None,
        top_p=None,
        max_output_tokens=most,
        reasoning_effort=reasoning.effort if reasoning is not None else None,
        extra={},
        options=asked.options,
    )


async def sent(roles: Any = "auto", **fields: Any) -> bytes:
    """Return the chat messages that come of a request."""
    turn = await planned(most=9, **fields)
    options = CodecOptions(profile=PROFILES["vllm"], policies=Policies(roles=roles))
    return bytes(msgspec.json.decode(request(turn, options)[0], type=dict[str, Raw])["messages"])


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"messages": [user("Hi.")]}, {"messages": [user([text("Hi.", **CACHED)])]}),
        ({"messages": [user("Hi.")]}, {"messages": [user([text(""), text("Hi.")])]}),
        (
            {"system": "Be brief.", "messages": [user("Hi.")]},
            {"system": [text("Be brief.", **CACHED)], "messages": [user("Hi.")]},
        ),
        (
            {"system": [text("x-anthropic-billing-header: cc=1;"), text("Be brief.")], "messages": [user("Hi.")]},
            {"system": "Be brief.", "messages": [user("Hi.")]},
        ),
        (
            {"messages": [user("Hi."), {"role": "system", "content": "Now."}]},
            {"messages": [user("Hi."), {"role": "system", "content": [text("Now.", **CACHED)]}]},
        ),
        ({"messages": [user("a"), user("b")]}, {"messages": [user([text("a"), text("b")])]}),
    ],
)
async def test_spellings_that_mean_the_same(first: Json, second: Json) -> None:
    assert await sent(**first) == await sent(**second)


async def test_the_billing_line_is_text_anywhere_else() -> None:
    line = "x-anthropic-billing-header: cc=1;"
    assert line.encode() in await sent(messages=[user(line)])
    assert line.encode() in await sent(system=[text("a"), text(line)], messages=[user("Hi.")])


@pytest.mark.parametrize("roles", ["auto", "merge", "merge-first", "alternate", "user"])
async def test_what_was_sent_stays_the_beginning_of_what_is_sent_next(roles: str) -> None:
    """System messages of the conversation stay at their place, also for models that take one at the front only."""
    turns: list[Json] = [
        user("Hi."),
        {"role": "system", "content": "Now it is noon."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {"b": 1, "a": 2}}]},
        user([text("And?"), {"type": "tool_result", "tool_use_id": "c1", "content": "3"}]),
        {"role": "assistant", "content": "Three."},
        user("Go on."),
        {"role": "system", "content": "Now it is one."},
    ]
    first = await sent(roles, system="Be brief.", messages=turns[:2])
    second = await sent(roles, system="Be brief.", messages=turns)
    assert second.startswith(first[:-1])
    messages = json.loads(second)
    assert [m["role"] for m in messages].count("system") == {"auto": 3, "merge": 3, "user": 0}.get(roles, 1)
    if roles not in ("auto", "merge"):
        assert "<system-reminder>\nNow it is one.\n</system-reminder>" in json.dumps(messages[-1]).replace("\\n", "\n")
    call = next(m for m in messages if m.get("tool_calls"))
    assert call["tool_calls"][0]["function"]["arguments"].replace(" ", "") == '{"b":1,"a":2}'
    assert messages[messages.index(call) + 1]["content"] == "3"


async def test_deferred_tools_come_behind_the_others_once_they_are_referred_to() -> None:
    schema = {"type": "object"}
    tools = [
        {"name": "late", "input_schema": schema, "defer_loading": True},
        {"name": "f", "input_schema": schema},
        {"name": "later", "input_schema": schema, "defer_loading": True},
    ]
    history = [
        user("Hi."),
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        user(
            [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "tool_reference", "tool_name": "late"}]}]
        ),
    ]
    for messages, names in ((history[:1], ["f"]), (history, ["f", "late"])):
        body = {"model": "m", "max_tokens": 9, "messages": messages, "tools": tools}
        asked = await MessagesRequestDecoder(lambda name: name).decode(json.dumps(body).encode())
        assert [tool.name for tool in asked.tools] == names  # type: ignore[union-attr]  # functions alone are declared


async def asked_of(profile: str, **fields: Any) -> Json:
    """Return the whole request that a server of a profile gets."""
    turn = await planned(most=2000, **fields)
    return dict(json.loads(request(turn, CodecOptions(profile=PROFILES[profile]))[0]))


PREFILLED = [user("Count."), {"role": "assistant", "content": "One, two,"}]
LAST = {"role": "assistant", "content": "One, two,"}


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_beginning_of_the_answer_is_continued_where_the_server_can(profile: str) -> None:
    how = PROFILES[profile].prefill
    if not how:
        with pytest.raises(InvalidRequest, match="does not support assistant message prefill"):
            await asked_of(profile, messages=PREFILLED)
        return
    sent = await asked_of(profile, messages=PREFILLED, thinking={"type": "adaptive"})
    wanted = LAST if how in ("native", "continue_final_message") else {**LAST, how: True}
    last = sent["messages"][-1]
    assert {name: last[name] for name in last if name != "reasoning_content"} == wanted
    assert sent.get("continue_final_message", False) is (how == "continue_final_message")
    assert sent.get("add_generation_prompt", True) is not (how == "continue_final_message")
    assert sent.get("chat_template_kwargs", {"enable_thinking": False}) == {"enable_thinking": False}


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_budget_of_thoughts_goes_to_servers_that_take_one(profile: str) -> None:
    field = PROFILES[profile].thinking_budget
    thinking = {"type": "enabled", "budget_tokens": 1500}
    sent = await asked_of(profile, messages=[user("Hi.")], thinking=thinking)
    assert 1500 in sent.values() if field else 1500 not in sent.values()
    assert sent.get(field or "none") == (1500 if field else None)
    off = await asked_of(profile, messages=[user("Hi.")])
    assert 1500 not in off.values()
