"""UsageStore: the operations on sums of usage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.usage_records import UsageQuery, UsageSum


class UsageStore(Protocol):
    """Sums of usage. They are kept apart from responses: these may be deleted, or never stored."""

    async def add(self, sums: Sequence[UsageSum]) -> None:
        """Add to what is there: all, or none. Two of them may be of the same day, owner, key, model and tool."""
        ...

    async def read(self, query: UsageQuery) -> Sequence[UsageSum]:
        """Return sums, at most `MOST_ROWS`, ordered by day, owner, key, model and tool."""
        ...

    async def drop(self, before: int) -> None:
        """Delete the sums of days before one."""
        ...
