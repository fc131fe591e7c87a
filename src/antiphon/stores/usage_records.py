"""Records of usage: sums, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

import msgspec

UsageGroup = Literal["day", "owner", "key", "model", "tool"]
GROUPS: tuple[UsageGroup, ...] = ("day", "owner", "key", "model", "tool")


class UsageCounts(msgspec.Struct, eq=False):
    """What waits to be added to a sum: fields of UsageSum."""

    requests: int = 0
    failures: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    calls: int = 0
    cost: float = 0.0

    def add(self, others: UsageCounts) -> None:
        """Add others to them."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(others, name))


COUNTS = UsageCounts.__struct_fields__
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


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """What was used on a day (days since 1970, UTC) by an owner's key, of a model or a hosted tool.

    "" stands for what is not told apart. `requests` are answers that were made, `failures` those of them that failed; `calls` are
    those of a tool.
    """

    day: int = 0
    owner: str = ""
    key: str = ""
    model: str = ""
    tool: str = ""
    requests: int = 0
    failures: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    calls: int = 0
    cost: float = 0.0


def whom(one: UsageSum) -> tuple[int, str, str, str, str]:
    """Return what a sum is of."""
    return (one.day, one.owner, one.key, one.model, one.tool)


def plus(one: UsageSum, other: UsageSum) -> UsageSum:
    """Return a sum with another's counts added."""
    added = {name: getattr(one, name) + getattr(other, name) for name in COUNTS}
    return msgspec.structs.replace(one, **added)
