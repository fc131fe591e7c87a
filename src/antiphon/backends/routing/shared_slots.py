"""SharedSlots: this process's part of a backend's `max_concurrent`, where all servers on the store share it.

Slots are taken from the store when calls wait, used by one call after another, and given back when no call needs them: a busy
server asks the store far less than once per call, and calls themselves never wait for it while there is a slot here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from antiphon.errors import APIError

LINGER = 0.5  # seconds that a slot is kept without a call
TURN = 10.0  # seconds after which a slot goes back to the store in between: another server may wait for it
PAUSES = (0.05, 0.25)  # seconds between two questions, while all slots are taken: at least, at most
RENEWAL = 10.0

log = logging.getLogger("antiphon.backends.routing")


class SlotStore(Protocol):
    """Slots in the store that all servers share. The methods raise APIError while it is unavailable."""

    async def take(self, name: str, most: int) -> bool:
        """Take a slot under a name, unless `most` are taken by all servers together."""
        ...

    async def free(self, name: str) -> None:
        """Give a slot back."""
        ...

    async def renew(self) -> None:
        """Keep what this server has taken; otherwise it is free half a minute later."""
        ...


class SharedSlots:
    """The slots of one backend that this process holds; `usable` calls may be made at once.

    `waits` tells whether calls wait, `used` how many slots calls have; `serve` hands a free slot to the call that waits longest.
    While the store is unavailable the process goes on with what it holds, and makes one call at a time if that is nothing.
    """

    def __init__(
        self,
        store: SlotStore,
        name: str,
        most: int,
        *,
        waits: Callable[[], bool],
        used: Callable[[], int],
        serve: Callable[[], None],
    ) -> None:
        self._store = store
        self._name = name
        self._most = most
        self._waits = waits
        self._used = used
        self._serve = serve
        self._held = 0
        self._borrowed = 0  # of those, without the store's word
        self._owed = False  # the next slot that is free goes back to the store
        self._news = asyncio.Event()
        self._turn_began = self._renewed_at = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def usable(self) -> int:
        """How many calls may be made at once now."""
        return self._held - self._owed

    def look(self) -> None:
        """Take note that a call waits, or has ended."""
        self._news.set()
        if self._task is None and self._waits():
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Give back all slots, as far as the store answers."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._give_back(self._held)

    async def _work(self) -> None:
        """Take slots while calls wait, give them back when none needs them, until nothing is held."""
        self._turn_began = self._renewed_at = idle_since = monotonic()
        try:
            while self._held or self._waits():
                await self._renew()
                await self._take_turns()
                if self._waits() or self._used() >= self._held:
                    idle_since = monotonic()
                if self._waits() and (self._used() < self.usable or await self._take()):
                    self._serve()
                elif self._waits():
                    await asyncio.sleep(random.uniform(*PAUSES))  # noqa: S311 (so that servers do not ask in step)
                elif monotonic() - idle_since >= LINGER:
                    await self._give_back(self._held - self._used())
                else:
                    await self._pause()
        finally:
            self._task = None

    async def _take_turns(self) -> None:
        """Give a slot back every now and then, so that a server that waits gets one from a server that never does."""
        if self._held and monotonic() - self._turn_began > TURN:
            self._turn_began = monotonic()
            self._owed = True
        if self._owed and self._used() < self._held:
            self._owed = False
            await self._give_back(1)
            await asyncio.sleep(PAUSES[1])

    async def _take(self) -> bool:
        """Take a slot of the store; tell whether there was one."""
        if self._held >= self._most:
            return False
        try:
            if not await self._store.take(self._name, self._most):
                return False
        except APIError:
            if self._held:
                return False
            self._borrowed += 1
            log.debug(
                "backend %s: concurrency limited to one call: the store does not tell which slots are free", self._name
            )
        self._held += 1
        return True

    async def _give_back(self, count: int) -> None:
        for _ in range(count):
            self._held -= 1
            if self._borrowed:
                self._borrowed -= 1
                continue
            try:
                await self._store.free(self._name)
            except APIError:
                log.debug("backend %s: concurrency slot not released; it is free when its lease expires", self._name)

    async def _renew(self) -> None:
        if self._held and monotonic() - self._renewed_at >= RENEWAL:
            self._renewed_at = monotonic()
            try:
                await self._store.renew()
            except APIError:
                log.debug("backend %s: concurrency slots not renewed", self._name)

    async def _pause(self) -> None:
        """Wait for news, for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._news.wait()
        self._news.clear()
