"""Every call of a ResponseStream in every state: allowed and done, or refused without a trace."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from antiphon.core.deltas import CallDelta, CallStart, Finish, FinishReason, ReasoningDelta, TextDelta
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.resume import Restart
from antiphon.core.stream.terms import Action
from antiphon.core.stream.tool_writers import ListingWriter
from antiphon.core.stream.transitions import LEGAL, IllegalCall, State
from antiphon.core.tools.results import ToolResult
from antiphon.errors import APIError
from antiphon.types.response import Response

ERROR = APIError(500, "It failed.", code="server_error")
APPROVED = CallStart("0", "0", "f", "mcp", "server", "mcpr_1")
RESTART = Restart(sequence_number=3, announced=False, begun=False, ended=False, output=[None], usage=None)


def made(state: State) -> ResponseStream:
    """Return a stream in a state, with a call that waits where there may be one."""
    stream = ResponseStream(Response(id="resp_1", created_at=1, model="m"), "0")
    if state is State.NEW:
        stream.restore(RESTART)
        return stream
    if state is State.QUEUED:
        stream.queued()
        return stream
    stream.start()
    if state is State.TURN:
        return stream
    if state is State.TOOLS:
        stream.feed(CallStart("0", "call_0", "f", "mcp", "server"))
        stream.feed(CallDelta("0", "{}"))
    else:
        stream.feed(TextDelta("Hello."))
    stream.feed(Finish(FinishReason.STOP))
    stream.end_turn()
    if state is State.ENDED:
        stream.finish(2)
    return stream


def tool_result(stream: ResponseStream) -> None:
    if stream.state is not State.TOOLS:
        stream.begin_call(APPROVED, "{}")
    stream.tool_result("0", ToolResult(fields={"output": "done"}))


def tool_progress(stream: ResponseStream) -> None:
    if stream.state is State.TURN:
        stream.begin_call(APPROVED, "{}")
    stream.tool_progress("0", "searching")


CALLS: dict[str, Callable[[ResponseStream], object]] = {
    "queued": ResponseStream.queued,
    "restore": lambda stream: stream.restore(RESTART),
    "close_restored": lambda stream: stream.close_restored(0, b"{}"),
    "start": ResponseStream.start,
    "keepalive": ResponseStream.keepalive,
    "feed": lambda stream: stream.feed(TextDelta("x")),
    "end_turn": ResponseStream.end_turn,
    "add_item": lambda stream: stream.add_item("cmp", lambda id: b"{}"),
    "end_without_model": ResponseStream.end_without_model,
    "end_steered": ResponseStream.end_steered,
    "open_item": lambda stream: stream.open_item("mcpl", partial(ListingWriter, label="server")),
    "begin_call": lambda stream: stream.begin_call(APPROVED, "{}"),
    "inner_call": lambda stream: stream.inner_call(CallStart("1", "call_1", "f", "mcp", "server", caller="c"), "{}"),
    "tool_progress": tool_progress,
    "tool_result": tool_result,
    "ask_instead": lambda stream: stream.ask_instead("0", "mcpr", lambda id: (id, b"{}")),
    "finish": lambda stream: stream.finish(3),
    "fail": lambda stream: stream.fail(ERROR, 3),
    "cancel": lambda stream: stream.cancel(3),
}

AFTERWARDS = {
    "queued": {State.QUEUED},
    "start": {State.TURN},
    "end_turn": {State.TURN, State.TOOLS, State.DONE},
    "end_without_model": {State.DONE},
    "end_steered": {State.DONE},
    "tool_result": {State.TURN, State.TOOLS, State.DONE},
    "ask_instead": {State.TOOLS, State.DONE},
    "finish": {State.ENDED},
    "fail": {State.ENDED},
    "cancel": {State.ENDED},
}


def test_the_table_names_every_call() -> None:
    assert set(CALLS) == set(LEGAL)


@pytest.mark.parametrize("state", State, ids=lambda state: state.word)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_in_a_state(name: str, state: State) -> None:
    stream = made(state)
    assert stream.state is state and stream.action is state.action
    before = stream.snapshot(), stream.sequence_number, stream.terminal
    if state in LEGAL[name]:
        CALLS[name](stream)
        assert stream.state in AFTERWARDS.get(name, {state})
        assert (stream.terminal is not None) == (stream.state is State.ENDED)
        return
    with pytest.raises(IllegalCall, match=f"'{state.word}'"):
        CALLS[name](stream)
    assert stream.state is state
    assert (stream.snapshot(), stream.sequence_number, stream.terminal) == before


@pytest.mark.parametrize("delta", [TextDelta("x"), ReasoningDelta("x"), CallStart("9", "call_9", "f")])
@pytest.mark.parametrize("state", [state for state in State if state is not State.TURN], ids=lambda state: state.word)
def test_nothing_is_opened_outside_of_a_turn(state: State, delta: TextDelta) -> None:
    with pytest.raises(IllegalCall):
        made(state).feed(delta)


def test_what_is_to_be_done_next_follows_from_the_state() -> None:
    assert {state: state.action for state in State} == {
        State.NEW: Action.CALL_MODEL,
        State.QUEUED: Action.CALL_MODEL,
        State.TURN: Action.CALL_MODEL,
        State.TOOLS: Action.CALL_TOOLS,
        State.DONE: Action.DONE,
        State.ENDED: Action.DONE,
    }
