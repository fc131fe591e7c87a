"""SQLiteKeys: keys and shared secrets. Each function that writes runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.records import KeyQuery, StoredKey
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("keys")


def secret(connection: Connection, name: str, proposal: bytes) -> bytes:
    """Return the shared secret, the proposal if there is none yet."""
    connection.execute(SQL["propose_secret"], {"name": name, "secret": proposal})
    known: bytes = connection.execute(SQL["secret"], {"name": name}).fetchall()[0][0]
    return known


def put(connection: Connection, key: StoredKey) -> None:
    """Insert or replace a key. Raises StoreConflict."""
    row = msgspec.structs.asdict(key)
    if connection.execute(SQL["other"], row).fetchall():
        raise StoreConflict(key.id)
    connection.execute(SQL["put"], row)


def find(connection: Connection, digest: bytes) -> StoredKey | None:
    """Return the key with a digest, or None."""
    rows = connection.execute(SQL["find"], {"digest": digest}).fetchall()
    return _key(rows[0]) if rows else None


def get(connection: Connection, id: str) -> StoredKey | None:
    """Return the key with an id, or None."""
    rows = connection.execute(SQL["get"], {"id": id}).fetchall()
    return _key(rows[0]) if rows else None


def read_page(connection: Connection, query: KeyQuery) -> list[StoredKey] | None:
    """Return a page of keys; None if where it begins is unknown."""
    position: tuple[float, str] = (1e18, "")
    if query.after is not None:
        after = get(connection, query.after)
        if after is None:
            return None
        position = (after.created_at, after.id)
    values = {"owner": query.owner, "time": position[0], "id": position[1], "limit": query.limit}
    return [_key(row) for row in connection.execute(SQL["page"], values).fetchall()]


def count(connection: Connection, most: int) -> int:
    """Return how many keys there are, at most so many."""
    return int(connection.execute(SQL["count"], {"most": most}).fetchall()[0][0])


def change(connection: Connection, id: str, before: bytes, body: bytes) -> bool:
    """Replace a body where it is the one before."""
    return bool(connection.execute(SQL["change"], {"id": id, "before": before, "body": body}).fetchall())


def used(connection: Connection, times: Mapping[str, float]) -> None:
    """Note when keys were last used."""
    connection.executemany(SQL["used"], [{"id": id, "time": time} for id, time in times.items()])


def everything(connection: Connection) -> Sequence[StoredKey]:
    """Return all keys, oldest first."""
    return [_key(row) for row in connection.execute(SQL["all"]).fetchall()]


def _key(row: tuple[Any, ...]) -> StoredKey:
    return StoredKey(**dict(zip(StoredKey.__struct_fields__, row, strict=True)))


class SQLiteKeys:
    """Keys and shared secrets in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer

    async def secret(self, name: str, proposal: bytes) -> bytes:
        return await self._writer.submit(lambda connection: secret(connection, name, proposal))

    async def put(self, key: StoredKey) -> None:
        await self._writer.submit(lambda connection: put(connection, key))

    async def get(self, id: str) -> StoredKey | None:
        return self._database.read(get, id)

    async def find(self, digest: bytes) -> StoredKey | None:
        return self._database.read(find, digest)

    async def list(self) -> Sequence[StoredKey]:
        return await self._database.read_long(everything)

    async def page(self, query: KeyQuery) -> Sequence[StoredKey] | None:
        return await self._database.read_long(lambda connection: read_page(connection, query))

    async def count(self, most: int) -> int:
        return await self._database.read_long(lambda connection: count(connection, most))

    async def change(self, id: str, before: bytes, body: bytes) -> bool:
        return await self._writer.submit(lambda connection: change(connection, id, before, body))

    async def used(self, times: Mapping[str, float]) -> None:
        await self._writer.submit(lambda connection: used(connection, times))
