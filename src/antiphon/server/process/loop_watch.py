"""Event loop watch: delays of callbacks, and the function and request that caused them.

A timer of the loop's own writes a heartbeat and measures how late it is; a thread looks at the heartbeat and, when it does not
come, at the stack of the loop's thread. Requests pay nothing for it: both look at most `1 / BEAT` times a second.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import FrameType

import antiphon
from antiphon.access.caller import Caller
from antiphon.responses.run import Run
from antiphon.server.http.direct_exchange import DirectExchange
from antiphon.server.http.request import HTTPRequest
from antiphon.server.ws.asgi_socket import ASGIWebSocket
from antiphon.server.ws.connection import Connection
from antiphon.telemetry.prometheus import Histogram, Samples
from antiphon.telemetry.request_record import Record

BEAT = 0.02
"""Seconds between two heartbeats."""

LOOK = 0.04
"""Seconds between two looks of the thread."""

SUSPECT_AFTER = 0.05
"""Seconds without a heartbeat after which the stack is read: a delay of `HELD` is seen in time by one look at least."""

HELD = 0.1
"""Seconds of delay that are logged."""

STUCK = 1.0
"""Seconds after which a line tells of a delay that has not ended yet."""

WINDOW = 30.0
"""Seconds: the largest delay is that of this window and the one before it."""

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

_IDLE = "antiphon.server.process.run:run"
"""What a stack shows while the loop waits for something to do."""

_PACKAGE = str(Path(antiphon.__file__).parent)

log = logging.getLogger("antiphon.server.process.loop_watch")

Blame = dict[str, str]
"""Who held the loop: `function` always, and what is known of `request_id`, `method`, `path`, `owner`, `response_id`; `held_in` is
"thread" where a thread kept Python's lock. None of them is a name of logging's own."""


class LoopWatch:
    """Watches the event loop in which it is started. One for a process."""

    def __init__(self) -> None:
        self._delay = Histogram(
            "antiphon_event_loop_delay_seconds", "How late the event loop calls what is due.", BOUNDS
        )
        self._delays = self._delay.cell(())
        self._largest = 0.0
        self._largest_before = 0.0
        self._window_ends = 0.0
        self._due = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._blame: Blame = {}

    def start(self) -> None:
        """Begin, in the event loop that is running. Idempotent."""
        if self._thread is not None:
            return
        self._loop = asyncio.get_running_loop()
        now = monotonic()
        self._window_ends = now + WINDOW
        self._schedule(self._loop, now)
        self._thread = threading.Thread(
            target=self._watch, args=(threading.get_ident(),), name="antiphon-loop-watch", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop. Idempotent."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join()

    def samples(self) -> Iterable[Samples]:
        """Return the families of `/metrics`."""
        yield self._delay
        yield Samples(
            "antiphon_event_loop_delay_max_seconds",
            "The largest such delay within the last minute.",
            values={(): max(self._largest, self._largest_before)},
        )

    # In the loop

    def _schedule(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        self._due = now + BEAT
        self._timer = loop.call_later(BEAT, self._beat)

    def _beat(self) -> None:
        assert self._loop is not None
        now = monotonic()
        late = now - self._due
        if late < 0.0:
            late = 0.0
        self._delays.counts[bisect_left(BOUNDS, late)] += 1
        self._delays.sum += late
        if now > self._window_ends:
            recent = now < self._window_ends + WINDOW
            self._largest_before, self._largest = self._largest if recent else 0.0, 0.0
            self._window_ends = now + WINDOW
        if late > self._largest:
            self._largest = late
        self._schedule(self._loop, now)
        blame, self._blame = self._blame, {}
        if late > HELD:
            log.warning("event loop blocked for %d ms", late * 1000, extra=blame)

    # In the thread

    def _watch(self, loop_thread: int) -> None:
        """Look whether the heartbeat is late; the first stack that names a request is the one that is told."""
        told = 0.0
        while not self._stopped.wait(LOOK):
            due = self._due
            late = monotonic() - due
            if late < SUSPECT_AFTER:
                continue
            if "request_id" not in self._blame:
                found = _blame_of(sys._current_frames(), loop_thread)
                if due == self._due and (len(found) > 1 or not self._blame):
                    self._blame = found
            if late > STUCK and told != due:
                told = due
                log.warning("event loop blocked for %d ms, still blocked", late * 1000, extra=self._blame)


def _blame_of(stacks: dict[int, FrameType], loop_thread: int) -> Blame:
    """Return who holds the loop: what runs in it or, where nothing does, the thread that keeps Python's lock from it."""
    found = blame(stacks.pop(loop_thread, None))
    if len(found) > 1 or found["function"] != _IDLE:
        return found
    stacks.pop(threading.get_ident(), None)
    others = [blame(stack) for stack in stacks.values() if any(map(_is_own, _frames(stack)))]
    return {**others[0], "held_in": "thread"} if len(others) == 1 else found


def blame(frame: FrameType | None) -> Blame:
    """Return what a stack tells of who runs there. The innermost values count."""
    found: Blame = {"function": _function(frame)}
    for one in _frames(frame):
        if _is_own(one):
            for value in list(one.f_locals.values()):
                with suppress(Exception):  # an object that is just being made, or stands for another
                    for name, text in _told_by(value):
                        found.setdefault(name, text)
    return found


def _is_own(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_PACKAGE)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _function(frame: FrameType | None) -> str:
    """Return the innermost function of this package as `module:function`, or the innermost of all."""
    if frame is None:
        return "unknown"
    own = (one for one in _frames(frame) if _is_own(one))
    at = next((one for one in own if one.f_code.co_filename != __file__), frame)
    return f"{at.f_globals.get('__name__', '?')}:{at.f_code.co_name}"


def _told_by(value: object) -> Iterator[tuple[str, str]]:
    """Yield the fields of a Blame that a local variable knows."""
    match value:
        case Record():
            yield from _request(value.method, value.raw_path)
            yield "request_id", value.request_id
        case HTTPRequest():
            yield "request_id", value.request_id
            yield "owner", value.owner
        case DirectExchange():
            yield from _request(value.method, value.raw_path)
        case Caller():
            yield "owner", value.owner
        case ASGIWebSocket():
            yield from _request("GET", b"/v1/responses")
            yield "request_id", value.request_id
            yield "owner", value.owner
        case Connection():
            yield from _told_by(value.socket)
        case Run():
            yield "response_id", value.plan.response.id
            yield "owner", value.plan.owner


def _request(method: str, raw_path: bytes) -> Iterator[tuple[str, str]]:
    yield "method", method
    yield "path", raw_path.decode("ascii", "backslashreplace")[:200]
