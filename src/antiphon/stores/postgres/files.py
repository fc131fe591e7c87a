"""Uploaded files."""

from __future__ import annotations

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Database, Row
from antiphon.stores.postgres.responses import PURGE_GROUP
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import StoredFile

SQL = queries("files")
LAST = (1 << 63) - 1


class FilePage(msgspec.Struct, frozen=True, kw_only=True):
    """Which of an owner's files: behind `after`, at most `limit`, none of them expired by `now`."""

    owner: str
    now: float
    purpose: str | None
    after: str | None
    limit: int
    descending: bool


async def insert(database: Database, file: StoredFile, content: bytes) -> None:
    """Insert a file. Raises StoreConflict if the id is taken."""
    if await database.row(SQL["insert"], UPKEEP_PATIENCE, **msgspec.structs.asdict(file), content=content) is None:
        raise StoreConflict(file.id)


async def get(database: Database, id: str, owner: str, now: float) -> StoredFile | None:
    """Return a file, or None."""
    row = await database.row(SQL["get"], id=id, owner=owner, now=now)
    return None if row is None else _file(owner, row)


async def content(database: Database, id: str, owner: str, now: float) -> bytes | None:
    """Return a file's content, or None."""
    found: bytes | None = await database.value(SQL["content"], UPKEEP_PATIENCE, id=id, owner=owner, now=now)
    return found


async def page(database: Database, wanted: FilePage) -> list[StoredFile] | None:
    """Return a page of files; None if `after` is unknown."""
    start = LAST if wanted.descending else 0
    if wanted.after is not None:
        start = await database.value(SQL["place"], id=wanted.after, owner=wanted.owner, now=wanted.now)
        if start is None:
            return None
    query = SQL["list_descending" if wanted.descending else "list"]
    rows = await database.rows(query, **{**msgspec.structs.asdict(wanted), "after": start})
    return [_file(wanted.owner, row) for row in rows]


async def delete(database: Database, id: str, owner: str) -> bool:
    """Delete a file."""
    return await database.row(SQL["remove"], id=id, owner=owner) is not None


async def purge(database: Database, now: int) -> int:
    """Delete up to `PURGE_GROUP` expired files; return how many."""
    return int(await database.value(SQL["purge"], UPKEEP_PATIENCE, now=now, limit=PURGE_GROUP))


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
