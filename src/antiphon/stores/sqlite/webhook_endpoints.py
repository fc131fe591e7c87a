"""SQLiteWebhookEndpoints: webhook endpoints of owners. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.records import ListPage
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase
from antiphon.stores.webhook_records import StoredWebhook

SQL = queries("webhook_endpoints")
FIELDS = StoredWebhook.__struct_fields__
LAST = (1 << 63) - 1


def insert(connection: Connection, endpoint: StoredWebhook, most: int) -> bool:
    """Insert an endpoint. Raises StoreConflict if the id is taken."""
    if connection.execute(SQL["taken"], {"id": endpoint.id}).fetchall():
        raise StoreConflict(endpoint.id)
    if connection.execute(SQL["count"], {"owner": endpoint.owner}).fetchall()[0][0] >= most:
        return False
    connection.execute(SQL["insert"], msgspec.structs.asdict(endpoint))
    return True


def get(connection: Connection, id: str, owner: str) -> StoredWebhook | None:
    """Return an endpoint, or None."""
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner}).fetchall():
        return StoredWebhook(**dict(zip(FIELDS, row, strict=True)))
    return None


def read_page(connection: Connection, owner: str, wanted: ListPage) -> list[StoredWebhook] | None:
    """Return a page of endpoints; None if where it begins or ends is unknown."""
    ends = []
    for end in (wanted.after, wanted.before):
        found = [] if end is None else connection.execute(SQL["number"], {"id": end, "owner": owner}).fetchall()
        if end is not None and not found:
            return None
        ends.append(found[0][0] if found else None)
    low, high = ends[::-1] if wanted.descending else ends
    bounds = {"low": 0 if low is None else low, "high": LAST if high is None else high, "limit": wanted.limit}
    rows = connection.execute(SQL["list_descending" if wanted.descending else "list"], {"owner": owner, **bounds})
    return [StoredWebhook(**dict(zip(FIELDS, row, strict=True))) for row in rows.fetchall()]


def update(connection: Connection, endpoint: StoredWebhook) -> bool:
    """Replace what can change of an endpoint."""
    return bool(connection.execute(SQL["update"], msgspec.structs.asdict(endpoint)).fetchall())


def delete(connection: Connection, id: str, owner: str) -> bool:
    """Delete an endpoint."""
    return bool(connection.execute(SQL["delete"], {"id": id, "owner": owner}).fetchall())


class SQLiteWebhookEndpoints:
    """Webhook endpoints in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer

    async def create(self, endpoint: StoredWebhook, most: int) -> bool:
        return await self._writer.submit(lambda connection: insert(connection, endpoint, most))

    async def get(self, id: str, owner: str) -> StoredWebhook | None:
        return self._database.read(get, id, owner)

    async def list(self, owner: str, page: ListPage) -> Sequence[StoredWebhook] | None:
        return self._database.read(read_page, owner, page)

    async def update(self, endpoint: StoredWebhook) -> bool:
        return await self._writer.submit(lambda connection: update(connection, endpoint), erases=True)

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)
