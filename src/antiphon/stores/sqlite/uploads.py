"""SQLiteUploads: files that are uploaded in parts. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.records import StoredPart, StoredUpload
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("uploads")
UPLOAD = StoredUpload.__struct_fields__
PART = StoredPart.__struct_fields__


def insert(connection: Connection, upload: StoredUpload) -> None:
    """Insert an upload. Raises StoreConflict if the id is taken."""
    if connection.execute(SQL["taken"], {"id": upload.id}).fetchall():
        raise StoreConflict(upload.id)
    connection.execute(SQL["insert"], msgspec.structs.asdict(upload))


def get(connection: Connection, id: str, owner: str, now: float) -> StoredUpload | None:
    """Return an upload, or None."""
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner, "now": now}).fetchall():
        return StoredUpload(**dict(zip(UPLOAD, row, strict=True)))
    return None


def pending(connection: Connection, owner: str, now: float) -> int:
    """Return how many pending uploads an owner has."""
    return int(connection.execute(SQL["pending"], {"owner": owner, "now": now}).fetchall()[0][0])


def add(connection: Connection, part: StoredPart, most: int) -> None:
    """Insert a part of a pending upload. Raises StoreUnknown where it is none, StoreConflict where it has too many parts."""
    upload = {"upload": part.upload}
    if not connection.execute(SQL["is_pending"], upload).fetchall():
        raise StoreUnknown(part.upload)
    if connection.execute(SQL["count_parts"], upload).fetchall()[0][0] >= most:
        raise StoreConflict(part.upload)
    connection.execute(SQL["insert_part"], msgspec.structs.asdict(part))


def parts(connection: Connection, upload: str) -> list[StoredPart]:
    """Return the parts of an upload."""
    rows = connection.execute(SQL["parts"], {"upload": upload}).fetchall()
    return [StoredPart(**dict(zip(PART, row, strict=True))) for row in rows]


def end(connection: Connection, id: str, owner: str, status: str) -> bool:
    """Give a pending upload another status; tell whether it has it now."""
    return bool(connection.execute(SQL["end"], {"id": id, "owner": owner, "status": status}).fetchall())


def purge(connection: Connection, now: int, limit: int) -> int:
    """Delete up to `limit` expired uploads; return how many. The contents of their parts expire with them."""
    rows = connection.execute(SQL["expired"], {"now": now, "limit": limit}).fetchall()
    for (id,) in rows:
        connection.execute(SQL["remove_parts"], {"upload": id})
    return len(rows)


class SQLiteUploads:
    """Uploads in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge)

    async def put(self, upload: StoredUpload) -> None:
        await self._writer.submit(lambda connection: insert(connection, upload))

    async def get(self, id: str, owner: str, now: float) -> StoredUpload | None:
        return self._database.read(get, id, owner, now)

    async def pending(self, owner: str, now: float) -> int:
        return self._database.read(pending, owner, now)

    async def add(self, part: StoredPart, most: int) -> None:
        await self._writer.submit(lambda connection: add(connection, part, most))

    async def parts(self, upload: str) -> Sequence[StoredPart]:
        return await self._database.read_long(lambda connection: parts(connection, upload))

    async def end(self, id: str, owner: str, status: str) -> bool:
        return await self._writer.submit(lambda connection: end(connection, id, owner, status))
