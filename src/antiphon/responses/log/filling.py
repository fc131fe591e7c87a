"""LogFiller: entries for responses that were stored without one, by a version before the log or one that runs beside this."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from time import perf_counter

from antiphon.errors import APIError
from antiphon.responses.log.entries import Costing, log_entry
from antiphon.runtime.offload import by_size
from antiphon.stores.base import ResponseStore

EVERY = 600.0
"""Seconds between two looks."""
GROUP = 20
"""Responses of one step."""
REST = 4.0
"""Times as long as a step takes, others have the store to themselves."""
LAST_ID = "~"

log = logging.getLogger("antiphon.responses.log")


class LogFiller:
    """Walks through the responses, the newest first: all of them once, later those that have come since."""

    def __init__(self, store: ResponseStore, cost: Costing) -> None:
        self._store = store
        self._cost = cost
        self._newest = ["", ""]  # of the walk before the last, and of the last one: each is looked at twice
        self.filled = 0

    async def run(self) -> None:
        """Fill in what is missing, now and from time to time."""
        while True:
            try:
                await self.walk()
            except APIError:
                log.debug("response log: filling in entries failed: the store is unavailable")
            except Exception:  # the next round tries again
                log.exception("response log: filling in entries failed")
            await asyncio.sleep(EVERY)

    async def walk(self) -> None:
        """Fill in what is missing now. Raises APIError."""
        before, since, newest = LAST_ID, self._newest[0], ""
        while found := await self._store.unlogged(before, since, GROUP):
            newest = newest or found[0][0]
            await self._fill(found)
            before = found[-1][0]
        self._newest = [self._newest[1], max(newest, self._newest[1])]
        while found := await self._store.outdated(GROUP):
            await self._fill(found)
            if len(found) < GROUP:
                break
        if self.filled:
            log.info("response log: filled in %d entries", self.filled)
            self.filled = 0

    async def _fill(self, found: Sequence[tuple[str, str]]) -> None:
        began = perf_counter()
        for id, owner in found:
            stored = await self._store.get(id, owner)
            if stored is not None:
                size = len(stored.body) + len(stored.input)
                await self._store.fill(await by_size(size, log_entry, stored, self._cost))
                self.filled += 1
        await asyncio.sleep(REST * (perf_counter() - began))
