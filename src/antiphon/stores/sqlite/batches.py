"""SQLiteBatches: batches and their lines. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.errors import StoreConflict
from antiphon.stores.base import FenceError
from antiphon.stores.batch_records import (
    BatchCounts,
    BatchLease,
    BatchLine,
    LineOutcome,
    LineResult,
    StoredBatch,
    fitting,
)
from antiphon.stores.records import ListPage
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("batches")
LAST = (1 << 63) - 1
FIELDS = [name for name in StoredBatch.__struct_fields__ if name != "counts"]
COUNTS = BatchCounts.__struct_fields__
SWEPT = 200  # lines deleted in one transaction


class BatchClaim(msgspec.Struct, frozen=True, kw_only=True):
    """Who claims a batch, until when, of which owners not (a JSON array)."""

    worker: str
    now: float
    lease_until: float
    without: str


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """Another status of a batch, and what goes with it."""

    expected: str
    status: str
    progress: bytes
    total: int | None
    keep_until: int | None


def insert(connection: Connection, batch: StoredBatch, most: int) -> bool:
    """Insert a batch. Raises StoreConflict if the id is taken."""
    if connection.execute(SQL["taken"], {"id": batch.id}).fetchall():
        raise StoreConflict(batch.id)
    if connection.execute(SQL["count_open"], {"owner": batch.owner}).fetchall()[0][0] >= most:
        return False
    connection.execute(SQL["insert"], {name: getattr(batch, name) for name in FIELDS})
    return True


def get(connection: Connection, id: str, owner: str) -> StoredBatch | None:
    """Return a batch, or None."""
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner}).fetchall():
        return _batch(row)
    return None


def read_page(connection: Connection, owner: str, front: str, wanted: ListPage) -> list[StoredBatch] | None:
    """Return a page of batches; None if where it begins or ends is unknown."""
    ends = []
    for end in (wanted.after, wanted.before):
        found = [] if end is None else connection.execute(SQL["number"], {"id": end, "owner": owner}).fetchall()
        if end is not None and not found:
            return None
        ends.append(found[0][0] if found else None)
    low, high = ends[::-1] if wanted.descending else ends
    bounds = {"low": 0 if low is None else low, "high": LAST if high is None else high, "limit": wanted.limit}
    query = SQL["list_descending" if wanted.descending else "list"]
    rows = connection.execute(query, {"owner": owner, "front": front, **bounds}).fetchall()
    return [_batch(row) for row in rows]


def cancel(connection: Connection, id: str, owner: str, now: int) -> StoredBatch | None:
    """Set a batch to `cancelling` where it is worked on; return it."""
    connection.execute(SQL["cancel"], {"id": id, "owner": owner, "now": now})
    return get(connection, id, owner)


def delete(connection: Connection, id: str, owner: str) -> bool:
    """Delete a batch."""
    rows = connection.execute(SQL["number"], {"id": id, "owner": owner}).fetchall()
    for (number,) in rows:
        connection.execute(SQL["remove_lines"], {"batch": number})
        connection.execute(SQL["remove"], {"batch": number})
    return bool(rows)


def waiting(connection: Connection, claim: BatchClaim) -> bool:
    """Tell whether there is something to claim, by a read."""
    return bool(connection.execute(SQL["free"], {"now": claim.now, "without": claim.without}).fetchall())


def take(connection: Connection, claim: BatchClaim) -> BatchLease | None:
    """Claim a batch."""
    for number, id, owner, fence, crashes in connection.execute(SQL["claim"], msgspec.structs.asdict(claim)).fetchall():
        connection.execute(SQL["again"], {"batch": number})
        batch = get(connection, id, owner)
        assert batch is not None
        return BatchLease(batch=batch, fence=fence, crashes=crashes)
    return None


def _held(connection: Connection, lease: BatchLease) -> tuple[int, str]:
    """Return the number and the status of a batch. Raises FenceError."""
    for number, status in connection.execute(SQL["held"], {"id": lease.batch.id, "fence": lease.fence}).fetchall():
        return number, status
    raise FenceError(lease.batch.id)


def heartbeat(connection: Connection, lease: BatchLease, lease_until: float) -> str:
    """Extend a lease; return the status."""
    number, status = _held(connection, lease)
    connection.execute(SQL["heartbeat"], {"batch": number, "lease_until": lease_until})
    return status


def release(connection: Connection, lease: BatchLease) -> None:
    """Give a batch back."""
    number, _ = _held(connection, lease)
    connection.execute(SQL["not_asked"], {"batch": number})
    connection.execute(SQL["release"], {"batch": number})


def clear_lines(connection: Connection, lease: BatchLease) -> bool:
    """Delete some lines; tell whether there may be more."""
    number, _ = _held(connection, lease)
    deleted = connection.execute(SQL["remove_some_lines"], {"batch": number, "limit": SWEPT}).rowcount
    return deleted == SWEPT


def add_lines(connection: Connection, lease: BatchLease, lines: Sequence[BatchLine]) -> list[tuple[int, int]]:
    """Insert lines, but for those whose custom_id is taken."""
    number, _ = _held(connection, lease)
    taken: list[tuple[int, int]] = []
    for line in lines:
        earlier = connection.execute(SQL["same_id"], {"batch": number, "custom_id": line.custom_id}).fetchall()
        if earlier:
            taken.append((line.line, earlier[0][0]))
        else:
            connection.execute(SQL["insert_line"], {**msgspec.structs.asdict(line), "batch": number})
    return taken


def advance(connection: Connection, lease: BatchLease, change: Advance) -> bool:
    """Set status and progress, where the status is the expected one."""
    number, status = _held(connection, lease)
    if status != change.expected:
        return False
    connection.execute(SQL["advance"], {**msgspec.structs.asdict(change), "batch": number})
    return True


def begin_line(connection: Connection, lease: BatchLease) -> BatchLine | None:
    """Return the next line."""
    number, _ = _held(connection, lease)
    for line, custom_id, start, size, asked in connection.execute(SQL["begin_line"], {"batch": number}).fetchall():
        return BatchLine(line=line, custom_id=custom_id, start=start, size=size, asked=asked)
    return None


def finish_line(connection: Connection, lease: BatchLease, result: LineResult) -> None:
    """Keep what a line has come to, once."""
    number, _ = _held(connection, lease)
    values = {**msgspec.structs.asdict(result), "batch": number}
    if connection.execute(SQL["finish_line"], values).fetchall():
        connection.execute(SQL["count"], values)


def outcomes(connection: Connection, lease: BatchLease, after: int, limit: int, most: int) -> list[LineOutcome]:
    """Return what has become of lines, of `most` bytes in all."""
    number, _ = _held(connection, lease)
    wanted = {"batch": number, "after": after, "limit": limit}
    sizes = [size for (size,) in connection.execute(SQL["sizes"], wanted).fetchall()]
    rows = connection.execute(SQL["outcomes"], {**wanted, "limit": fitting(sizes, most)}).fetchall()
    return [
        LineOutcome(line=line, custom_id=custom_id, answered=bool(answered), failed=bool(failed), body=body or b"")
        for line, custom_id, answered, failed, body in rows
    ]


def settle(connection: Connection, lease: BatchLease) -> None:
    """Leave a batch without work."""
    number, _ = _held(connection, lease)
    connection.execute(SQL["settle"], {"batch": number})


def purge(connection: Connection, now: int, limit: int) -> int:
    """Delete up to `limit` batches whose time is over; return how many."""
    rows = connection.execute(SQL["expired"], {"now": now, "limit": limit}).fetchall()
    for (number,) in rows:
        connection.execute(SQL["remove"], {"batch": number})
    return len(rows)


def _batch(row: Sequence[Any]) -> StoredBatch:
    fields = dict(zip(FIELDS, row, strict=False))
    return StoredBatch(**fields, counts=BatchCounts(**dict(zip(COUNTS, row[len(FIELDS) :], strict=True))))


class SQLiteBatches:
    """Batches in an SQLite file, shared by processes."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge)

    async def create(self, batch: StoredBatch, most: int) -> bool:
        return await self._writer.submit(lambda connection: insert(connection, batch, most))

    async def get(self, id: str, owner: str) -> StoredBatch | None:
        return self._database.read(get, id, owner)

    async def list(self, owner: str, front: str, page: ListPage) -> Sequence[StoredBatch] | None:
        return await self._database.read_long(lambda connection: read_page(connection, owner, front, page))

    async def cancel(self, id: str, owner: str, now: int) -> StoredBatch | None:
        return await self._writer.submit(lambda connection: cancel(connection, id, owner, now))

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)

    async def claim(self, worker: str, now: float, lease: float, without: Sequence[str] = ()) -> BatchLease | None:
        claim = BatchClaim(worker=worker, now=now, lease_until=now + lease, without=to_json(list(without)).decode())
        if not self._database.read(waiting, claim):
            return None
        return await self._writer.submit(lambda connection: take(connection, claim))

    async def heartbeat(self, lease: BatchLease, now: float, seconds: float) -> str:
        return await self._writer.submit(lambda connection: heartbeat(connection, lease, now + seconds))

    async def release(self, lease: BatchLease) -> None:
        await self._writer.submit(lambda connection: release(connection, lease))

    async def clear_lines(self, lease: BatchLease) -> None:
        while await self._writer.submit(lambda connection: clear_lines(connection, lease), erases=True):
            pass

    async def add_lines(self, lease: BatchLease, lines: Sequence[BatchLine]) -> Sequence[tuple[int, int]]:
        return await self._writer.submit(lambda connection: add_lines(connection, lease, lines))

    async def advance(
        self,
        lease: BatchLease,
        expected: str,
        status: str,
        progress: bytes,
        *,
        total: int | None = None,
        keep_until: int | None = None,
    ) -> bool:
        change = Advance(expected=expected, status=status, progress=progress, total=total, keep_until=keep_until)
        return await self._writer.submit(lambda connection: advance(connection, lease, change))

    async def begin_line(self, lease: BatchLease) -> BatchLine | None:
        return await self._writer.submit(lambda connection: begin_line(connection, lease))

    async def finish_line(self, lease: BatchLease, result: LineResult) -> None:
        await self._writer.submit(lambda connection: finish_line(connection, lease, result))

    async def outcomes(self, lease: BatchLease, after: int, limit: int, most: int) -> Sequence[LineOutcome]:
        return await self._database.read_long(lambda connection: outcomes(connection, lease, after, limit, most))

    async def settle(self, lease: BatchLease) -> None:
        await self.clear_lines(lease)
        await self._writer.submit(lambda connection: settle(connection, lease))
