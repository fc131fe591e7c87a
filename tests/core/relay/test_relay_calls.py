"""Calls and thoughts of a Responses backend: names, inputs, ids, seals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.types.items import FunctionCall
from tests.core.relay.relay_streams import (
    CALL,
    CUSTOM,
    MESSAGE,
    THOUGHT,
    USAGE,
    Json,
    _without,
    check,
    life,
    play,
    whole_stream,
)

# Custom tools that a server gives to the model as functions

PATCH = "*** Begin Patch\n*** End Patch"
WRAPPED = json.dumps({"input": PATCH})


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def told_as_function(arguments: str, size: int) -> list[Json]:
    """Return the events of a call of the custom tool `g` that is told as a function's."""
    call = {**CALL, "name": "g", "arguments": arguments}
    where = {"item_id": call["id"], "output_index": 0}
    delta = "response.function_call_arguments.delta"
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {**call, "arguments": ""}},
        *({"type": delta, **where, "delta": piece} for piece in pieces(arguments, size)),
        {"type": "response.function_call_arguments.done", **where, "arguments": arguments, "name": "g"},
        {"type": "response.output_item.done", "output_index": 0, "item": call},
        {"type": "response.completed", "response": {"output": [call], "usage": USAGE}},
    ]


NAMED = [
    {"type": "function", "name": "read"},
    {"type": "custom", "name": "g"},
    {"type": "namespace", "name": "mcp__web", "description": "", "tools": [{"type": "function", "name": "search"}]},
]


@pytest.mark.parametrize(
    ("called", "name", "namespace"),
    [
        ({"name": "read<|channel|>commentary"}, "read", None),
        ({"name": "functions.read:0"}, "read", None),
        ({"name": "mcp__web.search"}, "search", "mcp__web"),
        ({"name": "search"}, "search", "mcp__web"),
        ({"name": "search", "namespace": "mcp__web"}, "search", "mcp__web"),
        ({"name": "search", "namespace": "functions.mcp__web"}, "search", "mcp__web"),
        ({"name": "functions.g"}, "g", None),
        ({"name": "nobody", "namespace": "n"}, "nobody", "n"),
    ],
)
def test_a_calls_name_is_the_one_that_was_offered(called: Json, name: str, namespace: str | None) -> None:
    call = {**CALL, **called}
    for events in (whole_stream(call), whole_stream(call)[-1:]):
        seen = play(events, custom=["g"], tools=NAMED)
        (item,) = check(seen)["output"]
        added = next(event["item"] for event in seen if event["type"] == "response.output_item.added")
        for one in (item, added):
            assert (one["name"], one.get("namespace")) == (name, namespace)
        assert item["type"] == ("custom_tool_call" if name == "g" else "function_call")


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("arguments", "input"),
    [(WRAPPED, PATCH), (json.dumps({"in": "ls"}), "ls"), ('{"a":1}', '{"a":1}'), (PATCH, PATCH), ('"ls"', "ls")],
)
def test_a_custom_tools_call_that_is_told_as_a_functions(arguments: str, input: str, size: int) -> None:
    made = check(play(told_as_function(arguments, size), custom=["g"]))["output"]
    expected = {"type": "custom_tool_call", "call_id": "c1", "name": "g", "input": input, "status": "completed"}
    assert [{name: made[0][name] for name in made[0] if name != "id"}] == [expected]
    end = told_as_function(arguments, size)[-1:]
    assert check(play(end, custom=["g"]))["output"][0]["input"] == input
    assert check(play(told_as_function(arguments, size)))["output"][0]["type"] == "function_call"


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("said", "input"),
    [
        (WRAPPED, PATCH),
        ('{ "input" : "a" }', "a"),
        ('{"input":"a","more":1}', '{"input":"a","more":1}'),
        ('{"input":5}', '{"input":5}'),
        ('{"in":"a"}', '{"in":"a"}'),
        ('{"inp', '{"inp'),
        ("{", "{"),
        (" " * 300 + '{"input":"a"}', " " * 300 + '{"input":"a"}'),
        (PATCH, PATCH),
    ],
)
def test_an_input_is_unwrapped_only_if_the_wrapping_is_all_of_it(said: str, input: str, size: int) -> None:
    call = {**CUSTOM, "input": said}
    where = {"item_id": call["id"], "output_index": 0}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**call, "input": ""}},
        *({"type": "response.custom_tool_call_input.delta", **where, "delta": piece} for piece in pieces(said, size)),
        {"type": "response.custom_tool_call_input.done", **where, "input": said},
        {"type": "response.output_item.done", "output_index": 0, "item": call},
        {"type": "response.completed", "response": {"output": [call], "usage": USAGE}},
    ]
    assert check(play(events))["output"] == [{**CUSTOM, "input": input}]
    assert check(play(events[: 1 + len(pieces(said, size))]))["output"][0]["input"] == input


# What other servers leave out


@pytest.mark.parametrize(
    ("limit", "tokens", "status"),
    [(None, 20, "completed"), (21, 20, "completed"), (20, 20, "incomplete"), (5, 20, "incomplete")],
)
def test_an_answer_of_as_many_tokens_as_allowed_was_cut(limit: int | None, tokens: int, status: str) -> None:
    events = whole_stream(MESSAGE)
    events[-1]["response"]["usage"] = {"input_tokens": 3, "output_tokens": tokens}
    response = check(play(events, limit))
    assert response["status"] == status
    assert response["incomplete_details"] == ({"reason": "max_output_tokens"} if status == "incomplete" else None)


