"""One shared timer for periodic work: a timer per Response would cost a short one 2 %."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Look = Callable[[], None]

SLOTS = 61
"""Parts of a period, each with its share of the members: all of 10,000 at once held the event loop for 130 ms. A prime, as
hashes of objects are their addresses."""


class Pulse:
    """Calls each of its members every so many seconds, some of them at a time, while there are any."""

    def __init__(self) -> None:
        self._slots: tuple[dict[Look, None], ...] = tuple({} for _ in range(SLOTS))
        self._next = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def join(self, look: Look, seconds: float) -> None:
        """Call `look`, which raises nothing, from now on; the first time comes within `seconds`."""
        self._slots[hash(look) % SLOTS][look] = None
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._due = loop.time()
            self._wait(loop, seconds)

    def leave(self, look: Look) -> None:
        """Call it no more. Idempotent."""
        self._slots[hash(look) % SLOTS].pop(look, None)

    def _wait(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._due += seconds / SLOTS
        late = loop.time() - self._due
        if late > seconds:  # the process stood still: what was missed is not made up for
            self._due += late - late % seconds
        self._timer = loop.call_at(self._due, self._beat, loop, seconds)

    def _beat(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._timer = None
        members, self._next = self._slots[self._next], (self._next + 1) % SLOTS
        for look in list(members):
            look()
        if any(self._slots):
            self._wait(loop, seconds)
