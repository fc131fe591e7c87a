"""PostgresFiles: uploaded files."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Row, Transaction
from antiphon.stores.postgres.postgres_database import PURGE_GROUP, PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import FILE_ROW, FileUsage, StoredFile

SQL = queries("files")
LAST = (1 << 63) - 1
SWEPT = 32  # rows of contents deleted in one transaction


class PostgresFiles:
    """Uploaded files in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        database.expires(self._purge)
        database.sweeps(self._sweep)

    async def put(self, file: StoredFile, content: bytes) -> None:
        if (
            await self._pool.row(SQL["insert"], UPKEEP_PATIENCE, **msgspec.structs.asdict(file), content=content)
            is None
        ):
            raise StoreConflict(file.id)

    async def begin(self, owner: str, expires_at: int) -> int:
        return int(await self._pool.value(SQL["begin"], owner=owner, expires_at=expires_at))

    async def append(self, content: int, start: int, row: bytes) -> None:
        values = {"content": content, "start": start, "row": row, "size": start + len(row)}
        if await self._pool.row(SQL["append"], UPKEEP_PATIENCE, **values) is None:
            raise StoreUnknown(str(content))

    async def finish(self, file: StoredFile, contents: Sequence[int]) -> None:
        async def work(transaction: Transaction) -> None:
            number = await transaction.value(SQL["insert_file"], **msgspec.structs.asdict(file))
            if number is None:
                raise StoreConflict(file.id)
            start = 0
            for content in contents:
                size = await transaction.value(SQL["join_file"], content=content, file=number, start=start)
                if size is None:
                    raise StoreUnknown(file.id)
                start += size

        await self._pool.transact(work, UPKEEP_PATIENCE)

    async def drop(self, contents: Sequence[int]) -> None:
        await self._pool.row(SQL["give_up"], contents=list(contents))
        await self._sweep(0)

    async def row(self, content: int, start: int) -> bytes:
        found: bytes | None = await self._pool.value(SQL["row_at"], UPKEEP_PATIENCE, content=content, start=start)
        return found or b""

    async def get(self, id: str, owner: str, now: float) -> StoredFile | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner, now=now)
        return None if row is None else _file(owner, row)

    async def content(self, id: str, owner: str, now: float, start: int = 0) -> bytes | None:
        found: bytes | None = await self._pool.value(
            SQL["content"], UPKEEP_PATIENCE, id=id, owner=owner, now=now, start=start, most=FILE_ROW
        )
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

    async def usage(self, owner: str) -> FileUsage:
        row = await self._pool.row(SQL["usage"], owner=owner)
        assert row is not None
        return FileUsage(*row)

    async def delete(self, id: str, owner: str) -> bool:
        there = await self._pool.row(SQL["remove"], id=id, owner=owner) is not None
        if there:
            await self._sweep(0)
        return there

    async def _sweep(self, now: int) -> None:
        """Delete what expired contents have, some rows at a time."""
        gone = True
        while gone:
            gone = await self._pool.value(SQL["sweep"], UPKEEP_PATIENCE, now=now, limit=SWEPT) > 0
            gone = await self._pool.value(SQL["remove_contents"], UPKEEP_PATIENCE, now=now) > 0 or gone

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