def sealed_thoughts(theirs: object, **options: Any) -> Json:
    item: Json = check(play(whole_stream({**THOUGHT, "encrypted_content": theirs}, MESSAGE), **options))["output"][0]
    return item


def test_thoughts_are_sealed_here_where_the_server_seals_none() -> None:
    def seal(text: str) -> str:
        return f"ours: {text}"

    assert sealed_thoughts("theirs", seal=seal)["encrypted_content"] == "theirs"
    for none in (None, "", 5, "ANT2.key.reasoning.3.box"):
        assert sealed_thoughts(none, seal=seal)["encrypted_content"] == "ours: Hm."
        assert "encrypted_content" not in sealed_thoughts(none)


EARLY: dict[str, Callable[[Json], Json | None]] = {
    "named later": lambda event: event,
    "without ids": _without("item_id"),
    "without places": _without("output_index", "item_id"),
    "never announced": lambda event: None if event["type"].endswith("item.added") else event,
    "in the end alone": lambda event: None if "output_item" in event["type"] else event,
    "no pieces": lambda event: None if event["type"].endswith("delta") else event,
}


@pytest.mark.parametrize("custom", [(), ("g",)], ids=["function", "custom"])
@pytest.mark.parametrize("change", EARLY.values(), ids=EARLY)
def test_text_of_a_call_that_comes_before_its_name(change: Callable[[Json], Json | None], custom: tuple[str]) -> None:
    events = told_as_function(WRAPPED, 5)
    late = [*events[1:4], events[0], *events[4:]]
    changed = [event for event in map(change, late) if event is not None]
    (made,) = check(play(changed, custom=custom))["output"]
    assert made["input" if custom else "arguments"] == (PATCH if custom else WRAPPED)
    nameless = check(play([*events[1:4], {"type": "response.completed", "response": {"output": [], "usage": USAGE}}]))
    assert nameless["status"] == "failed"


# Ids of calls


def test_ids_of_calls_are_unique_in_an_answer_and_in_a_history() -> None:
    calls = [{**CALL, "id": f"fc_{number}", "call_id": "f:0"} for number in range(3)]
    history = [FunctionCall(call_id="f:0", name="f", arguments="{}")]
    seen = play(whole_stream(*calls, CUSTOM), history=history)
    ids = [item["call_id"] for item in check(seen)["output"]]
    assert ids == ["f:1", "f:2", "f:3", "c2"]
    added = [event["item"]["call_id"] for event in seen if event["type"] == "response.output_item.added"]
    assert added == ids


# What servers say in other words


@pytest.mark.parametrize("content", ["Hello", [{"type": "text", "text": "Hello"}], ["Hel", "lo"], [{"text": "Hello"}]])
def test_a_text_in_other_shapes_is_one(content: object) -> None:
    item = {"type": "message", "content": content}
    (made,) = check(play([{"type": "response.completed", "response": {"output": [item], "usage": USAGE}}]))["output"]
    assert "".join(part["text"] for part in made["content"]) == "Hello"


@pytest.mark.parametrize("name", ["content", "summary"])
def test_thoughts_in_other_shapes_are_some(name: str) -> None:
    for told in ("hm", ["hm"], [{"type": "text", "text": "hm"}], [{"text": "hm"}]):
        output = [{"type": "reasoning", name: told}, MESSAGE]
        thoughts, _ = check(play([{"type": "response.completed", "response": {"output": output}}]))["output"]
        assert [part["text"] for part in thoughts[name]] == ["hm"]
    events: list[Json] = [{"type": "response.reasoning_summary.delta", "item_id": "rs_1", "delta": "hm"}]
    thoughts, _ = check(play([*events, *life(MESSAGE, 1), whole_stream()[-1]]))["output"]
    assert thoughts["summary"] == [{"type": "summary_text", "text": "hm"}]


def test_a_part_without_a_text_that_nobody_knows_is_no_answer() -> None:
    item = {"type": "message", "content": [{"type": "output_picture", "data": "x"}]}
    assert check(play([{"type": "response.completed", "response": {"output": [item]}}]))["status"] == "failed"


def test_the_text_that_sdks_add_is_enough() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    end = {"type": "response.completed", "response": {"output": [], "output_text": "Hello", "usage": usage}}
    response = check(play([end]))
    assert response["output"][0]["content"][0]["text"] == "Hello"
    assert (response["usage"]["input_tokens"], response["usage"]["output_tokens"]) == (3, 2)
    assert check(play([*life(MESSAGE, 0), end]))["output"] == [MESSAGE]


def test_a_call_may_leave_its_name_out_in_the_end() -> None:
    events = whole_stream(CALL)
    for event in events:
        if event["type"].endswith("item.done"):
            event["item"] = {name: value for name, value in CALL.items() if name not in ("name", "call_id")}
    events[-1]["response"]["output"] = []
    assert check(play(events))["output"] == [CALL]
