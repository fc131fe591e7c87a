"""MemoryUsage: sums of usage."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from antiphon.stores.usage_records import GROUPS, MOST_ROWS, UsageQuery, UsageSum, plus, whom

MOST_SUMS = 100_000


class MemoryUsage:
    """Sums in memory. Beyond `most` the oldest are dropped."""

    def __init__(self, most: int = MOST_SUMS) -> None:
        self._sums: dict[tuple[int, str, str, str, str], UsageSum] = {}
        self._most = most

    async def add(self, sums: Sequence[UsageSum]) -> None:
        for one in sums:
            known = self._sums.get(whom(one))
            self._sums[whom(one)] = one if known is None else plus(known, one)
        while len(self._sums) > self._most:
            del self._sums[next(iter(self._sums))]

    async def read(self, query: UsageQuery) -> Sequence[UsageSum]:
        hidden = {name: (0 if name == "day" else "") for name in GROUPS if name not in query.groups}
        found: dict[tuple[int, str, str, str, str], UsageSum] = {}
        for one in self._sums.values():
            wanted = ((query.owner, one.owner), (query.key, one.key), (query.model, one.model))
            if query.first <= one.day <= query.last and all(name in (None, mine) for name, mine in wanted):
                shown = replace(one, **hidden)
                known = found.get(whom(shown))
                found[whom(shown)] = shown if known is None else plus(known, shown)
        return [found[name] for name in sorted(found)][:MOST_ROWS]

    async def drop(self, before: int) -> None:
        for name in [name for name in self._sums if name[0] < before]:
            del self._sums[name]
