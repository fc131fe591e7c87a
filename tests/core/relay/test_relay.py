"""Whatever a backend that speaks Responses sends: the client's stream keeps its grammar, and both documents hold of it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
import pytest

from antiphon.backends.responses.decoder import ResponsesEventDecoder
from antiphon.core.json_encoding import to_json
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.stream.fold import fold
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.terms import StreamTerms
from antiphon.core.text.sse import SSEParser, encode
from antiphon.core.tools.tool_map import ToolMap
from antiphon.errors import BackendError
from antiphon.types.items import FunctionCall, Item
from antiphon.types.response import Response
from tests.golden.player import parsed
from tests.golden.rules import check_stream
from tests.oracle.divergences import DIVERGENCES
from tests.oracle.documents import OPENAI

Json = dict[str, Any]

USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
CITATION = {"type": "url_citation", "url": "https://example.org", "title": "E", "start_index": 0, "end_index": 2}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello", "annotations": [CITATION], "logprobs": []}],
}
THOUGHT = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "In short"}],
    "content": [{"type": "reasoning_text", "text": "Hm."}],
    "encrypted_content": "sealed",
    "status": None,
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "c1",
    "name": "f",
    "arguments": '{"a":1}',
    "status": "completed",
}
CUSTOM = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "ls", "status": "completed"}
SEARCH = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "x"},
}
IMAGE = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": None}


def life(item: Json, index: int) -> Iterator[Json]:
    """Yield all events of an item, as OpenAI sends them."""
    where = {"item_id": item["id"], "output_index": index}
    begun = {**item, "status": "in_progress"}
    if "content" in item:
        begun["content"] = []
    if "summary" in item:
        begun["summary"] = []
    for name in ("arguments", "input"):
        if name in item:
            begun[name] = ""
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    for name, parts in (("summary", item.get("summary", [])), ("content", item.get("content", []))):
        for place, part in enumerate(parts):
            yield from part_life(name, where, place, part)
    for name, type in (("arguments", "function_call_arguments"), ("input", "custom_tool_call_input")):
        if name in item:
            yield {"type": f"response.{type}.delta", **where, "delta": item[name][:3]}
            yield {"type": f"response.{type}.delta", **where, "delta": item[name][3:]}
            yield {"type": f"response.{type}.done", **where, name: item[name]}
    if item["type"] in ("web_search_call", "image_generation_call"):
        yield {"type": f"response.{item['type']}.in_progress", **where}
        yield {"type": f"response.{item['type']}.completed", **where}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def part_life(name: str, where: Json, place: int, part: Json) -> Iterator[Json]:
    step = "reasoning_summary_part" if name == "summary" else "content_part"
    text = {"summary_text": "reasoning_summary_text"}.get(part["type"], part["type"])
    where = {**where, ("summary_index" if name == "summary" else "content_index"): place}
    yield {"type": f"response.{step}.added", **where, "part": {**part, "text": ""}}
    yield {"type": f"response.{text}.delta", **where, "delta": part["text"][:2], "logprobs": []}
    yield {"type": f"response.{text}.delta", **where, "delta": part["text"][2:]}
    yield {"type": f"response.{text}.done", **where, "text": part["text"]}
    yield {"type": f"response.{step}.done", **where, "part": part}


def whole_stream(*items: Json) -> list[Json]:
    events = [{"type": "response.created", "response": {"id": "resp_theirs"}}]
    for index, item in enumerate(items):
        events += life(item, index)
    end = {"id": "resp_theirs", "status": "completed", "output": list(items), "usage": USAGE, "error": None}
    return [*events, {"type": "response.completed", "response": end}]


def play(
    events: Sequence[object],
    max_output_tokens: int | None = None,
    custom: Sequence[str] = (),
    history: Sequence[Item] = (),
    tools: Sequence[Json] = (),
    **options: Any,
) -> list[Json]:
    """Play a backend's events through decoder and stream, as the engine does; return what a client sees."""
    data = b"".join(b"data: %b\n\n" % (one if isinstance(one, bytes) else json.dumps(one).encode()) for one in events)
    offered = partial(ToolMap, decode_tools([msgspec.Raw(json.dumps(tool).encode()) for tool in tools]))
    decoder, parser = ResponsesEventDecoder(max_output_tokens, custom, history, offered), SSEParser()
    stream = ResponseStream(Response(id="resp_0", created_at=1, model="m"), "0" * 48, StreamTerms(**options))
    stream.start()
    try:
        for delta in decoder.feed([*parser.feed(data), *parser.close()]):
            stream.feed(delta)
        if decoder.error is not None:
            raise decoder.error
        decoder.finish()
        stream.end_turn()
        stream.finish(2)
    except BackendError as error:
        stream.fail(error, 2)
    assert stream.terminal is not None
    seen = [*stream.take(), stream.terminal]
    for length in range(2, len(seen) + 1, 3):
        fold(seen[:length])  # as a server does that goes on with another one's response
    assert json.loads(to_json(fold(seen))) == json.loads(seen[-1].body)["response"]
    frames = encode(seen)
    assert frames.count(b"\n") == 3 * len(seen)
    return parsed(seen)


def check(events: Sequence[Json]) -> Json:
    check_stream(events)
    assert not [fault for event in events for fault in OPENAI.event_faults(event) if not _known(fault)]
    response: Json = events[-1]["response"]
    return response


def _known(fault: str) -> bool:
    known = any(divergence.covers("OpenAI", fault) for divergence in DIVERGENCES)
    return known or fault.startswith((".response.error: ", ".type: no event 'response.made_up"))


ITEMS = (THOUGHT, MESSAGE, CALL, CUSTOM, SEARCH, IMAGE)


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


def _without(*names: str) -> Callable[[Json], Json]:
    return lambda event: {name: value for name, value in event.items() if name not in names}


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


ODD: tuple[object, ...] = (
    None,
    5,
    -1,
    10**30,
    1.5,
    "",
    "x",
    "\n\ndata: [DONE]\n\n",
    [],
    [None],
    {},
    {"a": None},
    True,
    "a" * 3000,
)


def _mutated(events: list[Json], chance: random.Random) -> list[Json]:
    events = copy.deepcopy(events)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(events))
        match chance.randrange(5):
            case 0:
                del events[at]
            case 1:
                events.insert(chance.randrange(len(events)), copy.deepcopy(events[at]))
            case 2:
                events.insert(at, events.pop(chance.randrange(len(events))))
            case _:
                _mutate(events[at], chance)
        if not events:
            break
    return events


def _mutate(value: Any, chance: random.Random) -> None:
    """Change something somewhere inside of a value."""
    while value:
        key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if isinstance(value[key], (dict, list)) and value[key] and chance.random() < 0.7:
            value = value[key]
            continue
        if chance.random() < 0.3:
            del value[key]
        else:
            value[key] = chance.choice(ODD)
        return


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_changed_the_grammar_holds(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        events = _mutated(whole_stream(*chance.sample(ITEMS, chance.randint(1, 4))), chance)
        try:
            check(play(events))
        except Exception as error:
            error.add_note(f"events: {events}")
            raise


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
