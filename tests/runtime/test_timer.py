"""The shared timer: each member within its period, and never all of them at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.runtime.timer import SLOTS, Pulse

PERIOD = 2.5


class Clock:
    """An event loop with nothing but a clock and one timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., None], *arguments: Any) -> object:
        self.due.append((when, callback, arguments))
        return self.due

    def beat(self) -> None:
        """Go on to the next timer, and call it."""
        when, callback, arguments = self.due.pop(0)
        self.now = max(self.now, when)
        callback(*arguments)


class Stream:
    """What looks; it notes when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seen: list[float] = []

    def look(self) -> None:
        self.seen.append(self._clock.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("antiphon.runtime.timer.asyncio.get_running_loop", lambda: made)
    return made


def test_many_are_looked_at_a_few_at_a_time(clock: Clock) -> None:
    pulse, streams = Pulse(), [Stream(clock) for _ in range(5000)]
    for stream in streams:
        pulse.join(stream.look, PERIOD)
    while clock.now < 3 * PERIOD - 0.001:
        clock.beat()
    assert {len(stream.seen) for stream in streams} == {3}
    for stream in streams:
        first, second, third = stream.seen
        assert first <= PERIOD + 0.001
        assert second - first == pytest.approx(PERIOD)
        assert third - second == pytest.approx(PERIOD)
    together = Counter(moment for stream in streams for moment in stream.seen)
    assert max(together.values()) < 5 * len(streams) / SLOTS


def test_who_leaves_is_not_called_and_the_timer_ends_with_the_last(clock: Clock) -> None:
    pulse, streams = Pulse(), [Stream(clock) for _ in range(200)]
    for stream in streams:
        pulse.join(stream.look, PERIOD)
    for stream in streams[:100]:
        pulse.leave(stream.look)
        pulse.leave(stream.look)
    for _ in range(SLOTS):
        clock.beat()
    assert [len(stream.seen) for stream in streams] == [0] * 100 + [1] * 100
    for stream in streams[100:]:
        pulse.leave(stream.look)
    clock.beat()
    assert not clock.due
    pulse.join(streams[0].look, PERIOD)
    assert len(clock.due) == 1


@pytest.mark.parametrize("stands", [0.5 * PERIOD, 1.5 * PERIOD, 3600.0])
def test_what_a_process_missed_while_it_stood_still_is_not_made_up_for(clock: Clock, stands: float) -> None:
    """A container that was paused for an hour would else send each stream the keep-alive events of that hour."""
    pulse, streams = Pulse(), [Stream(clock) for _ in range(200)]
    for stream in streams:
        pulse.join(stream.look, PERIOD)
    for _ in range(SLOTS + 7):
        clock.beat()
    before = {stream: len(stream.seen) for stream in streams}
    clock.now += stands
    begun = clock.now
    while clock.now < begun + PERIOD:
        clock.beat()
    assert {len(stream.seen) - before[stream] for stream in streams} <= {1, 2, 3}


def test_a_member_that_ends_another_one_or_joins_anew_while_it_is_called(clock: Clock) -> None:
    pulse, late = Pulse(), Stream(clock)

    class Leaving(Stream):
        def look(self) -> None:
            super().look()
            pulse.leave(self.look)
            pulse.join(late.look, PERIOD)

    leaving = [Leaving(clock) for _ in range(100)]
    for stream in leaving:
        pulse.join(stream.look, PERIOD)
    for _ in range(3 * SLOTS):
        clock.beat()
    assert all(len(stream.seen) == 1 for stream in leaving)
    assert len(late.seen) in (2, 3)


async def test_on_the_event_loop() -> None:
    pulse, called = Pulse(), asyncio.Event()
    pulse.join(called.set, 0.05)
    await asyncio.wait_for(called.wait(), 5)
    pulse.leave(called.set)
