"""The limit of a cell by an MCP server, which runs in that server's own process: nothing of it is left behind."""

from __future__ import annotations

import contextlib
import signal
import sys
from types import FrameType
from typing import Any

import pytest

from antiphon.tools.sandbox.inside.remote import TooLong, limited

LIMIT = limited.__wrapped__.__code__  # type: ignore[attr-defined]


def interrupted(wanted: int) -> bool:
    """Have the time be over before one of the limit's own instructions; tell whether there is such a one."""
    seen = 0

    def each(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if event == "opcode" and signal.getitimer(signal.ITIMER_REAL)[0] > 0:
            seen += 1
            if seen == wanted:
                signal.raise_signal(signal.SIGALRM)
        return each

    def begun(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is not LIMIT:
            return None
        frame.f_trace_opcodes = True
        return each

    before = sys.gettrace()
    sys.settrace(begun)
    try:
        with contextlib.suppress(TooLong), limited(100.0):
            pass
    finally:
        sys.settrace(before)
    return seen >= wanted


@pytest.mark.timeout(30, method="thread")  # the other method has the same signal
def test_a_limit_that_is_reached_while_it_ends_leaves_no_timer() -> None:
    own = signal.getsignal(signal.SIGALRM)
    number = 1
    while interrupted(number):
        assert (signal.getitimer(signal.ITIMER_REAL)[0], signal.getsignal(signal.SIGALRM)) == (0.0, own), number
        number += 1
    assert number > 10
