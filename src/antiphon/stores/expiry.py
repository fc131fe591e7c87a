"""Expiry of a database's rows: what its nouns have registered, in groups of rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Generic, TypeVar

Purge = TypeVar("Purge")

Sweep = Callable[[int], Awaitable[None]]
"""Deletes what is of no use by a time."""


class Expiry(Generic[Purge]):
    """The functions that delete what has expired. `Purge` is the database's kind of them; each deletes one group of rows."""

    def __init__(self, delete: Callable[[Purge, int], Awaitable[int]], *, group: int, rest: float) -> None:
        """`delete` runs a purge; `group`: rows deleted at once; `rest`: times as long as that took, others have the disk."""
        self.deleted = 0
        self._delete = delete
        self._group = group
        self._rest = rest
        self._purges: list[Purge] = []
        self._sweeps: list[Sweep] = []

    def expires(self, purge: Purge, *, first: bool = False) -> None:
        """Register the function `purge`, called until it deletes nothing; `first`: before the others."""
        self._purges.insert(0 if first else len(self._purges), purge)

    def sweeps(self, sweep: Sweep) -> None:
        """Register the coroutine function `sweep`, which deletes what the purges leave behind, in steps of its own."""
        self._sweeps.append(sweep)

    async def purge(self, now: int, *, behind: Callable[[], Awaitable[object]] | None = None) -> int:
        """Delete what has expired; return how many rows that count. `behind` runs behind each purge that deleted rows."""
        total = 0
        for purge in self._purges:
            deleted = await self._all(purge, now)
            total += deleted
            if deleted and behind is not None:
                await behind()
        for sweep in self._sweeps:
            await sweep(now)
        return total

    async def _all(self, purge: Purge, now: int) -> int:
        total = 0
        while True:
            began = perf_counter()
            deleted = await self._delete(purge, now)
            total += deleted
            self.deleted += deleted
            if deleted < self._group:
                return total
            await asyncio.sleep(self._rest * (perf_counter() - began))
