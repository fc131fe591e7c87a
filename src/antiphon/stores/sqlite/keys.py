"""SQLiteKeys: keys and shared secrets. Each function that writes runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.records import StoredKey
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


def everything(connection: Connection) -> Sequence[StoredKey]:
    """Return all keys, oldest first."""
    return [_key(row) for row in connection.execute(SQL["all"]).fetchall()]


def _key(row: tuple[Any, ...]) -> StoredKey:
    id, owner, digest, created_at, body = row
    return StoredKey(id=id, owner=owner, digest=digest, created_at=created_at, body=body)


class SQLiteKeys:
    """Keys and shared secrets in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer

    async def secret(self, name: str, proposal: bytes) -> bytes:
        return await self._writer.submit(lambda connection: secret(connection, name, proposal))

    async def put(self, key: StoredKey) -> None:
        await self._writer.submit(lambda connection: put(connection, key))

    async def find(self, digest: bytes) -> StoredKey | None:
        return self._database.read(find, digest)

    async def list(self) -> Sequence[StoredKey]:
        return self._database.read(everything)
