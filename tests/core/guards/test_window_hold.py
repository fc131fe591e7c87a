"""What guards that take time are shown does not depend on the pieces in which a text comes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.deltas import (
    CallDelta,
    CallStart,
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    Relay,
    RelayedText,
    TextDelta,
)
from antiphon.core.guards.base import GuardText
from antiphon.core.guards.window_hold import WindowHold

ALL = frozenset(("text", "reasoning", "tool_calls", "tool_results"))


def play(deltas: Sequence[Delta], window: int = 10) -> tuple[list[GuardText], list[Delta]]:
    held = WindowHold(ALL, window)
    held.take(deltas)
    held.end()
    return [text for part in held.parts for text in part.texts], [delta for part in held.parts for delta in part.deltas]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=25), max_size=12))
def test_windows_are_the_same_however_a_text_is_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    shown, passed = play([TextDelta(piece) for piece in pieces])
    whole, _ = play([TextDelta(text)] if text else [])
    single, _ = play([TextDelta(character) for character in text])
    assert shown == whole == single
    assert "".join(delta.text for delta in passed) == text


def test_each_window_comes_with_what_was_before_it() -> None:
    shown, _ = play([TextDelta("0123456789abcdefghijKLM")])
    assert [one.text for one in shown] == ["0123456789", "0123456789abcdefghij", "abcdefghijKLM"]


def test_calls_thoughts_and_texts_keep_their_order() -> None:
    deltas = [
        ReasoningDelta("hm"),
        TextDelta("so"),
        CallStart("0", "call_1", "look"),
        CallDelta("0", '{"q":'),
        CallDelta("0", '"\\u0041"}'),
        Finish(FinishReason.TOOL_CALLS),
    ]
    shown, passed = play(deltas)
    assert passed == deltas
    assert [(one.place, one.text) for one in shown] == [
        ("reasoning", "hm"),
        ("text", "so"),
        ("tool_calls", "look"),
        ("tool_calls", '{"q":"\\u0041"}'),
        ("tool_calls", "q"),
        ("tool_calls", "A"),
        ("tool_calls", "qA"),
    ]


def test_what_a_server_tells_several_times_is_looked_at_once() -> None:
    item = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "Hi you"}]}
    deltas = [
        Relay("response.output_item.added", {"item": {**item, "content": []}, "output_index": 0}),
        RelayedText("response.output_text.delta", "Hi ", "msg_1", 0),
        RelayedText("response.output_text.delta", "you", "msg_1", 0),
        Relay("response.output_text.done", {"text": "Hi you", "item_id": "msg_1", "output_index": 0}),
        Relay("response.output_item.done", {"item": item, "output_index": 0}),
        Relay("response.completed", {"response": {"output": [item]}}),
    ]
    shown, passed = play(deltas)
    assert (passed, [one.text for one in shown]) == (deltas, ["Hi you"])


def test_what_only_stands_in_an_item_or_at_the_end_is_looked_at() -> None:
    item = {
        "type": "message",
        "content": [{"type": "output_text", "text": "SEC"}, {"type": "output_text", "text": "RET"}],
    }
    call = {"type": "mcp_call", "id": "mcp_1", "name": "x", "arguments": '{"a":"\\u0041"}', "output": "found"}
    shown, _ = play([Relay("response.completed", {"response": {"output": [item, call], "output_text": "more"}})])
    assert [(one.place, one.text) for one in shown] == [
        ("text", "SECRET"),
        ("text", "SEC"),
        ("text", "RET"),
        ("tool_results", "found"),
        ("tool_calls", "x"),
        ("tool_calls", '{"a":"\\u0041"}'),
        ("tool_calls", "a"),
        ("tool_calls", "A"),
        ("tool_calls", "aA"),
        ("text", "more"),
    ]


def test_calls_of_such_a_server_wait_for_their_end_and_texts_behind_them_go_on() -> None:
    def call(id: str, **fields: str) -> dict:
        return {"item": {"type": "function_call", "id": id, "call_id": id, "name": "f", **fields}}

    first = [
        Relay("response.output_item.added", call("fc_1")),
        Relay("response.output_item.added", call("fc_2")),
        RelayedText("response.function_call_arguments.delta", '{"a', "fc_1"),
        RelayedText("response.function_call_arguments.delta", '{"b', "fc_2"),
        Relay("response.output_item.done", call("fc_1", arguments='{"a":1}')),
    ]
    held = WindowHold(ALL, 10)
    held.take(first)
    assert not held.parts
    last = Relay("response.output_item.done", call("fc_2", arguments='{"b":1}'))
    held.take([last])
    (part,) = held.parts
    assert part.deltas == [*first, last]
    held.take([RelayedText("response.output_text.delta", "0123456789", "msg_1", 2)])
    assert len(held.parts) == 2
