"""PostgresBatches: batches and their lines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

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
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Row, Transaction
from antiphon.stores.postgres.postgres_database import PURGE_GROUP, PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import ListPage

T = TypeVar("T")

SQL = queries("batches")
LAST = (1 << 63) - 1
FIELDS = [name for name in StoredBatch.__struct_fields__ if name != "counts"]
COUNTS = BatchCounts.__struct_fields__
SWEPT = 500  # lines deleted in one transaction


class PostgresBatches:
    """Batches in a database, shared by servers."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        database.expires(self._purge)

    async def create(self, batch: StoredBatch, most: int) -> bool:
        async def work(transaction: Transaction) -> bool:
            await transaction.value(SQL["owners_turn"], owner=batch.owner)
            if await transaction.value(SQL["count_open"], owner=batch.owner) >= most:
                return False
            if await transaction.value(SQL["insert"], **{name: getattr(batch, name) for name in FIELDS}) is None:
                raise StoreConflict(batch.id)
            return True

        return await self._pool.transact(work)

    async def get(self, id: str, owner: str) -> StoredBatch | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner)
        return None if row is None else _batch(row)

    async def list(self, owner: str, front: str, page: ListPage) -> Sequence[StoredBatch] | None:
        ends: list[int | None] = []
        for end in (page.after, page.before):
            number = None if end is None else await self._pool.value(SQL["number"], id=end, owner=owner)
            if end is not None and number is None:
                return None
            ends.append(number)
        low, high = ends[::-1] if page.descending else ends
        bounds = {"low": 0 if low is None else low, "high": LAST if high is None else high, "limit": page.limit}
        query = SQL["list_descending" if page.descending else "list"]
        return [_batch(row) for row in await self._pool.rows(query, owner=owner, front=front, **bounds)]

    async def cancel(self, id: str, owner: str, now: int) -> StoredBatch | None:
        await self._pool.row(SQL["cancel"], id=id, owner=owner, now=now)
        return await self.get(id, owner)

    async def delete(self, id: str, owner: str) -> bool:
        return await self._pool.row(SQL["delete"], UPKEEP_PATIENCE, id=id, owner=owner) is not None

    async def claim(self, worker: str, now: float, lease: float, without: Sequence[str] = ()) -> BatchLease | None:
        async def work(transaction: Transaction) -> BatchLease | None:
            values = {"worker": worker, "now": now, "lease_until": now + lease, "without": list(without)}
            for number, fence, crashes, *row in await transaction.rows(SQL["claim"], **values):
                await transaction.rows(SQL["again"], batch=number)
                return BatchLease(batch=_batch(row), fence=fence, crashes=crashes)
            return None

        return await self._pool.transact(work)

    async def heartbeat(self, lease: BatchLease, now: float, seconds: float) -> str:
        values = {"id": lease.batch.id, "fence": lease.fence, "lease_until": now + seconds}
        status: str | None = await self._pool.value(SQL["heartbeat"], **values)
        if status is None:
            raise FenceError(lease.batch.id)
        return status

    async def release(self, lease: BatchLease) -> None:
        async def work(transaction: Transaction, number: int, status: str) -> None:
            await transaction.rows(SQL["not_asked"], batch=number)
            await transaction.rows(SQL["release"], batch=number)

        await self._hold(lease, work)

    async def clear_lines(self, lease: BatchLease) -> None:
        async def work(transaction: Transaction, number: int, status: str) -> bool:
            return bool(await transaction.value(SQL["remove_some_lines"], batch=number, limit=SWEPT) == SWEPT)

        while await self._hold(lease, work):
            pass

    async def add_lines(self, lease: BatchLease, lines: Sequence[BatchLine]) -> Sequence[tuple[int, int]]:
        ids = [line.custom_id for line in lines]
        columns = {
            "lines": [line.line for line in lines],
            "custom_ids": ids,
            "starts": [line.start for line in lines],
            "sizes": [line.size for line in lines],
        }

        async def work(transaction: Transaction, number: int, status: str) -> Sequence[Row]:
            await transaction.rows(SQL["insert_lines"], batch=number, **columns)
            return await transaction.rows(SQL["same_ids"], batch=number, custom_ids=ids)

        having = {unescape(custom_id): line for custom_id, line in await self._hold(lease, work)}
        return [(line.line, having[line.custom_id]) for line in lines if having[line.custom_id] != line.line]

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
        change = {"status": status, "progress": progress, "total": total, "keep_until": keep_until}

        async def work(transaction: Transaction, number: int, known: str) -> bool:
            if known not in (expected, status):  # `status`: the answer to an earlier attempt was lost
                return False
            await transaction.rows(SQL["advance"], batch=number, **change)
            return True

        return await self._hold(lease, work)

    async def begin_line(self, lease: BatchLease) -> BatchLine | None:
        async def work(transaction: Transaction, number: int, status: str) -> BatchLine | None:
            for line, custom_id, start, size, asked in await transaction.rows(SQL["begin_line"], batch=number):
                return BatchLine(line=line, custom_id=unescape(custom_id), start=start, size=size, asked=asked)
            return None

        return await self._hold(lease, work)

    async def finish_line(self, lease: BatchLease, result: LineResult) -> None:
        values = {name: getattr(result, name) for name in LineResult.__struct_fields__}

        async def work(transaction: Transaction, number: int, status: str) -> None:
            await transaction.rows(SQL["finish_line"], batch=number, **values)

        await self._hold(lease, work)

    async def outcomes(self, lease: BatchLease, after: int, limit: int, most: int) -> Sequence[LineOutcome]:
        values = {"id": lease.batch.id, "fence": lease.fence, "after": after}
        sizes = [row[0] for row in await self._pool.rows(SQL["sizes"], **values, limit=limit)]
        rows = await self._pool.rows(SQL["outcomes"], **values, limit=fitting(sizes, most))
        return [
            LineOutcome(line=line, custom_id=unescape(id), answered=answered, failed=failed, body=body or b"")
            for line, id, answered, failed, body in rows
        ]

    async def settle(self, lease: BatchLease) -> None:
        async def work(transaction: Transaction, number: int, status: str) -> None:
            await transaction.rows(SQL["settle"], batch=number)

        await self.clear_lines(lease)
        await self._hold(lease, work)

    async def _hold(self, lease: BatchLease, work: Callable[[Transaction, int, str], Awaitable[T]]) -> T:
        """Run statements while nobody else claims the batch. Raises FenceError where somebody has."""

        async def held(transaction: Transaction) -> T:
            for number, status in await transaction.rows(SQL["held"], id=lease.batch.id, fence=lease.fence):
                return await work(transaction, number, status)
            raise FenceError(lease.batch.id)

        return await self._pool.transact(held, UPKEEP_PATIENCE)

    async def _purge(self, now: int) -> int:
        return int(await self._pool.value(SQL["purge"], UPKEEP_PATIENCE, now=now, limit=PURGE_GROUP))


def _batch(row: Sequence[Any]) -> StoredBatch:
    values: list[Any] = [unescape(value) if isinstance(value, str) else value for value in row]
    fields = dict(zip(FIELDS, values, strict=False))
    return StoredBatch(**fields, counts=BatchCounts(**dict(zip(COUNTS, values[len(FIELDS) :], strict=True))))
