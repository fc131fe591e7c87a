"""PostgresDatabase: pool, group commits and expiry of a PostgreSQL store, shared by its nouns.

Frequent writes are committed in groups; reads run on pooled connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

from antiphon.stores.condition import Census, Measure
from antiphon.stores.postgres.connection import upkeep
from antiphon.stores.postgres.connection.address import read_address
from antiphon.stores.postgres.connection.batcher import Batcher
from antiphon.stores.postgres.connection.listener import Listener
from antiphon.stores.postgres.connection.preparation import PATIENCE, prepare
from antiphon.stores.postgres.database import Database
from antiphon.stores.postgres.sql import Query

Values = Mapping[str, Any]

Purge = Callable[[int], Awaitable[int]]
"""Deletes up to `PURGE_GROUP` rows that have expired by a time; returns how many of them count."""

Sweep = Callable[[int], Awaitable[None]]
"""Deletes what is of no use by a time."""

PURGE_GROUP = 100  # rows deleted in one transaction


class PostgresDatabase:
    """A database that any number of servers share; a StoreDatabase. Methods raise APIError 503 while it is unavailable."""

    remote = True

    def __init__(self, url: str, *, patience: float | None = None) -> None:
        """Bring the database to the newest schema; wait `patience` seconds for it. Raises ConfigError."""
        self.address = read_address(url)
        prepare(self.address, PATIENCE if patience is None else patience)
        self.pool = Database(self.address)
        self.condition = self.pool.condition
        self.listener = Listener(self.address, self.pool)
        self._batchers: list[Batcher[Any, Any]] = []
        self._purges: list[Purge] = []
        self._purged = 0
        self._sweeps: list[Sweep] = []

    # For nouns

    def batcher(self, query: Query, *order: str) -> Batcher[Values, Any]:
        """Return what commits a statement's calls in groups, their rows locked in the order of these parameters."""
        commit = partial(self.pool.many, query)
        return self.closes(Batcher(commit, lambda call: tuple(call[name] or "" for name in order)))

    def closes(self, batcher: Batcher[Any, Any]) -> Batcher[Any, Any]:
        """Register a batcher, which is flushed before the database is closed; return it."""
        self._batchers.append(batcher)
        return batcher

    def expires(self, purge: Purge, *, first: bool = False) -> None:
        """Register the function `purge`, called until it deletes nothing; `first`: before the others."""
        self._purges.insert(0 if first else len(self._purges), purge)

    def sweeps(self, sweep: Sweep) -> None:
        """Register the coroutine function `sweep`, which deletes what the purges leave behind, in steps of its own."""
        self._sweeps.append(sweep)

    # The store as a whole

    async def purge(self, now: int) -> int:
        """Delete what has expired; return how many rows that count."""
        total = sum([await self._purge(purge, now) for purge in self._purges])
        for sweep in self._sweeps:
            await sweep(now)
        return total

    async def _purge(self, some: Purge, now: int) -> int:
        total = 0
        while True:
            began = perf_counter()
            deleted = await some(now)
            total += deleted
            self._purged += deleted
            if deleted < PURGE_GROUP:
                return total
            await asyncio.sleep(perf_counter() - began)  # others have the disk meanwhile

    async def census(self, now: float) -> Census:
        """Count what waits."""
        row = await self.pool.row(upkeep.SQL["census"], now=now)
        assert row is not None
        return Census(*row)

    def measures(self) -> Iterable[Measure]:
        """Return the figures of the connections, and how many rows were deleted."""
        return upkeep.measures(self.pool, self.listener.listening, self._purged)

    async def close(self) -> None:
        """Finish pending writes and close the connections."""
        await self.listener.close()
        for batcher in self._batchers:
            await batcher.close()
        await self.pool.close()
