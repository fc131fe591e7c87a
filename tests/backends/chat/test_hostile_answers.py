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

from antiphon.core.deltas import TextDelta
from antiphon.errors import BackendError
from tests.backends.chat.chats import call_chunk, chunk, heard, summary
from tests.backends.chat.hostile_chunks import TURN, Json, calls_of, entry, full, outcome, whole_frame

pytestmark = pytest.mark.slow

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
    (b"[ERROR] Out of memory", "Out of memory"),
    (b"{'error': {'message': 'Out of memory'}}", "Out of memory"),
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
