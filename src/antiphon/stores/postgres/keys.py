"""PostgresKeys: clients' keys, and secrets that servers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg
import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.postgres.database import Row
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import KeyQuery, StoredKey

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

    async def get(self, id: str) -> StoredKey | None:
        row = await self._pool.row(SQL["get"], id=id)
        return None if row is None else _key(row)

    async def find(self, digest: bytes) -> StoredKey | None:
        row = await self._pool.row(SQL["find"], digest=digest)
        return None if row is None else _key(row)

    async def list(self) -> Sequence[StoredKey]:
        return [_key(row) for row in await self._pool.rows(SQL["all"])]

    async def page(self, query: KeyQuery) -> Sequence[StoredKey] | None:
        time, id = 1e18, ""
        if query.after is not None:
            after = await self.get(query.after)
            if after is None:
                return None
            time, id = after.created_at, after.id
        rows = await self._pool.rows(SQL["page"], owner=query.owner, time=time, id=id, limit=query.limit)
        return [_key(row) for row in rows]

    async def count(self, most: int) -> int:
        return int(await self._pool.value(SQL["count"], most=most))

    async def change(self, id: str, before: bytes, body: bytes) -> bool:
        return await self._pool.row(SQL["change"], id=id, before=before, body=body) is not None

    async def used(self, times: Mapping[str, float]) -> None:
        ids = sorted(times)  # in one order, so that no two servers wait for each other
        if ids:
            await self._pool.row(SQL["used"], ids=ids, times=[times[id] for id in ids])


def _key(row: Row) -> StoredKey:
    id, owner, digest, created_at, body, last_used_at = row
    return StoredKey(
        id=unescape(id),
        owner=unescape(owner),
        digest=digest,
        created_at=created_at,
        body=body,
        last_used_at=last_used_at,
    )
