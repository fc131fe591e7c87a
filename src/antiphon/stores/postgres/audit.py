"""PostgresAudit: the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.stores.audit_records import AuditEntry, AuditQuery
from antiphon.stores.postgres.database import Row
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape

SQL = queries("audit")
FIELDS = AuditEntry.__struct_fields__
LAST = (1 << 63) - 1


class PostgresAudit:
    """Entries in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        if entries:
            await self._pool.row(SQL["add"], **{name: [getattr(one, name) for one in entries] for name in FIELDS})

    async def list(self, query: AuditQuery) -> Sequence[AuditEntry] | None:
        number: int | None = LAST
        if query.after is not None:
            number = await self._pool.value(SQL["number"], id=query.after)
            if number is None:
                return None
        rows = await self._pool.rows(SQL["list"], **msgspec.structs.asdict(query), number=number)
        return [_entry(row) for row in rows]

    async def drop(self, before: float, limit: int) -> int:
        return int(await self._pool.value(SQL["drop"], before=before, limit=limit))


def _entry(row: Row) -> AuditEntry:
    values: list[Any] = [unescape(value) if isinstance(value, str) else value for value in row]
    return AuditEntry(**dict(zip(FIELDS, values, strict=True)))
