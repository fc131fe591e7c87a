"""PostgresFiles: uploaded files."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Row
from antiphon.stores.postgres.postgres_database import PURGE_GROUP, PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import StoredFile

SQL = queries("files")
LAST = (1 << 63) - 1


class PostgresFiles:
    """Uploaded files in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        database.expires(self._purge)

    async def put(self, file: StoredFile, content: bytes) -> None:
        if (
            await self._pool.row(SQL["insert"], UPKEEP_PATIENCE, **msgspec.structs.asdict(file), content=content)
            is None
        ):
            raise StoreConflict(file.id)

    async def get(self, id: str, owner: str, now: float) -> StoredFile | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner, now=now)
        return None if row is None else _file(owner, row)

    async def content(self, id: str, owner: str, now: float) -> bytes | None:
        found: bytes | None = await self._pool.value(SQL["content"], UPKEEP_PATIENCE, id=id, owner=owner, now=now)
        return found

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
        start = LAST if descending else 0
        if after is not None:
            start = await self._pool.value(SQL["live_number"], id=after, owner=owner, now=now)
            if start is None:
                return None
        query = SQL["list_descending" if descending else "list"]
        rows = await self._pool.rows(query, owner=owner, now=now, purpose=purpose, after=start, limit=limit)
        return [_file(owner, row) for row in rows]

    async def delete(self, id: str, owner: str) -> bool:
        return await self._pool.row(SQL["remove"], id=id, owner=owner) is not None

    async def _purge(self, now: int) -> int:
        return int(await self._pool.value(SQL["purge"], UPKEEP_PATIENCE, now=now, limit=PURGE_GROUP))


def _file(owner: str, row: Row) -> StoredFile:
    id, filename, purpose, media_type, size, created_at, expires_at = row
    return StoredFile(
        id=unescape(id),
        owner=owner,
        filename=unescape(filename),
        purpose=unescape(purpose),
        media_type=unescape(media_type),
        size=size,
        created_at=created_at,
        expires_at=expires_at,
    )
