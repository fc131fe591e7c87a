"""Answers without an end, and calls that repeat, share ids or come in many pieces."""

from __future__ import annotations

from json import dumps
from typing import Any

import pytest

from antiphon.core.deltas import CallStart
from antiphon.errors import BackendError
from tests.backends.chat.chats import TIME, ask, call_chunk, chunk, heard, summary
from tests.backends.chat.hostile_chunks import TURN, calls_of, entry, outcome, whole_frame
from tests.growth import assert_linear, cpu_time

pytestmark = pytest.mark.slow


# The end


def test_an_answer_without_a_finish_reason_was_broken_off() -> None:
    found = outcome(chunk(content="Once"))
    assert isinstance(found, BackendError)
    assert (found.status, found.code) == (502, "backend_error")
    assert "ended early" in found.message
    assert isinstance(outcome(call_chunk(0, "a", "get_time", '{"ci')), BackendError)
    assert summary(heard(TURN, chunk(content="Once"))) == [("TextDelta", "Once"), ("finish", "stop")]


@pytest.mark.parametrize(("reason", "ours"), [("length", "length"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_may_be_empty(reason: str, ours: str) -> None:
    for payload in (chunk(reason), dumps({"choices": [{"index": 0, "finish_reason": reason}]}).encode()):
        for whole in (False, True):
            found = outcome(payload, whole=whole)
            assert not isinstance(found, BackendError)
            assert summary(found) == [("finish", ours)]


def test_only_deltas_add_text_to_a_stream() -> None:
    full = whole_frame("Hello", finish_reason="stop")
    for payloads in ([full], [chunk(content="Hel"), chunk(content="lo"), full], [full, chunk(content="Hello")]):
        found = outcome(*payloads)
        assert not isinstance(found, BackendError)
        assert summary(found) == [("TextDelta", "Hello"), ("finish", "stop")]
    grown = outcome(whole_frame("Hel"), whole_frame("Hello", finish_reason="stop"))
    assert not isinstance(grown, BackendError) and summary(grown)[0] == ("TextDelta", "Hello")
    assert isinstance(outcome(whole_frame("Hel"), whole_frame("lo", finish_reason="stop")), BackendError)


TWO = [
    (("get_time", '{"city":"a"}'), ("get_weather", '{"city":"b"}')),
    (("get_time", '{"city":"a"}'), ("get_time", '{"city":"b"}')),
    (("get_time", ""), ("get_weather", "")),
    (("get_time", None), ("get_weather", None)),
    (("get_time", "{}"), ("get_weather", "{}")),
    (("get_time", ""), ("get_weather", '{"city":"b"}')),
    (("get_time", '{"city":"}\\\\"}'), ("get_time", '{"city":"\\"{"}')),
]
IDS = [(None, None), ("", ""), ("x", "x"), ("functions.x:0", "functions.x:0"), ("a", "b"), ("x" * 300, "x" * 300)]


@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("two", TWO)
@pytest.mark.parametrize("indexes", [(None, None), (0, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("way", ["whole", "one chunk", "two chunks"])
def test_two_whole_calls_are_two(two: Any, ids: Any, indexes: Any, way: str) -> None:
    calls = [entry(id, name, said, index) for id, (name, said), index in zip(ids, two, indexes, strict=True)]
    if way == "whole":
        body = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
        found = outcome(dumps(body).encode(), whole=True)
    elif way == "one chunk":
        found = outcome(chunk(tool_calls=calls), chunk("tool_calls"))
    else:
        found = outcome(*(chunk(tool_calls=[call]) for call in calls), chunk("tool_calls"))
    assert calls_of(found) == [(name, arguments or "{}") for name, arguments in two]


def test_two_calls_of_a_whole_answer_that_are_alike_are_two() -> None:
    body = {"choices": [{"message": {"tool_calls": [entry("x", "get_time", "{}")] * 2}, "finish_reason": "stop"}]}
    assert len(calls_of(outcome(dumps(body).encode(), whole=True))) == 2


def test_a_call_that_is_repeated_as_a_whole_at_the_end_of_a_stream_is_one() -> None:
    found = outcome(
        call_chunk(0, "x", "get_time", '{"a":'), call_chunk(0, None, None, "1}"), call_chunk(0, "x", "get_time", '{"a":1}'),
        chunk("tool_calls"),
    )  # fmt: skip
    assert calls_of(found) == [("get_time", '{"a":1}')]


def test_a_name_again_and_then_arguments_is_a_second_call() -> None:
    found = outcome(
        call_chunk(0, "x", "get_time", '{"a":1}'), call_chunk(0, "x", "get_time", ""), call_chunk(0, None, None, '{"a":2}'),
        chunk("tool_calls"),
    )  # fmt: skip
    assert calls_of(found) == [("get_time", '{"a":1}'), ("get_time", '{"a":2}')]


@pytest.mark.parametrize("id", ["list_dir:0", "call_0", ""])
def test_ids_are_unique_in_the_conversation(id: str) -> None:
    earlier = [
        {"type": "function_call", "call_id": id or "x", "name": "get_time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": id or "x", "output": "1"},
    ]
    turn = ask({"role": "user", "content": "Hi"}, *earlier, tools=[TIME])
    deltas = heard(turn, call_chunk(0, id, "get_time", "{}"), call_chunk(1, id, "get_time", "{}"), chunk("tool_calls"))
    starts = [delta.call_id for delta in deltas if isinstance(delta, CallStart)]
    assert len({id, *starts}) == 3
    if ":" in id:
        assert starts == ["list_dir:1", "list_dir:2"]


# Size


@pytest.mark.parametrize(
    "payload",
    [
        chunk(),
        chunk(content="x"),
        call_chunk(0, "a", "get_time", "}"),
        call_chunk(0, "a", "get_time", '{"a":'),
        call_chunk(0, "a", "get_time", ""),
        call_chunk(0, "a", "get_time", "{}"),
        chunk(tool_calls=[entry("x", "get_time", "{}", 0), entry("x", "get_weather", "{}", 0)]),
        b'{"choices":[{"index":0,"message":{"content":"x"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"x","refusal":false}}]}',
        b"{}",
    ],
)
def test_many_tiny_chunks_cost_no_more_than_their_number(payload: bytes) -> None:
    def cost(count: int) -> float:
        return cpu_time(lambda: outcome(*[payload] * count, chunk("stop", content=".")))

    assert_linear(cost, 1_000)


def test_huge_arguments_come_through() -> None:
    text = dumps({"city": "x" * 5_000_000})
    assert calls_of(outcome(call_chunk(0, "a", "get_time", text), chunk("tool_calls"))) == [("get_time", text)]
