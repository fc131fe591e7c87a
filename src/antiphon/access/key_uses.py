"""KeyUses: when each key of the store was last used, written from time to time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from antiphon.errors import APIError
from antiphon.stores.base import KeyStore

FLUSH = 60.0
"""Seconds that a use waits in memory."""
MOST_WAITING = 10_000
"""Keys whose uses wait."""


class KeyUses:
    """Uses that are to be written. It is told of a key when the key is looked up, not at each request."""

    def __init__(self, store: KeyStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._times: dict[str, float] = {}
        self._closing = asyncio.Event()
        self._flushing: asyncio.Task[None] | None = None

    def used(self, id: str) -> None:
        """Take note of a use."""
        if id not in self._times and len(self._times) >= MOST_WAITING:
            return
        self._times[id] = self._clock()
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._later())

    async def _later(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH):
                await self._closing.wait()
        if not self._closing.is_set():
            await self.flush()

    async def flush(self) -> None:
        """Write what waits; what cannot be written waits on until the next use."""
        times, self._times = self._times, {}
        if not times:
            return
        try:
            await self._store.used(times)
        except APIError:
            self._times = times | self._times

    async def close(self) -> None:
        """Write what waits."""
        self._closing.set()
        if self._flushing is not None:
            await self._flushing
        await self.flush()
