"""Socket writes, done together at the end of an iteration of the event loop.

A write wakes whoever waits at the other end. Where that is a process of this machine, it falls asleep again while we make
the next answer, and each write wakes it anew: a quarter of a short answer's CPU. Written together, one wake does.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary, ref

HIGH_WATER = 64 * 1024
"""Bytes that may wait; with more they are written at once, so that transports can tell of slow readers."""


class Writes:
    """What waits to be written in one event loop. Before a transport is closed in any other way than by `abort`: `flush`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)  # not held: `_all` would keep both for ever
        self._waiting: list[tuple[asyncio.WriteTransport, bytes]] = []
        self._size = 0

    def put(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Write bytes within this turn of the loop; those of a transport stay in order."""
        if not self._waiting:
            loop = self._loop()
            assert loop is not None
            loop.call_soon(self.flush)
        self._waiting.append((transport, data))
        self._size += len(data)
        if self._size > HIGH_WATER:
            self.flush()

    def flush(self) -> None:
        """Write all that waits, now. What waits for a transport that was closed meanwhile is dropped."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)


_all: WeakKeyDictionary[asyncio.AbstractEventLoop, Writes] = WeakKeyDictionary()


def writes_of(loop: asyncio.AbstractEventLoop) -> Writes:
    """Return the one of a loop."""
    found = _all.get(loop)
    if found is None:
        found = _all[loop] = Writes(loop)
    return found
