"""SQLiteFiles: uploaded files. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.records import StoredFile
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("files")
LAST = (1 << 63) - 1


class FilePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an owner's files: after the file `after`, at most `limit`, without files expired by `now`."""

    owner: str
    now: float
    purpose: str | None
    after: str | None
    limit: int
    descending: bool


def insert(connection: Connection, file: StoredFile, content: bytes) -> None:
    """Insert a file. Raises StoreConflict if the id is taken."""
    if connection.execute(SQL["taken"], {"id": file.id}).fetchall():
        raise StoreConflict(file.id)
    number = connection.execute(SQL["insert"], msgspec.structs.asdict(file)).fetchall()[0][0]
    connection.execute(SQL["insert_content"], {"file": number, "content": content})


def get(connection: Connection, id: str, owner: str, now: float) -> StoredFile | None:
    """Return a file, or None."""
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner, "now": now}).fetchall():
        return _file(owner, row)
    return None


def content(connection: Connection, id: str, owner: str, now: float) -> bytes | None:
    """Return a file's content, or None."""
    for (found,) in connection.execute(SQL["content"], {"id": id, "owner": owner, "now": now}).fetchall():
        return bytes(found)
    return None


def page(connection: Connection, wanted: FilePage) -> list[StoredFile] | None:
    """Return a page of files; None if `after` is unknown."""
    start = LAST if wanted.descending else 0
    if wanted.after is not None:
        parameters = {"id": wanted.after, "owner": wanted.owner, "now": wanted.now}
        found = connection.execute(SQL["live_number"], parameters).fetchall()
        if not found:
            return None
        start = found[0][0]
    query = SQL["list_descending" if wanted.descending else "list"]
    rows = connection.execute(query, {**msgspec.structs.asdict(wanted), "after": start}).fetchall()
    return [_file(wanted.owner, row) for row in rows]


def delete(connection: Connection, id: str, owner: str) -> bool:
    """Delete a file."""
    rows = connection.execute(SQL["number"], {"id": id, "owner": owner}).fetchall()
    for (number,) in rows:
        _remove(connection, number)
    return bool(rows)


def purge(connection: Connection, now: int, limit: int) -> int:
    """Delete up to `limit` expired files; return how many."""
    rows = connection.execute(SQL["expired"], {"now": now, "limit": limit}).fetchall()
    for (number,) in rows:
        _remove(connection, number)
    return len(rows)


def _remove(connection: Connection, number: int) -> None:
    connection.execute(SQL["remove_content"], {"file": number})
    connection.execute(SQL["remove"], {"file": number})


def _file(owner: str, row: tuple[Any, ...]) -> StoredFile:
    id, filename, purpose, media_type, size, created_at, expires_at = row
    return StoredFile(
        id=id,
        owner=owner,
        filename=filename,
        purpose=purpose,
        media_type=media_type,
        size=size,
        created_at=created_at,
        expires_at=expires_at,
    )


class SQLiteFiles:
    """Uploaded files in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge)

    async def put(self, file: StoredFile, content: bytes) -> None:
        await self._writer.submit(lambda connection: insert(connection, file, content))

    async def get(self, id: str, owner: str, now: float) -> StoredFile | None:
        return self._database.read(get, id, owner, now)

    async def content(self, id: str, owner: str, now: float) -> bytes | None:
        return await self._database.read_long(lambda connection: content(connection, id, owner, now))

    async def list(
        self,
        owner: str,
        now: float,
        *,
        purpose: str | None = None,
        after: str | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Sequence[StoredFile] | None:
        wanted = FilePage(owner=owner, now=now, purpose=purpose, after=after, limit=limit, descending=descending)
        return await self._database.read_long(lambda connection: page(connection, wanted))

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)
