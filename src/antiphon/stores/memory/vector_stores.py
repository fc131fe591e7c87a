"""MemoryVectorStores: vector stores, their files, batches and chunks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from antiphon.core.retrieval.vectors import Vector
from antiphon.errors import StoreConflict
from antiphon.stores.base import FenceError
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.memory.vector_shelves import (
    IndexedChunk,
    Shelf,
    ShelvedFile,
    cut_ids,
    end_work,
    file_counts,
    hit_of,
    nearest_numbers,
    ranked,
    settle,
    shown_store,
)
from antiphon.stores.records import (
    Chunk,
    ChunkVector,
    Embedding,
    FileBatch,
    Hits,
    IngestJob,
    ListPage,
    Neighbours,
    VectorFile,
    VectorStore,
)

INLINE = 100  # chunks that are ranked on the event loop


class MemoryVectorStores:
    """Vector stores in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._shelves: dict[str, Shelf] = {}
        self._numbers = 0
        database.expires(self._purge)
        database.when_deleted(self._file_deleted)

    # Vector stores

    async def create(self, store: VectorStore) -> None:
        if store.id in self._shelves:
            raise StoreConflict(store.id)
        self._shelves[store.id] = Shelf(store)

    async def get(self, id: str, owner: str, now: float) -> VectorStore | None:
        shelf = self._shelf(id, owner)
        return None if shelf is None else shown_store(shelf, now)

    async def list(self, owner: str, now: float, page: ListPage) -> Sequence[VectorStore] | None:
        mine = {id: shelf for id, shelf in self._shelves.items() if shelf.store.owner == owner}
        cut = cut_ids([*mine], page)
        return None if cut is None else [shown_store(mine[id], now) for id in cut[: page.limit]]

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

    def _shelf(self, id: str, owner: str) -> Shelf | None:
        shelf = self._shelves.get(id)
        return shelf if shelf is not None and shelf.store.owner == owner else None

    def _purge(self, now: int) -> int:
        expired = 0
        for shelf in self._shelves.values():
            at = shelf.store.expires_at
            if at is not None and at <= now and shelf.files:
                shelf.files, shelf.batches, shelf.next_chunk, shelf.model = {}, {}, 1, ("", 0)
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
                kept = shelf.files[file.file_id] = ShelvedFile(self._numbers, file)
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
        cut = cut_ids([*shelf.files], page)
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
        return replace(batch, counts=file_counts([one for one in shelf.files.values() if one.batch == batch_id]))

    async def cancel_batch(self, id: str, batch_id: str, owner: str) -> FileBatch | None:
        shelf = self._shelf(id, owner)
        if shelf is None or batch_id not in shelf.batches:
            return None
        waiting = [one for one in shelf.files.values() if one.batch == batch_id and one.file.status == "in_progress"]
        if waiting:
            shelf.batches[batch_id] = replace(shelf.batches[batch_id], cancelled=True)
        for kept in waiting:
            end_work(kept, replace(kept.file, status="cancelled", usage_bytes=0), {})
            kept.fence += 1
        return await self.batch(id, batch_id, owner)

    async def content(self, id: str, file_id: str, owner: str, start: int, limit: int) -> Sequence[str]:
        kept = self._kept(id, file_id, owner)
        texts = [] if kept is None else [chunk.text for chunk in kept.chunks.values()]
        return texts[start : start + limit]

    def _kept(self, id: str, file_id: str, owner: str) -> ShelvedFile | None:
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

    async def drafted(self, job: IngestJob, model: str) -> Collection[bytes]:
        _, kept = self._held(job)
        if kept.drafts_by != model:
            kept.drafts, kept.drafts_by = {}, model
        return {*kept.drafts}

    async def draft(self, job: IngestJob, model: str, vectors: Sequence[ChunkVector]) -> None:
        _, kept = self._held(job)
        kept.drafts_by = model
        kept.drafts.update({one.digest: one for one in vectors})

    async def complete(
        self, job: IngestJob, chunks: Sequence[Chunk], *, most: int, embedding: Embedding | None = None
    ) -> None:
        shelf, kept = self._held(job)
        there = sum(len(one.chunks) for one in shelf.files.values() if one is not kept)
        if there + len(chunks) > most:
            raise StoreConflict(job.store_id)
        indexed = {
            number: IndexedChunk(chunk.text, Counter(chunk.words), len(chunk.words))
            for number, chunk in enumerate(chunks, shelf.next_chunk)
        }
        shelf.next_chunk += len(chunks)
        if embedding is not None and chunks:
            settle(shelf, [*indexed.values()], kept.drafts, embedding)
        size = sum(len(chunk.text.encode()) for chunk in chunks)
        end_work(kept, replace(kept.file, status="completed", usage_bytes=size), indexed)

    async def fail(self, job: IngestJob, code: str, message: str) -> None:
        _, kept = self._held(job)
        failed = replace(kept.file, status="failed", usage_bytes=0, error_code=code, error_message=message)
        end_work(kept, failed, {})

    async def sweep(self) -> int:
        return 0

    def _held(self, job: IngestJob) -> tuple[Shelf, ShelvedFile]:
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
        if len(chunks) < INLINE:
            best, having = ranked(chunks, words, limit, files)
        else:
            best, having = await asyncio.to_thread(ranked, chunks, words, limit, files)
        hits = [hit_of(number, score, chunk, kept.file) for score, number, chunk, kept in best]
        return Hits(hits=hits, chunks=len(chunks), having=having)

    async def nearest(
        self, id: str, owner: str, model: str, vector: Vector, limit: int, files: Collection[str] | None = None
    ) -> Neighbours:
        shelf = self._shelf(id, owner)
        if shelf is None or shelf.model != (model, len(vector)):
            return Neighbours(model="" if shelf is None else shelf.model[0])
        found = {
            number: (chunk, kept.file)
            for kept in shelf.files.values()
            if files is None or kept.file.file_id in files
            for number, chunk in kept.chunks.items()
        }
        vectors = {number: chunk.vector for number, (chunk, _) in found.items() if chunk.vector is not None}
        best = await asyncio.to_thread(nearest_numbers, vectors, vector, limit)
        return Neighbours(hits=[hit_of(number, score, *found[number]) for number, score in best], model=model)
