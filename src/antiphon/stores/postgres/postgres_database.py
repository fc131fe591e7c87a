"""PostgresDatabase: pool, group commits and expiry of a PostgreSQL store, shared by its nouns.

Frequent writes are committed in groups; reads run on pooled connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from antiphon.stores.condition import Census, Measure
from antiphon.stores.expiry import Expiry
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
        # As long as a group takes, others have the disk.
        self._expiry: Expiry[Purge] = Expiry(lambda purge, now: purge(now), group=PURGE_GROUP, rest=1.0)
        self.expires = self._expiry.expires
        self.sweeps = self._expiry.sweeps

    # For nouns

    def batcher(self, query: Query, *order: str) -> Batcher[Values, Any]:
        """Return what commits a statement's calls in groups, their rows locked in the order of these parameters."""
        commit = partial(self.pool.many, query)
        return self.closes(Batcher(commit, lambda call: tuple(call[name] or "" for name in order)))

    def closes(self, batcher: Batcher[Any, Any]) -> Batcher[Any, Any]:
        """Register a batcher, which is flushed before the database is closed; return it."""
        self._batchers.append(batcher)
        return batcher

    # The store as a whole

    async def purge(self, now: int) -> int:
        """Delete what has expired; return how many rows that count."""
        return await self._expiry.purge(now)

    async def census(self, now: float) -> Census:
        """Count what waits."""
        row = await self.pool.row(upkeep.SQL["census"], now=now)
        assert row is not None
        return Census(*row)

    def measures(self) -> Iterable[Measure]:
        """Return the figures of the connections, and how many rows were deleted."""
        return upkeep.measures(self.pool, self.listener.listening, self._expiry.deleted)

    async def close(self) -> None:
        """Finish pending writes and close the connections."""
        await self.listener.close()
        for batcher in self._batchers:
            await batcher.close()
        await self.pool.close()
