"""Clients' keys, and secrets that servers share."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.postgres.database import Database, Row
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import StoredKey

SQL = queries("keys")


async def secret(database: Database, name: str, proposal: bytes) -> bytes:
    """Return the shared secret, the proposal if there is none yet."""
    known: bytes = await database.value(SQL["secret"], name=name, proposal=proposal)
    return known


async def put(database: Database, key: StoredKey) -> None:
    """Insert or replace a key. Raises StoreConflict if another key has the digest."""
    try:
        await database.row(SQL["put"], **msgspec.structs.asdict(key))
    except asyncpg.UniqueViolationError:
        raise StoreConflict(key.id) from None


async def find(database: Database, digest: bytes) -> StoredKey | None:
    """Return the key with a digest, or None."""
    row = await database.row(SQL["find"], digest=digest)
    return None if row is None else _key(row)


async def everything(database: Database) -> Sequence[StoredKey]:
    """Return all keys, oldest first."""
    return [_key(row) for row in await database.rows(SQL["all"])]


def _key(row: Row) -> StoredKey:
    id, owner, digest, created_at, body = row
    return StoredKey(id=unescape(id), owner=unescape(owner), digest=digest, created_at=created_at, body=body)
