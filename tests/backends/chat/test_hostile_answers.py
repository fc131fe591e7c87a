"""What a chat backend may send instead of an answer: each field with hostile values, and bytes that are no chunk.

Whatever comes is an answer or a BackendError, and nothing that was said is lost or made up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from json import dumps
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.deltas import CallStart, Delta, TextDelta, UsageReport
from antiphon.core.json_encoding import to_json
from antiphon.errors import BackendError
from antiphon.types.request import CreateResponse
from tests.backends.chat.chats import TIME, WEATHER, ask, call_chunk, chunk, heard, summary
from tests.growth import assert_linear, cpu_time

pytestmark = pytest.mark.slow

Json = dict[str, Any]
TURN = ask(tools=[WEATHER, TIME])
LOGPROBS = ask(tools=[WEATHER, TIME], request=CreateResponse(model="m", input="x", top_logprobs=1))

HUGE = "HUGE"
DEEP = "DEEP"
VALUES: list[Any] = [
    None, False, True, 0, -1, 1.5, 10**30, -(10**30), "", "x", "²", "\ud800", "\x00", [], [[]], [None], ["x"], [5], {},
    {"a": 1}, {"text": 5}, [{"text": 5}], [{"type": "text"}], HUGE, DEEP,
]  # fmt: skip


def spelled(value: Any) -> bytes:
    """Return JSON in which the markers stand for a number of 5,000 digits and for 100,000 brackets."""
    text = dumps(value).replace(f'"{HUGE}"', "9" * 5000).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)
    return text.encode()


def full() -> Json:
    """Return a chunk with every field that is read, and some that are not."""
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    token = {"token": "x", "logprob": -1.0, "bytes": [120], "top_logprobs": [{"token": "y", "logprob": -2.0}]}
    said = {
        "role": "assistant",
        "content": [{"type": "text", "text": "Hi"}, {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}],
        "reasoning_content": "hm",
        "reasoning": "hm",
        "refusal": "no",
        "tool_calls": [call, {"index": 1, "id": "b", "custom": {"name": "x", "input": "y"}}],
        "function_call": {"name": "get_time", "arguments": "{}"},
    }
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "delta": said,
                "message": said,
                "finish_reason": "stop",
                "logprobs": {"content": [token]},
                "usage": {"prompt_tokens": 1},
            }
        ],
        "usage": {
            "prompt_tokens": 1,
            "completion_tokens": 2,
            "total_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 1},
            "prompt_cache_hit_tokens": 1,
            "reasoning_tokens": 1,
        },
        "error": None,
        "message": "x",
        "code": 1,
        "base_resp": {"status_code": 1, "status_msg": "x"},
    }


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in entries:
        yield (*path, name)
        yield from paths(inner, (*path, name))


def replaced(value: Json, path: tuple[Any, ...], new: Any) -> Json:
    copy: Json = json.loads(dumps(value))
    holder: Any = copy
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = new
    return copy


def outcome(*payloads: bytes, **fields: Any) -> list[Delta] | BackendError:
    """Return what comes of an answer; all of it can be written down as JSON."""
    try:
        deltas = heard(LOGPROBS, *payloads, need_reason=True, think="off", **fields)
    except BackendError as error:
        _check_error(error)
        return error
    for delta in deltas:
        to_json(delta)
        if isinstance(delta, UsageReport):
            to_json(delta.usage)
        if isinstance(delta, TextDelta):
            json.loads(b"[%b]" % delta.logprobs)
    return deltas


def _check_error(error: BackendError) -> None:
    assert error.status in (400, 402, 409, 413, 429, 502, 503, 504), error.message
    assert len(error.message) < 3000
    to_json(error.body())


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("path", list(paths(full())), ids=lambda path: ".".join(map(str, path)))
def test_every_field_with_every_value(path: tuple[Any, ...], whole: bool) -> None:
    for value in VALUES:
        outcome(spelled(replaced(full(), path, value)), whole=whole)


SIDE = [
    ("usage",),
    ("usage", "prompt_tokens"),
    ("usage", "completion_tokens"),
    ("usage", "prompt_tokens_details"),
    ("usage", "completion_tokens_details"),
    ("usage", "prompt_tokens_details", "cached_tokens"),
    ("usage", "completion_tokens_details", "reasoning_tokens"),
    ("choices", 0, "delta", "refusal"),
    ("choices", 0, "delta", "function_call"),
    ("choices", 0, "delta", "reasoning_content"),
    ("choices", 0, "delta", "reasoning"),
    ("choices", 0, "delta", "role"),
    ("choices", 0, "logprobs"),
    ("choices", 0, "usage"),
    ("id",),
    ("created",),
    ("model",),
    ("object",),
    ("system_fingerprint",),
]


@pytest.mark.parametrize("path", SIDE, ids=lambda path: ".".join(map(str, path)))
def test_a_field_beside_the_answer_does_not_cost_the_answer(path: tuple[Any, ...]) -> None:
    plain = {
        "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens_details": {}, "completion_tokens_details": {}},
    }
    for value in VALUES:
        if value == DEEP:
            continue  # nothing that is nested so deeply is read
        deltas = outcome(spelled(replaced(plain, path, value)))
        assert not isinstance(deltas, BackendError), (value, deltas.message)
        assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "Hi"


MAIN = [
    ({"content": True}, "content"),
    ({"content": [5]}, "content"),
    ({"content": [{"type": "text", "text": 5}]}, "text"),
    ({"tool_calls": "x"}, "tool_calls"),
    ({"tool_calls": ["x"]}, "tool_calls"),
    ({"tool_calls": [{"index": 0, "function": "x"}]}, "function"),
    ({"tool_calls": [{"index": 0, "function": {"name": 5, "arguments": "{}"}}]}, "name"),
    ({"tool_calls": [{"index": 0, "function": {"name": "x", "arguments": 5}}]}, "arguments"),
    ({"tool_calls": [{"index": 0, "function": {"name": "x", "arguments": [1]}}]}, "arguments"),
    ({"tool_calls": [{"index": 0, "custom": {"name": "x", "input": 5}}]}, "input"),
]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (5, "5"),
        (1.5, "1.5"),
        (["Hi"], "Hi"),
        ({"type": "text", "text": "Hi"}, "Hi"),
        ([{"type": "text", "text": {"value": "Hi", "annotations": []}}], "Hi"),
        ([{"type": "text", "content": "Hi"}], "Hi"),
        ([{"text": "Hi"}], "Hi"),
        ([{"type": "output_text", "text": "Hi"}], "Hi"),
        ([{"type": "a_new_kind", "x": 1}, {"type": "text", "text": "Hi"}, None], "Hi"),
        ([{"type": "a_new_kind", "text": "Hi"}], "Hi"),
    ],
)
def test_text_in_odd_forms(content: Any, text: str) -> None:
    for payloads, whole in (
        ([chunk("stop", content=content)], False),
        ([whole_frame(content, finish_reason="stop")], True),
    ):
        found = outcome(*payloads, whole=whole)
        assert not isinstance(found, BackendError), found.message
        assert summary(found) == [("TextDelta", text), ("finish", "stop")]


def test_calls_in_an_object_by_index() -> None:
    calls = {"0": entry("a", "get_time", "{}"), "1": entry("b", "get_weather", "{}")}
    assert calls_of(outcome(chunk("tool_calls", tool_calls=calls))) == [("get_time", "{}"), ("get_weather", "{}")]


@pytest.mark.parametrize(("delta", "field"), MAIN)
def test_a_field_that_is_the_answer_is_not_guessed_at(delta: Json, field: str) -> None:
    found = outcome(chunk("stop", **delta))
    assert isinstance(found, BackendError)
    assert f"'{field}'" in found.message


def test_a_call_without_a_name() -> None:
    found = outcome(call_chunk(0, "a", None, "{}"), chunk("tool_calls"))
    assert isinstance(found, BackendError) and found.message == "The backend sent a tool call without a name."
    assert summary(heard(TURN, call_chunk(0, "a", "get_time", "{}"), call_chunk(1), chunk("tool_calls")))[0][2:] == (
        "get_time",
        "a",
        "{}",
    )


_TREE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "choices delta message content tool_calls function name arguments error usage code".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(_TREE, st.booleans())
def test_any_tree(tree: Any, whole: bool) -> None:
    outcome(dumps(tree).encode(), whole=whole)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 400), st.booleans())
def test_any_bytes(noise: bytes, place: int, whole: bool) -> None:
    body = spelled(full())
    outcome(body[:place] + noise + body[place + len(noise) :], whole=whole)


# What is no answer


NO_ANSWERS = [
    (b'{"code":500,"msg":"404 NOT_FOUND","success":false}', "404 NOT_FOUND"),
    (b'{"code":50508,"message":"System is too busy","data":null}', "System is too busy"),
    (b'{"code":"Model.Error","description":"overloaded","detail":"later"}', "overloaded"),
    (b'{"id":"","choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}', "insufficient"),
    (b'[{"error":{"code":400,"message":"The words","status":"INVALID_ARGUMENT"}}]', "The words"),
    (b'{"errors":[{"message":"The words"}]}', "The words"),
    (b'{"error":{"msg":"The words"}}', "The words"),
    (b'{"detail":{"error":{"message":"The words"}}}', "The words"),
    (b'{"error_msg":"The words","error_code":336003}', "The words"),
    (b'{"error":{"message":"The words","code":"\xc2\xb2"}}', "The words"),
    (b'{"error":{"message":"The words","code":' + b"9" * 5000 + b"}}", "The words"),
    (b'{"error":{"message":"The words","code":1e308}}', "The words"),
    (b'{"error":{"message":"\\ud800 words"}}', "words"),
    (b'{"object":"list","data":[]}', '{"object":"list","data":[]}'),
    (b'{"choices":[{"index":0,"finish_reason":"stop"}]}', "no message"),
    (b'{"choices":[{"index":0,"message":null,"finish_reason":"stop"}]}', "no message"),
    (b'{"choices":[{"index":0,"delta":null,"message":{"content":null}}]}', "no message"),
    (b'{"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":"stop"}]}', "no message"),
    (b'{"choices":[],"usage":{"prompt_tokens":36000,"completion_tokens":0}}', "no message"),
    (b'{"choices":[{"index":0,"delta":{"role":"assistant"}}]}', "no message"),
    (b'{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}', "announced a tool call"),
    (b'{"message":null}', "no message"),
    (b"{}", "no message"),
    (b'"Out of memory"', "Out of memory"),
    (b"Out of memory", "Out of memory"),
    (b"<html>", "not a chat completion"),
    (b"[]", "not a chat completion"),
    (b"[" * 100_000, "not a chat completion"),
    (b"\xff\xfe", ""),
]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("payload", "words"), NO_ANSWERS)
def test_what_is_no_answer_is_an_error_with_its_words(payload: bytes, words: str, whole: bool) -> None:
    found = outcome(payload, whole=whole)
    assert isinstance(found, BackendError), found
    assert words in found.message


@pytest.mark.parametrize("payload", [b"{}", b'{"choices":[]}', b'{"type":"ping"}', b'{"code":0,"msg":"success"}'])
def test_a_chunk_that_says_nothing_is_passed_over_in_an_answer(payload: bytes) -> None:
    found = outcome(payload, chunk(content="Hi"), payload, chunk("stop"), payload)
    assert not isinstance(found, BackendError)
    assert summary(found) == [("TextDelta", "Hi"), ("finish", "stop")]


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


def whole_frame(text: Any, **fields: Any) -> bytes:
    return dumps({"choices": [{"index": 0, "message": {"content": text}, **fields}]}).encode()


def test_only_deltas_add_text_to_a_stream() -> None:
    full = whole_frame("Hello", finish_reason="stop")
    for payloads in ([full], [chunk(content="Hel"), chunk(content="lo"), full], [full, chunk(content="Hello")]):
        found = outcome(*payloads)
        assert not isinstance(found, BackendError)
        assert summary(found) == [("TextDelta", "Hello"), ("finish", "stop")]
    grown = outcome(whole_frame("Hel"), whole_frame("Hello", finish_reason="stop"))
    assert not isinstance(grown, BackendError) and summary(grown)[0] == ("TextDelta", "Hello")
    assert isinstance(outcome(whole_frame("Hel"), whole_frame("lo", finish_reason="stop")), BackendError)


# Calls


def entry(id: str | None, name: str, arguments: Any, index: int | None = None) -> Json:
    call: Json = {"type": "function", "function": {"name": name, "arguments": arguments}, "id": id}
    return call if index is None else {**call, "index": index}


def calls_of(found: list[Delta] | BackendError) -> list[tuple[str, str]]:
    assert not isinstance(found, BackendError), found.message
    ids = [delta.call_id for delta in found if isinstance(delta, CallStart)]
    assert len(set(ids)) == len(ids)
    return [
        (name, arguments or "{}")
        for kind, *rest in summary(found)
        if kind == "call"
        for _, name, _, arguments in [rest]
    ]


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
