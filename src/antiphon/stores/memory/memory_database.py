"""MemoryDatabase: what the nouns of a store in memory share: what expires, what waits.

It is the twin of the SQLite store that keeps nothing, for tests and for servers without a disk.
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

    # For nouns

    def expires(self, purge: Purge) -> None:
        """Let `purge` be called whenever what has expired is deleted."""
        self._purges.append(purge)

    def waits(self, count: Callable[[float], Census]) -> None:
        """Let `count` tell of the noun's part of the census."""
        self._counts.append(count)

    # The store as a whole

    async def purge(self, now: int) -> int:
        """Delete what has expired."""
        return sum([purge(now) for purge in self._purges])

    async def census(self, now: float) -> Census:
        """Count what waits: each noun tells of its own fields, the others are 0."""
        parts = [msgspec.structs.astuple(count(now)) for count in self._counts]
        return Census(*map(sum, zip(*parts, strict=True)))

    def measures(self) -> Iterable[Measure]:
        """Return nothing: there are no figures."""
        return ()

    async def close(self) -> None:
        """Do nothing: there is nothing to finish."""
