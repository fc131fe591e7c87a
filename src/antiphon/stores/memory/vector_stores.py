"""MemoryVectorStores: vector stores, their files, batches and chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from antiphon.core.retrieval.ranking import SAME, saturated, weight
from antiphon.errors import StoreConflict
from antiphon.stores.base import FenceError
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.records import (
    Chunk,
    FileBatch,
    FileCounts,
    Hit,
    Hits,
    IngestJob,
    ListPage,
    VectorFile,
    VectorStore,
)


class _Indexed(msgspec.Struct, eq=False):
    """A chunk: its text, how often it has which word, and how many words."""

    text: str
    times: Mapping[str, int]
    length: int


class _Kept(msgspec.Struct, eq=False):
    """A file with its chunks by their numbers, its batch, and the lease of whoever ingests it."""

    number: int
    file: VectorFile
    batch: str | None = None
    chunks: dict[int, _Indexed] = {}
    worker: str | None = None
    lease_until: float = 0.0
    fence: int = 0
    crashes: int = 0


class _Shelf(msgspec.Struct, eq=False):
    """A vector store with its files by id."""

    store: VectorStore
    files: dict[str, _Kept] = {}
    batches: dict[str, FileBatch] = {}
    next_chunk: int = 1


class MemoryVectorStores:
    """Vector stores in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._shelves: dict[str, _Shelf] = {}
        self._numbers = 0
        database.expires(self._purge)
        database.when_deleted(self._file_deleted)

    # Vector stores

    async def create(self, store: VectorStore) -> None:
        if store.id in self._shelves:
            raise StoreConflict(store.id)
        self._shelves[store.id] = _Shelf(store)

    async def get(self, id: str, owner: str, now: float) -> VectorStore | None:
        shelf = self._shelf(id, owner)
        return None if shelf is None else _shown(shelf, now)

    async def list(self, owner: str, now: float, page: ListPage) -> Sequence[VectorStore] | None:
        mine = {id: shelf for id, shelf in self._shelves.items() if shelf.store.owner == owner}
        cut = _cut([*mine], page)
        return None if cut is None else [_shown(mine[id], now) for id in cut[: page.limit]]

    async def count(self, owner: str) -> int:
        return sum(shelf.store.owner == owner for shelf in self._shelves.values())

    async def update(self, store: VectorStore) -> bool:
        shelf = self._shelf(store.id, store.owner)
        if shelf is not None:
            shelf.store = replace(
                shelf.store,
                name=store.name,
                metadata=store.metadata,
                expires_days=store.expires_days,
                last_active_at=store.last_active_at,
            )
        return shelf is not None

    async def touch(self, ids: Collection[str], owner: str, now: float) -> None:
        for shelf in filter(None, [self._shelf(id, owner) for id in ids]):
            store = shelf.store
            if store.last_active_at < int(now) and (store.expires_at is None or store.expires_at > now):
                shelf.store = replace(store, last_active_at=int(now))

    async def delete(self, id: str, owner: str) -> bool:
        if self._shelf(id, owner) is None:
            return False
        del self._shelves[id]
        return True

    def _shelf(self, id: str, owner: str) -> _Shelf | None:
        shelf = self._shelves.get(id)
        return shelf if shelf is not None and shelf.store.owner == owner else None

    def _purge(self, now: int) -> int:
        expired = 0
        for shelf in self._shelves.values():
            at = shelf.store.expires_at
            if at is not None and at <= now and shelf.files:
                shelf.files, shelf.batches, shelf.next_chunk = {}, {}, 1
                expired += 1
        return expired

    def _file_deleted(self, file_id: str) -> None:
        for shelf in self._shelves.values():
            shelf.files.pop(file_id, None)

    # Files

    async def attach(
        self, id: str, owner: str, files: Sequence[VectorFile], batch: FileBatch | None = None, *, most: int
    ) -> bool:
        shelf = self._shelf(id, owner)
        if shelf is None:
            return False
        if len({*shelf.files, *(file.file_id for file in files)}) > most:
            raise StoreConflict(id)
        if batch is not None:
            shelf.batches[batch.id] = batch
        for file in files:
            kept = shelf.files.get(file.file_id)
            if kept is None:
                self._numbers += 1
                kept = shelf.files[file.file_id] = _Kept(self._numbers, file)
            else:
                kept.fence, kept.worker, kept.lease_until, kept.crashes = kept.fence + 1, None, 0.0, 0
                kept.file = replace(
                    file,
                    created_at=kept.file.created_at,
                    filename=kept.file.filename,
                    usage_bytes=kept.file.usage_bytes,
                )
            kept.batch = None if batch is None else batch.id
        return True

    async def file(self, id: str, file_id: str, owner: str) -> VectorFile | None:
        kept = self._kept(id, file_id, owner)
        return None if kept is None else kept.file

    async def files(
        self, id: str, owner: str, page: ListPage, *, status: str | None = None, batch: str | None = None
    ) -> Sequence[VectorFile] | None:
        shelf = self._shelf(id, owner)
        if shelf is None or (batch is not None and batch not in shelf.batches):
            return None
        cut = _cut([*shelf.files], page)
        if cut is None:
            return None
        found = [shelf.files[file_id] for file_id in cut]
        fitting = [one for one in found if status in (None, one.file.status) and batch in (None, one.batch)]
        return [one.file for one in fitting[: page.limit]]

    async def set_attributes(self, id: str, file_id: str, owner: str, attributes: bytes) -> VectorFile | None:
        kept = self._kept(id, file_id, owner)
        if kept is None:
            return None
        kept.file = replace(kept.file, attributes=attributes)
        return kept.file

    async def detach(self, id: str, file_id: str, owner: str) -> bool:
        kept = self._kept(id, file_id, owner)
        if kept is not None:
            del self._shelves[id].files[file_id]
        return kept is not None

    async def batch(self, id: str, batch_id: str, owner: str) -> FileBatch | None:
        shelf = self._shelf(id, owner)
        batch = None if shelf is None else shelf.batches.get(batch_id)
        if shelf is None or batch is None:
            return None
        return replace(batch, counts=_counts([one for one in shelf.files.values() if one.batch == batch_id]))

    async def cancel_batch(self, id: str, batch_id: str, owner: str) -> FileBatch | None:
        shelf = self._shelf(id, owner)
        if shelf is None or batch_id not in shelf.batches:
            return None
        waiting = [one for one in shelf.files.values() if one.batch == batch_id and one.file.status == "in_progress"]
        if waiting:
            shelf.batches[batch_id] = replace(shelf.batches[batch_id], cancelled=True)
        for kept in waiting:
            _end(kept, replace(kept.file, status="cancelled", usage_bytes=0), {})
            kept.fence += 1
        return await self.batch(id, batch_id, owner)

    async def content(self, id: str, file_id: str, owner: str, start: int, limit: int) -> Sequence[str]:
        kept = self._kept(id, file_id, owner)
        texts = [] if kept is None else [chunk.text for chunk in kept.chunks.values()]
        return texts[start : start + limit]

    def _kept(self, id: str, file_id: str, owner: str) -> _Kept | None:
        shelf = self._shelf(id, owner)
        return None if shelf is None else shelf.files.get(file_id)

    # Ingestion

    async def claim(self, worker: str, now: float, lease: float, *, without: Collection[str] = ()) -> IngestJob | None:
        free = [
            (kept.worker is not None or kept.crashes > 0, kept.number, shelf, kept)
            for shelf in self._shelves.values()
            if shelf.store.owner not in without
            for kept in shelf.files.values()
            if kept.file.status == "in_progress" and kept.lease_until <= now
        ]
        if not free:
            return None
        _, number, shelf, kept = min(free, key=lambda one: one[:2])
        kept.crashes += kept.worker is not None
        kept.worker, kept.lease_until, kept.fence = worker, now + lease, kept.fence + 1
        return IngestJob(
            store_id=shelf.store.id,
            owner=shelf.store.owner,
            file=kept.file,
            number=number,
            fence=kept.fence,
            crashes=kept.crashes,
        )

    async def heartbeat(self, job: IngestJob, now: float, lease: float) -> None:
        self._held(job)[1].lease_until = now + lease

    async def release(self, job: IngestJob) -> None:
        _, kept = self._held(job)
        kept.worker, kept.lease_until = None, 0.0

    async def complete(self, job: IngestJob, chunks: Sequence[Chunk], *, most: int) -> None:
        shelf, kept = self._held(job)
        there = sum(len(one.chunks) for one in shelf.files.values() if one is not kept)
        if there + len(chunks) > most:
            raise StoreConflict(job.store_id)
        indexed = {
            number: _Indexed(chunk.text, Counter(chunk.words), len(chunk.words))
            for number, chunk in enumerate(chunks, shelf.next_chunk)
        }
        shelf.next_chunk += len(chunks)
        size = sum(len(chunk.text.encode()) for chunk in chunks)
        _end(kept, replace(kept.file, status="completed", usage_bytes=size), indexed)

    async def fail(self, job: IngestJob, code: str, message: str) -> None:
        _, kept = self._held(job)
        failed = replace(kept.file, status="failed", usage_bytes=0, error_code=code, error_message=message)
        _end(kept, failed, {})

    async def sweep(self) -> int:
        return 0

    def _held(self, job: IngestJob) -> tuple[_Shelf, _Kept]:
        shelf = self._shelf(job.store_id, job.owner)
        kept = None if shelf is None else shelf.files.get(job.file.file_id)
        if shelf is None or kept is None or kept.file.status != "in_progress":
            raise FenceError(job.file.file_id)
        if (kept.number, kept.fence) != (job.number, job.fence):
            raise FenceError(job.file.file_id)
        return shelf, kept

    # Search

    async def attributes(self, id: str, owner: str) -> Mapping[str, bytes]:
        shelf = self._shelf(id, owner)
        kept = [] if shelf is None else shelf.files.values()
        return {one.file.file_id: one.file.attributes for one in kept if one.chunks}

    async def search(
        self, id: str, owner: str, words: Sequence[str], limit: int, files: Collection[str] | None = None
    ) -> Hits:
        shelf = self._shelf(id, owner)
        chunks = (
            []
            if shelf is None
            else [(number, chunk, kept) for kept in shelf.files.values() for number, chunk in kept.chunks.items()]
        )
        if not chunks:
            return Hits()
        average = sum(chunk.length for _, chunk, _ in chunks) / len(chunks)
        having = [sum(word in chunk.times for _, chunk, _ in chunks) for word in words]
        weights = [weight(len(chunks), count) for count in having]
        hits = []
        for number, chunk, kept in chunks:
            score = sum(
                share * saturated(chunk.times[word], chunk.length, average)
                for word, share in zip(words, weights, strict=True)
                if word in chunk.times
            )
            if score > 0 and (files is None or kept.file.file_id in files):
                hits.append(_hit(number, score, chunk, kept.file))
        hits.sort(key=lambda hit: (-round(hit.score, SAME), hit.number))
        return Hits(hits=hits[:limit], chunks=len(chunks), having=having)


