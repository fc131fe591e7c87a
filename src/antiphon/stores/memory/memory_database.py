"""MemoryDatabase: expiry and census of a store in memory, shared by its nouns.

It behaves as the SQLite store does, without a file: for tests and for servers without a disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from antiphon.stores.condition import Census, Condition, Measure

Purge = Callable[[int], int]
"""Deletes what has expired by a time; returns how many that count."""


class MemoryDatabase:
    """A store in memory as a whole. Satisfies StoreDatabase."""

    remote = False

    def __init__(self) -> None:
        self.condition = Condition("memory")
        self._purges: list[Purge] = []
        self._counts: list[Callable[[float], Census]] = []
        self._deleted: list[Callable[[str], None]] = []

    # For nouns

    def expires(self, purge: Purge) -> None:
        """Register the function `purge`, which deletes expired rows of a noun."""
        self._purges.append(purge)

    def waits(self, count: Callable[[float], Census]) -> None:
        """Register the function `count`, which returns a noun's part of the census."""
        self._counts.append(count)

    def when_deleted(self, tell: Callable[[str], None]) -> None:
        """Register the function `tell`, called with the id of each uploaded file that is deleted or has expired."""
        self._deleted.append(tell)

    def file_deleted(self, id: str) -> None:
        """Tell the others that a file is gone."""
        for tell in self._deleted:
            tell(id)

    # The store as a whole

    async def purge(self, now: int) -> int:
        """Delete what has expired."""
        return sum([purge(now) for purge in self._purges])

    async def census(self, now: float) -> Census:
        """Return the census: each noun counts its own fields, the others are 0."""
        parts = [msgspec.structs.astuple(count(now)) for count in self._counts]
        return Census(*map(sum, zip(*parts, strict=True)))

    def measures(self) -> Iterable[Measure]:
        """Return nothing: there are no figures."""
        return ()

    async def close(self) -> None:
        """Do nothing: there is nothing to finish."""
