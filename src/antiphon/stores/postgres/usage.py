"""PostgresUsage: sums of usage."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.stores.postgres.database import Row
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.usage_records import COUNTS, GROUPS, MOST_ROWS, UsageQuery, UsageSum, plus, whom

SQL = queries("usage")
SHOWN = (*GROUPS, *COUNTS)


def _sum(row: Row) -> UsageSum:
    day, owner, key, model, tool, *counts = row
    return UsageSum(
        day=day,
        owner=unescape(owner),
        key=unescape(key),
        model=unescape(model),
        tool=unescape(tool),
        **dict(zip(COUNTS, counts, strict=True)),
    )


class PostgresUsage:
    """Sums in a database. An addition whose connection breaks at its commit may be made twice."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool

    async def add(self, sums: Sequence[UsageSum]) -> None:
        folded: dict[tuple[int, str, str, str, str], UsageSum] = {}
        for one in sums:
            known = folded.get(whom(one))
            folded[whom(one)] = one if known is None else plus(known, one)
        rows = [folded[name] for name in sorted(folded)]  # in one order, so that no two servers wait for each other
        if rows:
            await self._pool.row(SQL["add"], **{name: [getattr(one, name) for one in rows] for name in SHOWN})

    async def read(self, query: UsageQuery) -> Sequence[UsageSum]:
        values: dict[str, object] = {f"by_{name}": name in query.groups for name in GROUPS}
        values |= {name: getattr(query, name) for name in ("first", "last", "owner", "key", "model")}
        rows = await self._pool.rows(SQL["read"], **values, limit=MOST_ROWS)
        return [_sum(row) for row in rows]

    async def drop(self, before: int) -> None:
        await self._pool.row(SQL["drop"], before=before)
