"""SQLiteUsage: sums of usage. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase
from antiphon.stores.usage_records import COUNTS, GROUPS, MOST_ROWS, UsageQuery, UsageSum

SQL = queries("usage")
SHOWN = (*GROUPS, *COUNTS)


def add(connection: Connection, sums: Sequence[UsageSum]) -> None:
    """Add to what is there."""
    connection.executemany(SQL["add"], [msgspec.structs.asdict(one) for one in sums])


def read(connection: Connection, query: UsageQuery) -> list[UsageSum]:
    """Return sums."""
    values: dict[str, object] = {f"by_{name}": name in query.groups for name in GROUPS}
    values |= {name: getattr(query, name) for name in ("first", "last", "owner", "key", "model")}
    rows = connection.execute(SQL["read"], {**values, "limit": MOST_ROWS}).fetchall()
    return [UsageSum(**dict(zip(SHOWN, row, strict=True))) for row in rows]


def drop(connection: Connection, before: int) -> None:
    """Delete the sums of days before one."""
    connection.execute(SQL["drop"], {"before": before})


class SQLiteUsage:
    """Sums in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer

    async def add(self, sums: Sequence[UsageSum]) -> None:
        await self._writer.submit(lambda connection: add(connection, sums))

    async def read(self, query: UsageQuery) -> Sequence[UsageSum]:
        return await self._database.read_long(lambda connection: read(connection, query))

    async def drop(self, before: int) -> None:
        await self._writer.submit(lambda connection: drop(connection, before))
