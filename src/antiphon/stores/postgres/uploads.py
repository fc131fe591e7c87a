"""PostgresUploads: files that are uploaded in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Row, Transaction
from antiphon.stores.postgres.postgres_database import PURGE_GROUP, PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import StoredPart, StoredUpload

SQL = queries("uploads")
UPLOAD = StoredUpload.__struct_fields__
PART = StoredPart.__struct_fields__


class PostgresUploads:
    """Uploads in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        database.expires(self._purge)

    async def put(self, upload: StoredUpload) -> None:
        if await self._pool.row(SQL["insert"], **msgspec.structs.asdict(upload)) is None:
            raise StoreConflict(upload.id)

    async def get(self, id: str, owner: str, now: float) -> StoredUpload | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner, now=now)
        return None if row is None else StoredUpload(**_fields(UPLOAD, row))

    async def pending(self, owner: str, now: float) -> int:
        return int(await self._pool.value(SQL["pending"], owner=owner, now=now))

    async def add(self, part: StoredPart, most: int) -> None:
        async def work(transaction: Transaction) -> None:
            if await transaction.value(SQL["lock"], upload=part.upload) is None:
                raise StoreUnknown(part.upload)
            if await transaction.value(SQL["count_parts"], upload=part.upload) >= most:
                raise StoreConflict(part.upload)
            await transaction.rows(SQL["insert_part"], **msgspec.structs.asdict(part))

        await self._pool.transact(work)

    async def parts(self, upload: str) -> Sequence[StoredPart]:
        rows = await self._pool.rows(SQL["parts"], upload=upload)
        return [StoredPart(**_fields(PART, row)) for row in rows]

    async def end(self, id: str, owner: str, status: str) -> bool:
        return await self._pool.row(SQL["end"], id=id, owner=owner, status=status) is not None

    async def _purge(self, now: int) -> int:
        return int(await self._pool.value(SQL["purge"], UPKEEP_PATIENCE, now=now, limit=PURGE_GROUP))


def _fields(names: Sequence[str], row: Row) -> dict[str, Any]:
    return {name: unescape(value) if isinstance(value, str) else value for name, value in zip(names, row, strict=True)}
