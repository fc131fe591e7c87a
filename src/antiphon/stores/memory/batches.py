"""MemoryBatches: batches and their lines."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

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
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.records import ListPage

WAITS, ASKED, ANSWERED = 0, 1, 2


class _Line(msgspec.Struct):
    line: BatchLine
    state: int = WAITS
    result: LineResult | None = None


class _Batch(msgspec.Struct):
    batch: StoredBatch
    lines: dict[int, _Line] = {}
    ids: dict[str, int] = {}
    open: bool = True
    worker: str | None = None
    lease_until: float | None = None
    fence: int = 0
    crashes: int = 0


class MemoryBatches:
    """Batches in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._batches: dict[str, _Batch] = {}
        database.expires(self._purge)

    async def create(self, batch: StoredBatch, most: int) -> bool:
        if batch.id in self._batches:
            raise StoreConflict(batch.id)
        if sum(one.open and one.batch.owner == batch.owner for one in self._batches.values()) >= most:
            return False
        self._batches[batch.id] = _Batch(batch)
        return True

    async def get(self, id: str, owner: str) -> StoredBatch | None:
        one = self._batches.get(id)
        return one.batch if one is not None and one.batch.owner == owner else None

    async def list(self, owner: str, front: str, page: ListPage) -> Sequence[StoredBatch] | None:
        all_of = [one.batch for one in self._batches.values() if one.batch.owner == owner]
        if page.descending:
            all_of.reverse()
        ids = [batch.id for batch in all_of]
        if any(end is not None and end not in ids for end in (page.after, page.before)):
            return None
        begin = 0 if page.after is None else ids.index(page.after) + 1
        end = len(ids) if page.before is None else ids.index(page.before)
        return [batch for batch in all_of[begin:end] if batch.front == front][: page.limit]

    async def cancel(self, id: str, owner: str, now: int) -> StoredBatch | None:
        one = self._batches.get(id)
        if one is None or one.batch.owner != owner:
            return None
        if one.batch.status in ("validating", "in_progress"):
            one.batch = replace(one.batch, status="cancelling", cancelling_at=now)
        return one.batch

    async def delete(self, id: str, owner: str) -> bool:
        if await self.get(id, owner) is None:
            return False
        del self._batches[id]
        return True

    async def claim(self, worker: str, now: float, lease: float, without: Sequence[str] = ()) -> BatchLease | None:
        for one in self._batches.values():
            free = one.lease_until is None or one.lease_until <= now
            if one.open and free and one.batch.owner not in without:
                one.crashes += one.worker is not None
                one.worker, one.lease_until, one.fence = worker, now + lease, one.fence + 1
                self._again(one, 0)
                return BatchLease(batch=one.batch, fence=one.fence, crashes=one.crashes)
        return None

    async def heartbeat(self, lease: BatchLease, now: float, seconds: float) -> str:
        one = self._held(lease)
        one.lease_until = now + seconds
        return one.batch.status

    async def release(self, lease: BatchLease) -> None:
        one = self._held(lease)
        one.worker = one.lease_until = None
        self._again(one, 1)

    async def clear_lines(self, lease: BatchLease) -> None:
        one = self._held(lease)
        one.lines, one.ids = {}, {}

    async def add_lines(self, lease: BatchLease, lines: Sequence[BatchLine]) -> Sequence[tuple[int, int]]:
        one = self._held(lease)
        taken: list[tuple[int, int]] = []
        for line in lines:
            if line.custom_id in one.ids:
                taken.append((line.line, one.ids[line.custom_id]))
            else:
                one.ids[line.custom_id] = line.line
                one.lines[line.line] = _Line(line)
        return taken

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
        one = self._held(lease)
        if one.batch.status != expected:
            return False
        counts = one.batch.counts if total is None else replace(one.batch.counts, total=total)
        keep_until = one.batch.keep_until if keep_until is None else keep_until
        one.batch = replace(one.batch, status=status, progress=progress, counts=counts, keep_until=keep_until)
        return True

    async def begin_line(self, lease: BatchLease) -> BatchLine | None:
        for one in self._held(lease).lines.values():
            if one.state == WAITS:
                one.state, one.line = ASKED, replace(one.line, asked=one.line.asked + 1)
                return one.line
        return None

    async def finish_line(self, lease: BatchLease, result: LineResult) -> None:
        one = self._held(lease)
        line = one.lines[result.line]
        if line.state == ANSWERED:
            return
        line.state, line.result = ANSWERED, result
        counts = one.batch.counts
        tokens = {
            name: getattr(counts, name) + getattr(result, name)
            for name in BatchCounts.__struct_fields__
            if name.endswith("_tokens")
        }
        completed, failed = counts.completed + (not result.failed), counts.failed + result.failed
        one.batch = replace(one.batch, counts=replace(counts, completed=completed, failed=failed, **tokens))

    async def outcomes(self, lease: BatchLease, after: int, limit: int, most: int) -> Sequence[LineOutcome]:
        lines = [one for one in self._held(lease).lines.values() if one.line.line > after][:limit]
        found = [_outcome(one) for one in lines]
        return found[: fitting([len(one.body) for one in found], most)]

    async def settle(self, lease: BatchLease) -> None:
        one = self._held(lease)
        one.lines, one.ids = {}, {}
        one.open, one.worker, one.lease_until = False, None, None

    def _held(self, lease: BatchLease) -> _Batch:
        one = self._batches.get(lease.batch.id)
        if one is None or one.fence != lease.fence:
            raise FenceError(lease.batch.id)
        return one

    def _again(self, one: _Batch, less: int) -> None:
        for line in one.lines.values():
            if line.state == ASKED:
                line.state, line.line = WAITS, replace(line.line, asked=line.line.asked - less)

    def _purge(self, now: int) -> int:
        gone = [
            id
            for id, one in self._batches.items()
            if not one.open and one.batch.keep_until is not None and one.batch.keep_until <= now
        ]
        for id in gone:
            del self._batches[id]
        return len(gone)


def _outcome(one: _Line) -> LineOutcome:
    result = one.result
    if result is None:
        return LineOutcome(line=one.line.line, custom_id=one.line.custom_id, answered=False)
    return LineOutcome(
        line=one.line.line, custom_id=one.line.custom_id, answered=True, failed=result.failed, body=result.body
    )
