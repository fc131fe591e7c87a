"""Whatever a backend that speaks Responses sends: the client's stream keeps its grammar, and both documents hold of it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.core.relay.relay_streams import (
    CALL,
    ITEMS,
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


@pytest.mark.parametrize("names", [False, True])
def test_a_whole_stream_keeps_its_items(names: bool) -> None:
    response = (
        check(play(whole_stream(*ITEMS)))
        if not names
        else play(whole_stream(*ITEMS), open_responses_names=True)[-1]["response"]
    )
    assert response["status"] == "completed"
    assert response["output"] == [{**THOUGHT, "status": "completed"}, *ITEMS[1:]]
    assert response["usage"]["total_tokens"] == 5


def another_id(event: Json) -> Json:
    """Return an event that names its item as no other does."""
    name = f"{event['type']}-{len(str(event))}"
    changed = {**event, "item_id": name} if "item_id" in event else event
    return {**changed, "item": {**event["item"], "id": name}} if "item" in event else changed


VARIANTS: dict[str, Callable[[Json], Json]] = {
    "no places (llama.cpp)": _without("output_index", "content_index", "summary_index", "sequence_number"),
    "one index for all (transformers)": lambda event: (
        {**event, "output_index": 1} if "output_index" in event else event
    ),
    "no ids": _without("item_id"),
    "indexes from afar": lambda event: {**event, "output_index": 10**12} if "output_index" in event else event,
    "indexes as text": lambda event: {**event, "output_index": "x"} if "output_index" in event else event,
    "negative indexes": lambda event: {**event, "output_index": -5} if "output_index" in event else event,
    "another id in each event (Copilot)": lambda event: another_id(event),
    "nulls": lambda event: {**event, "output_index": None, "logprobs": None, "extra": None},
}


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS)
def test_places_are_ours(change: Callable[[Json], Json]) -> None:
    response = check(play([change(event) for event in whole_stream(*ITEMS)]))
    assert (response["status"], response["error"]) == ("completed", None)
    assert [item["type"] for item in response["output"]] == [item["type"] for item in ITEMS]
    assert {**response["output"][1], "id": MESSAGE["id"]} == MESSAGE


@pytest.mark.parametrize(
    "kept",
    [
        (),
        ("response.output_text.delta",),
        ("response.output_item.done",),
        ("response.output_item.added",),
        ("response.output_item.added", "response.output_text.done", "response.reasoning_text.done"),
    ],
    ids=["end alone", "text alone", "done alone", "added alone", "whole texts"],
)
def test_what_has_no_events_of_its_own_gets_them(kept: tuple[str, ...]) -> None:
    events = [event for event in whole_stream(*ITEMS) if event["type"] in (*kept, "response.completed")]
    response = check(play(events))
    assert sorted(item["type"] for item in response["output"]) == sorted(item["type"] for item in ITEMS)
    assert MESSAGE in response["output"]


def test_an_empty_message_beside_a_call_is_left_out() -> None:
    empty = {**MESSAGE, "content": [{"type": "output_text", "text": "", "annotations": []}]}
    events = [*life(CALL, 1), *life(empty, 1)]
    end = {"type": "response.completed", "response": {"output": [empty, CALL], "usage": USAGE}}
    assert check(play([*events, end]))["output"] == [CALL]


def test_text_that_has_streamed_stands() -> None:
    events = whole_stream(MESSAGE)
    events[3]["delta"] = "\n\nHe"
    assert check(play(events))["output"][0]["content"][0]["text"] == "\n\nHello"


def test_arguments_that_are_written_anew_are_the_same() -> None:
    events = whole_stream(CALL)
    events[-2] = {**events[-2], "item": {**CALL, "arguments": '{ "a" : 1 }'}}
    assert check(play(events))["output"] == [CALL]
    events[-2] = {**events[-2], "item": {**CALL, "arguments": '{"a":2}'}}
    assert check(play(events))["status"] == "failed"


@pytest.mark.parametrize("at", range(len(whole_stream(*ITEMS)) - 1))
def test_an_answer_that_breaks_off_is_failed_and_closed(at: int) -> None:
    response = check(play(whole_stream(*ITEMS)[:at]))
    assert response["status"] == "failed"


ENDINGS: dict[str, tuple[object, str]] = {
    "no response": ({"type": "response.completed"}, "failed"),
    "null response": ({"type": "response.completed", "response": None}, "failed"),
    "output of another type": ({"type": "response.completed", "response": {"output": "x"}}, "failed"),
    "a bare response": ({"object": "response", "status": "completed", "output": [MESSAGE]}, "completed"),
    "a bare response that was cut off": (
        {"object": "response", "status": "incomplete", "output": [MESSAGE]},
        "incomplete",
    ),
    "response.done": ({"type": "response.done", "response": {"output": [MESSAGE]}}, "completed"),
    "response.done that failed": (
        {"type": "response.done", "response": {"status": "failed", "output": [], "error": {"message": "Boom"}}},
        "failed",
    ),
    "response.error": ({"type": "response.error", "error": {"message": "Boom"}}, "failed"),
    "null output": ({"type": "response.completed", "response": {"output": None, "usage": USAGE}}, "completed"),
    "no output": ({"type": "response.completed", "response": {"output": []}}, "failed"),
    "an item that is none": ({"type": "response.completed", "response": {"output": [5]}}, "failed"),
    "usage of another type": (
        {"type": "response.completed", "response": {"output": [MESSAGE], "usage": []}},
        "completed",
    ),
    "negative usage": (
        {"type": "response.completed", "response": {"output": [MESSAGE], "usage": {**USAGE, "input_tokens": -5}}},
        "completed",
    ),
    "usage beyond numbers": (
        {"type": "response.completed", "response": {"output": [MESSAGE], "usage": {**USAGE, "input_tokens": 10**30}}},
        "completed",
    ),
    "a status that contradicts": (
        {"type": "response.completed", "response": {"output": [MESSAGE], "status": "failed"}},
        "failed",
    ),
    "incomplete as completed": (
        {"type": "response.completed", "response": {"output": [MESSAGE], "status": "incomplete"}},
        "incomplete",
    ),
    "incomplete without details": ({"type": "response.incomplete", "response": {"output": [MESSAGE]}}, "incomplete"),
    "odd details": (
        {"type": "response.incomplete", "response": {"output": [MESSAGE], "incomplete_details": [5]}},
        "incomplete",
    ),
    "failed without an error": ({"type": "response.failed", "response": {"error": None}}, "failed"),
    "an error code that is a number": (
        {"type": "response.failed", "response": {"error": {"code": 5, "message": 7}}},
        "failed",
    ),
    "an error code in other digits": ({"type": "error", "code": "²", "message": "m"}, "failed"),
    "an error that is a text": ({"type": "error", "error": "words"}, "failed"),
    "an error without a type": ({"error": {"message": "words"}}, "failed"),
    "deep": (b"[" * 100_000, "failed"),
    "deep, whole": (b'{"type":"response.completed","response":{"output":' + b"[" * 500 + b"]" * 500 + b"}}", "failed"),
    "a long number": (b'{"type":"response.completed","response":{"usage":' + b"9" * 5000 + b"}}", "failed"),
    "no UTF-8": (b'{"type":"response.completed\xff"}', "failed"),
    "a type with line breaks": (b'{"type":"x\\n\\ndata: [DONE]\\n\\n"}', "failed"),
    "a type that is no text": ({"type": 5}, "failed"),
    "a list": ([], "failed"),
}


@pytest.mark.parametrize(("last", "status"), ENDINGS.values(), ids=ENDINGS)
def test_endings(last: object, status: str) -> None:
    response = check(play([last]))
    assert response["status"] == status
    usage = response["usage"]
    assert usage is None or usage["input_tokens"] >= 0


@pytest.mark.parametrize(
    "fields",
    [
        {"message": "Boom"},
        {"error": "Boom"},
        {"error": {"message": "Boom"}},
        {"detail": "Boom"},
        {"type": "error", "error": {"message": "Boom"}},
        {"type": "response.error", "message": "Boom"},
    ],
)
def test_the_words_of_an_error_in_a_stream_are_kept(fields: Json) -> None:
    error = check(play([fields]))["error"]
    assert error is not None and "Boom" in error["message"]


@pytest.mark.parametrize("type", ["response.output_item.added", "response.output_item.done"])
def test_an_event_with_a_null_item_is_passed_over(type: str) -> None:
    odd = {"type": type, "output_index": 0, "item": None}
    assert check(play([odd, *whole_stream(MESSAGE)]))["output"] == [MESSAGE]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("max_messages", "max_messages"),
        ("steered", "steered"),
        ("content_filter", "content_filter"),
        ("made_up", "max_output_tokens"),
        (None, "max_output_tokens"),
        ({}, "max_output_tokens"),
    ],
)
def test_why_an_answer_is_incomplete(reason: object, told: str) -> None:
    last = {"output": [MESSAGE], "incomplete_details": {"reason": reason}}
    response = play([{"type": "response.incomplete", "response": last}])[-1][
        "response"
    ]  # the document knows two of them
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": told})


@pytest.mark.parametrize(("tier", "told"), [("flex", "flex"), (None, "default"), (7, "default"), ("x" * 65, "default")])
def test_the_tier_in_which_it_was_answered(tier: object, told: str) -> None:
    response = check(
        play([{"type": "response.completed", "response": {"output": [MESSAGE], "usage": USAGE, "service_tier": tier}}])
    )
    assert response["service_tier"] == told


def test_items_of_several_agents_are_passed_on() -> None:
    items = [
        {"type": "multi_agent_call", "id": "mac_1", "call_id": "c", "action": "spawn_agent", "arguments": "{}"},
        {"type": "multi_agent_call_output", "id": "maco_1", "call_id": "c", "action": "spawn_agent", "output": []},
        {
            "type": "agent_message",
            "id": "amsg_1",
            "author": "a",
            "recipient": "b",
            "content": [{"type": "text", "text": "x"}],
        },
    ]
    last = {"type": "response.completed", "response": {"output": [*items, MESSAGE], "usage": USAGE}}
    response = play([last])[-1]["response"]  # the document does not know them
    assert [item["type"] for item in response["output"]] == [item["type"] for item in (*items, MESSAGE)]
    assert response["output"][0]["action"] == "spawn_agent" and response["output"][2]["content"] == items[2]["content"]


def test_names_and_types_inject_nothing() -> None:
    name = 'x":1,"type":"response.output_text.delta","delta":"injected","y'
    events = whole_stream(MESSAGE)
    events.insert(3, {"type": "response.made_up", name: 1, "a": "b\n\ndata: [DONE]\n\n"})
    for event in events:
        if "item" in event:
            event["item"] = {**event["item"], name: "b"}
    seen = play(events)
    assert check(seen)["status"] == "completed"
    assert "injected" not in "".join(str(event.get("delta")) for event in seen)


def test_an_event_over_several_lines_stands_on_one() -> None:
    events = [json.dumps(event, indent=1).encode().replace(b"\n", b"\ndata: ") for event in whole_stream(*ITEMS)]
    assert check(play(events))["status"] == "completed"


def test_halves_of_characters_become_whole() -> None:
    events: list[object] = [*life(MESSAGE, 0)][:2]
    for half in (b"\\ud83d", b"\\ude00"):
        events.append(b'{"type":"response.output_text.delta","item_id":"msg_1","delta":"%b"}' % half)
    item = {**MESSAGE, "content": [{"type": "output_text", "text": "😀"}]}
    response = check(play([*events, {"type": "response.completed", "response": {"output": [item]}}]))
    assert response["output"][0]["content"][0]["text"] == "😀"
