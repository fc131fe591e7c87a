"""SQLiteAudit: the audit log. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from antiphon.stores.audit_records import AuditEntry, AuditQuery
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("audit")
FIELDS = AuditEntry.__struct_fields__
LAST = (1 << 63) - 1


def add(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Add entries."""
    connection.executemany(SQL["add"], [msgspec.structs.asdict(one) for one in entries])


def read_page(connection: Connection, query: AuditQuery) -> list[AuditEntry] | None:
    """Return a page of entries; None if where it begins is unknown."""
    number = LAST
    if query.after is not None:
        found = connection.execute(SQL["number"], {"id": query.after}).fetchall()
        if not found:
            return None
        number = found[0][0]
    rows = connection.execute(SQL["list"], {**msgspec.structs.asdict(query), "number": number}).fetchall()
    return [AuditEntry(**dict(zip(FIELDS, row, strict=True))) for row in rows]


def drop(connection: Connection, before: float, limit: int) -> int:
    """Delete the oldest entries that are older than a time."""
    return connection.execute(SQL["drop"], {"before": before, "limit": limit}).rowcount


class SQLiteAudit:
    """Entries in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        await self._writer.submit(lambda connection: add(connection, entries))

    async def list(self, query: AuditQuery) -> Sequence[AuditEntry] | None:
        return await self._database.read_long(lambda connection: read_page(connection, query))

    async def drop(self, before: float, limit: int) -> int:
        return await self._writer.submit(lambda connection: drop(connection, before, limit))