def _hit(number: int, score: float, chunk: _Indexed, file: VectorFile) -> Hit:
    return Hit(
        number=number,
        score=score,
        file_id=file.file_id,
        filename=file.filename,
        attributes=file.attributes,
        text=chunk.text,
    )


def _end(kept: _Kept, file: VectorFile, chunks: dict[int, _Indexed]) -> None:
    kept.file, kept.chunks = file, chunks
    kept.worker, kept.lease_until = None, 0.0


def _shown(shelf: _Shelf, now: float) -> VectorStore:
    at = shelf.store.expires_at
    if at is not None and at <= now:
        return shelf.store
    return replace(
        shelf.store,
        counts=_counts([*shelf.files.values()]),
        usage_bytes=sum(kept.file.usage_bytes for kept in shelf.files.values()),
    )


def _counts(kept: Sequence[_Kept]) -> FileCounts:
    return FileCounts(**Counter(one.file.status for one in kept))


def _cut(ids: list[str], page: ListPage) -> list[str] | None:
    """Return the ids of a page and of all behind it; None if `after` or `before` is not among them."""
    if page.descending:
        ids.reverse()
    if any(end is not None and end not in ids for end in (page.after, page.before)):
        return None
    start = 0 if page.after is None else ids.index(page.after) + 1
    end = len(ids) if page.before is None else ids.index(page.before)
    return ids[start:end]
