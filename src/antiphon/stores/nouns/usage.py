"""UsageStore: the operations on sums of usage."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Literal, Protocol

import msgspec

from antiphon.stores.records import UsageSum

UsageGroup = Literal["day", "owner", "key", "model", "tool"]
GROUPS: tuple[UsageGroup, ...] = ("day", "owner", "key", "model", "tool")
COUNTS = (
    "requests",
    "failures",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "calls",
    "cost",
)
MOST_ROWS = 50_000
"""Rows of one answer."""


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which sums are wanted: of the days from `first` to `last`, told apart by `groups`; None: of all owners, keys, models."""

    first: int
    last: int
    groups: Set[UsageGroup] = frozenset()
    owner: str | None = None
    key: str | None = None
    model: str | None = None


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


def whom(one: UsageSum) -> tuple[int, str, str, str, str]:
    """Return what a sum is of."""
    return (one.day, one.owner, one.key, one.model, one.tool)


def plus(one: UsageSum, other: UsageSum) -> UsageSum:
    """Return a sum with another's counts added."""
    added = {name: getattr(one, name) + getattr(other, name) for name in COUNTS}
    return msgspec.structs.replace(one, **added)
