"""PostgresKeys: clients' keys, and secrets that servers share."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.postgres.database import Row
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import StoredKey

SQL = queries("keys")


class PostgresKeys:
    """Keys and shared secrets in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool

    async def secret(self, name: str, proposal: bytes) -> bytes:
        known: bytes = await self._pool.value(SQL["secret"], name=name, proposal=proposal)
        return known

    async def put(self, key: StoredKey) -> None:
        try:
            await self._pool.row(SQL["put"], **msgspec.structs.asdict(key))
        except asyncpg.UniqueViolationError:
            raise StoreConflict(key.id) from None

    async def find(self, digest: bytes) -> StoredKey | None:
        row = await self._pool.row(SQL["find"], digest=digest)
        return None if row is None else _key(row)

    async def list(self) -> Sequence[StoredKey]:
        return [_key(row) for row in await self._pool.rows(SQL["all"])]


def _key(row: Row) -> StoredKey:
    id, owner, digest, created_at, body = row
    return StoredKey(id=unescape(id), owner=unescape(owner), digest=digest, created_at=created_at, body=body)
