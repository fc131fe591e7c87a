"""SQLiteFiles: uploaded files. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.records import FILE_ROW, FileUsage, StoredFile
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("files")
LAST = (1 << 63) - 1
SWEPT = 8  # rows of contents deleted in one transaction: each is overwritten with zeros


class FilePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an owner's files: after the file `after`, at most `limit`, without files expired by `now`."""

    owner: str
    now: float
    purpose: str | None
    after: str | None
    limit: int
    descending: bool


def insert(connection: Connection, file: StoredFile, content: bytes) -> None:
    """Insert a file of one row. Raises StoreConflict if the id is taken."""
    number = _insert(connection, file)
    connection.execute(SQL["insert_content"], {"file": number, "content": content})


def _insert(connection: Connection, file: StoredFile) -> int:
    if connection.execute(SQL["taken"], {"id": file.id}).fetchall():
        raise StoreConflict(file.id)
    return int(connection.execute(SQL["insert"], msgspec.structs.asdict(file)).fetchall()[0][0])


def begin(connection: Connection, owner: str, expires_at: int) -> int:
    """Begin a content; return its number."""
    return int(connection.execute(SQL["begin"], {"owner": owner, "expires_at": expires_at}).fetchall()[0][0])


def append(connection: Connection, content: int, start: int, row: bytes) -> None:
    """Append a row to a content. Raises StoreUnknown where it is gone."""
    if not connection.execute(SQL["grow"], {"content": content, "size": start + len(row)}).fetchall():
        raise StoreUnknown(str(content))
    connection.execute(SQL["append"], {"content": content, "start": start, "row": row})


def finish(connection: Connection, file: StoredFile, contents: Sequence[int]) -> None:
    """Insert a file of these contents. Raises StoreUnknown where one is gone, StoreConflict if the id is taken."""
    number = _insert(connection, file)
    start = 0
    for content in contents:
        sizes = connection.execute(SQL["join_file"], {"content": content, "file": number, "start": start}).fetchall()
        if not sizes:
            raise StoreUnknown(file.id)
        start += sizes[0][0]


def give_up(connection: Connection, contents: Sequence[int]) -> None:
    """Let contents that are no file's expire."""
    connection.executemany(SQL["give_up"], [{"content": content} for content in contents])


def sweep(connection: Connection, now: int) -> bool:
    """Delete some rows of contents that are no file's and have expired; tell whether there may be more."""
    rows = connection.execute(SQL["rows_left"], {"now": now, "limit": SWEPT}).fetchall()
    for (number,) in rows:
        connection.execute(SQL["remove_row"], {"number": number})
    if len(rows) < SWEPT:
        connection.execute(SQL["remove_contents"], {"now": now})
    return len(rows) == SWEPT


def get(connection: Connection, id: str, owner: str, now: float) -> StoredFile | None:
    """Return a file, or None."""
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner, "now": now}).fetchall():
        return _file(owner, row)
    return None


def content(connection: Connection, id: str, owner: str, now: float, start: int) -> bytes | None:
    """Return a file's content from a byte on, up to the end of its row; None: the file is not there."""
    files = connection.execute(SQL["live_number"], {"id": id, "owner": owner, "now": now}).fetchall()
    if not files:
        return None
    index = {"file": files[0][0], "start": start}
    for number, begins in connection.execute(SQL["content_at"], index).fetchall():
        return row_at(connection, number, start - begins)
    rows = connection.execute(SQL["single_row"], {**index, "most": FILE_ROW}).fetchall()
    return bytes(rows[0][0] or b"") if rows else None


def row_at(connection: Connection, content: int, start: int) -> bytes:
    """Return a content from a byte on, up to the end of the row."""
    rows = connection.execute(SQL["row_at"], {"content": content, "start": start}).fetchall()
    return bytes(rows[0][0] or b"") if rows else b""


def usage(connection: Connection, owner: str) -> FileUsage:
    """Return what an owner's files take."""
    return FileUsage(*connection.execute(SQL["usage"], {"owner": owner}).fetchall()[0])


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
        database.sweeps(self._sweep)

    async def put(self, file: StoredFile, content: bytes) -> None:
        await self._writer.submit(lambda connection: insert(connection, file, content))

    async def begin(self, owner: str, expires_at: int) -> int:
        return await self._writer.submit(lambda connection: begin(connection, owner, expires_at))

    async def append(self, content: int, start: int, row: bytes) -> None:
        await self._writer.submit(lambda connection: append(connection, content, start, row))

    async def finish(self, file: StoredFile, contents: Sequence[int]) -> None:
        await self._writer.submit(lambda connection: finish(connection, file, contents))

    async def drop(self, contents: Sequence[int]) -> None:
        await self._writer.submit(lambda connection: give_up(connection, contents))
        await self._sweep(0)

    async def row(self, content: int, start: int) -> bytes:
        return await self._database.read_long(lambda connection: row_at(connection, content, start))

    async def get(self, id: str, owner: str, now: float) -> StoredFile | None:
        return self._database.read(get, id, owner, now)

    async def content(self, id: str, owner: str, now: float, start: int = 0) -> bytes | None:
        return await self._database.read_long(lambda connection: content(connection, id, owner, now, start))

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

    async def usage(self, owner: str) -> FileUsage:
        return await self._database.read_long(lambda connection: usage(connection, owner))

    async def delete(self, id: str, owner: str) -> bool:
        there = await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)
        if there:
            await self._sweep(0)
        return there

    async def _sweep(self, now: int) -> None:
        """Delete what expired contents have, a few rows at a time: others write in between."""
        while await self._writer.submit(lambda connection: sweep(connection, now), erases=True):
            pass
