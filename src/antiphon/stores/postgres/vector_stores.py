"""PostgresVectorStores: vector stores, their files, batches and chunks, with the words of the chunks for BM25."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from antiphon.core.retrieval.vectors import Vector
from antiphon.errors import StoreConflict
from antiphon.stores.base import FenceError
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Row, Transaction
from antiphon.stores.postgres.postgres_database import PURGE_GROUP, PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.postgres.vectors import vector_embeddings
from antiphon.stores.postgres.vectors.postings import postings
from antiphon.stores.postgres.vectors.vector_embeddings import VectorSearch, hit_of
from antiphon.stores.records import (
    Chunk,
    ChunkVector,
    Embedding,
    FileBatch,
    FileCounts,
    Hits,
    IngestJob,
    ListPage,
    Neighbours,
    VectorFile,
    VectorStore,
)

SQL = queries("vector_stores")
LAST = (1 << 63) - 1
CHUNK_PATIENCE = 0.005  # seconds in addition for each chunk of a file that is completed
GROUP = 1000  # chunks that one statement inserts
INLINE = 100  # chunks whose words are counted on the event loop; of more in a thread


class PostgresVectorStores:
    """Vector stores in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        self._vectors = VectorSearch(database.pool)
        database.expires(self._purge)

    # Vector stores

    async def create(self, store: VectorStore) -> None:
        if await self._pool.row(SQL["insert"], **_values(store)) is None:
            raise StoreConflict(store.id)

    async def get(self, id: str, owner: str, now: float) -> VectorStore | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner)
        return None if row is None else (await self._shown(owner, [row], now))[0]

    async def list(self, owner: str, now: float, page: ListPage) -> Sequence[VectorStore] | None:
        ends = []
        for end in (page.after, page.before):
            number = None if end is None else await self._pool.value(SQL["number"], id=end, owner=owner)
            if end is not None and number is None:
                return None
            ends.append(number)
        low, high = _bounds(ends[0], ends[1], page)
        query = SQL["list_descending" if page.descending else "list"]
        rows = await self._pool.rows(query, owner=owner, low=low, high=high, limit=page.limit)
        return await self._shown(owner, rows, now)

    async def _shown(self, owner: str, rows: Sequence[Row], now: float) -> Sequence[VectorStore]:
        counts: defaultdict[int, dict[str, int]] = defaultdict(dict)
        usage: defaultdict[int, int] = defaultdict(int)
        for store, status, count, size in await self._pool.rows(SQL["counts"], stores=[row[0] for row in rows]):
            counts[store][status] = count
            usage[store] += size
        return [_store(owner, row, now, FileCounts(**counts[row[0]]), usage[row[0]]) for row in rows]

    async def count(self, owner: str) -> int:
        return int(await self._pool.value(SQL["count"], owner=owner))

    async def update(self, store: VectorStore) -> bool:
        return await self._pool.row(SQL["update"], **_values(store)) is not None

    async def touch(self, ids: Collection[str], owner: str, now: float) -> None:
        await self._pool.rows(SQL["touch"], ids=[*ids], owner=owner, now=int(now))

    async def delete(self, id: str, owner: str) -> bool:
        return await self._pool.row(SQL["remove"], UPKEEP_PATIENCE, id=id, owner=owner) is not None

    async def _purge(self, now: int) -> int:
        await self.sweep()
        return int(await self._pool.value(SQL["purge"], UPKEEP_PATIENCE, now=now, limit=PURGE_GROUP))

    # Files

    async def attach(
        self, id: str, owner: str, files: Sequence[VectorFile], batch: FileBatch | None = None, *, most: int
    ) -> bool:
        ids = [file.file_id for file in files]

        async def attach(transaction: Transaction) -> bool:
            store = await transaction.value(SQL["lock"], id=id, owner=owner)
            if store is None:
                return False
            if await transaction.value(SQL["file_count"], store=store, file_ids=ids) > most:
                raise StoreConflict(id)
            number = None
            if batch is not None:
                number = await transaction.value(
                    SQL["insert_batch"], id=batch.id, store=store, created_at=batch.created_at
                )
            await transaction.rows(
                SQL["attach"],
                store=store,
                batch=number,
                file_ids=ids,
                filenames=[file.filename for file in files],
                created=[file.created_at for file in files],
                attributes=[file.attributes for file in files],
                tokens=[file.chunk_tokens for file in files],
                overlaps=[file.chunk_overlap for file in files],
            )
            return True

        return await self._pool.transact(attach)

    async def file(self, id: str, file_id: str, owner: str) -> VectorFile | None:
        row = await self._pool.row(SQL["file"], id=id, owner=owner, file_id=file_id)
        return None if row is None else _file(row)

    async def files(
        self, id: str, owner: str, page: ListPage, *, status: str | None = None, batch: str | None = None
    ) -> Sequence[VectorFile] | None:
        store = await self._pool.value(SQL["number"], id=id, owner=owner)
        found = None if batch is None else await self._pool.row(SQL["batch"], id=id, owner=owner, batch_id=batch)
        if store is None or (batch is not None and found is None):
            return None
        ends = []
        for end in (page.after, page.before):
            number = None if end is None else await self._pool.value(SQL["file_number"], store=store, file_id=end)
            if end is not None and number is None:
                return None
            ends.append(number)
        low, high = _bounds(ends[0], ends[1], page)
        rows = await self._pool.rows(
            SQL["files_descending" if page.descending else "files"],
            store=store,
            low=low,
            high=high,
            limit=page.limit,
            status=status,
            batch=None if found is None else found[0],
        )
        return [_file(row) for row in rows]

    async def set_attributes(self, id: str, file_id: str, owner: str, attributes: bytes) -> VectorFile | None:
        store = await self._pool.value(SQL["number"], id=id, owner=owner)
        row = await self._pool.row(SQL["set_attributes"], store=store, file_id=file_id, attributes=attributes)
        return None if row is None else _file(row)

    async def detach(self, id: str, file_id: str, owner: str) -> bool:
        async def detach(transaction: Transaction) -> bool:
            store = await transaction.value(SQL["lock"], id=id, owner=owner)
            number = await transaction.value(SQL["file_number"], store=store, file_id=file_id)
            if number is None:
                return False
            await _remove(transaction, [number])
            return True

        return await self._pool.transact(detach)

    async def batch(self, id: str, batch_id: str, owner: str) -> FileBatch | None:
        row = await self._pool.row(SQL["batch"], id=id, owner=owner, batch_id=batch_id)
        if row is None:
            return None
        rows = await self._pool.rows(SQL["batch_counts"], batch=row[0])
        return FileBatch(
            id=batch_id,
            store_id=id,
            created_at=row[1],
            cancelled=row[2],
            counts=FileCounts(**{row[0]: row[1] for row in rows}),
        )

    async def cancel_batch(self, id: str, batch_id: str, owner: str) -> FileBatch | None:
        async def cancel(transaction: Transaction) -> None:
            await transaction.value(SQL["lock"], id=id, owner=owner)
            number = await transaction.value(SQL["batch"], id=id, owner=owner, batch_id=batch_id)
            found = [row[0] for row in await transaction.rows(SQL["batch_in_progress"], batch=number)]
            if found:
                await transaction.rows(SQL["cancel_batch"], batch=number)
                await _empty(transaction, found)
                await transaction.rows(SQL["remove_drafts"], numbers=found)
                await transaction.rows(SQL["cancel_files"], numbers=found)

        await self._pool.transact(cancel)
        return await self.batch(id, batch_id, owner)

    async def content(self, id: str, file_id: str, owner: str, start: int, limit: int) -> Sequence[str]:
        rows = await self._pool.rows(SQL["content"], id=id, owner=owner, file_id=file_id, start=start, limit=limit)
        return [unescape(row[0]) for row in rows]

    # Ingestion

    async def claim(self, worker: str, now: float, lease: float, *, without: Collection[str] = ()) -> IngestJob | None:
        values = {"worker": worker, "now": now, "lease_until": now + lease, "without": [*without]}
        row = await self._pool.row(SQL["claim"], **values)
        if row is None:
            return None
        id, owner, number, fence, crashes, *file = row
        return IngestJob(
            store_id=unescape(id),
            owner=unescape(owner),
            file=_file(file),
            number=number,
            fence=fence,
            crashes=crashes,
        )

    async def heartbeat(self, job: IngestJob, now: float, lease: float) -> None:
        values = {"number": job.number, "fence": job.fence, "lease_until": now + lease}
        if await self._pool.row(SQL["heartbeat"], **values) is None:
            raise FenceError(job.file.file_id)

    async def release(self, job: IngestJob) -> None:
        if await self._pool.row(SQL["release"], number=job.number, fence=job.fence) is None:
            raise FenceError(job.file.file_id)

    async def drafted(self, job: IngestJob, model: str) -> Collection[bytes]:
        return await self._pool.transact(
            lambda transaction: vector_embeddings.drafted(transaction, job, model), UPKEEP_PATIENCE
        )

    async def draft(self, job: IngestJob, model: str, vectors: Sequence[ChunkVector]) -> None:
        await self._pool.transact(
            lambda transaction: vector_embeddings.draft(transaction, job, model, vectors), UPKEEP_PATIENCE
        )

    async def complete(
        self, job: IngestJob, chunks: Sequence[Chunk], *, most: int, embedding: Embedding | None = None
    ) -> None:
        async def complete(transaction: Transaction) -> None:
            store, first, there, before, _ = await _held(transaction, job)
            if there - before + len(chunks) > most:
                raise StoreConflict(job.store_id)
            if before:
                await _empty(transaction, [job.number])
            await _insert(transaction, store, first, job.number, chunks)
            if embedding is not None and chunks:
                await vector_embeddings.settle(transaction, store, first, job, embedding)
            await transaction.rows(
                SQL["completed"],
                store=store,
                number=job.number,
                first=first,
                chunks=len(chunks),
                words=sum(len(chunk.words) for chunk in chunks),
                usage_bytes=sum(len(chunk.text.encode()) for chunk in chunks),
            )

        await self._pool.transact(complete, UPKEEP_PATIENCE + CHUNK_PATIENCE * len(chunks))

    async def fail(self, job: IngestJob, code: str, message: str) -> None:
        async def fail(transaction: Transaction) -> None:
            await _held(transaction, job)
            await _empty(transaction, [job.number])
            await transaction.rows(SQL["remove_drafts"], numbers=[job.number])
            await transaction.rows(SQL["failed"], number=job.number, code=code, message=message)

        await self._pool.transact(fail, UPKEEP_PATIENCE)

    async def sweep(self) -> int:
        async def sweep(transaction: Transaction) -> int:
            numbers = [row[0] for row in await transaction.rows(SQL["gone"], limit=PURGE_GROUP)]
            if numbers:
                await _remove(transaction, numbers)
            return len(numbers)

        return await self._pool.transact(sweep, UPKEEP_PATIENCE)

    # Search

    async def attributes(self, id: str, owner: str) -> Mapping[str, bytes]:
        rows = await self._pool.rows(SQL["attributes"], id=id, owner=owner)
        return {unescape(file_id): attributes for file_id, attributes in rows}

    async def search(
        self, id: str, owner: str, words: Sequence[str], limit: int, files: Collection[str] | None = None
    ) -> Hits:
        if not words:
            return Hits()
        wanted = None if files is None else [*files]
        found = await self._pool.rows(SQL["search"], id=id, owner=owner, words=[*words], wanted=wanted, limit=limit)
        if not found:
            return Hits()
        chunks, known, counts = found[0][:3]
        having: dict[str, int] = dict(zip(known or (), counts or (), strict=True))
        hits = [hit_of(row[3:]) for row in found if row[3] is not None]
        return Hits(hits=hits, chunks=chunks, having=[having.get(word, 0) for word in words])

    async def nearest(
        self, id: str, owner: str, model: str, vector: Vector, limit: int, files: Collection[str] | None = None
    ) -> Neighbours:
        return await self._vectors.nearest(id, owner, model, vector, limit, files)


async def _held(transaction: Transaction, job: IngestJob) -> Row:
    """Return what is known of a file that a worker holds. Raises FenceError if its lease was lost."""
    for row in await transaction.rows(SQL["held"], number=job.number, fence=job.fence):
        return row
    raise FenceError(job.file.file_id)


async def _insert(transaction: Transaction, store: int, first: int, file: int, chunks: Sequence[Chunk]) -> None:
    """Insert the chunks of a file, with the numbers from `first` on, and their words."""
    for start in range(0, len(chunks), GROUP):
        texts = [chunk.text for chunk in chunks[start : start + GROUP]]
        await transaction.rows(SQL["insert_chunks"], store=store, first=first + start, file=file, texts=texts)
    few = len(chunks) < INLINE
    blocks = postings(chunks, first) if few else await asyncio.to_thread(postings, chunks, first)
    for lines in blocks:
        await transaction.rows(SQL["insert_words"], store=store, file=file, lines=lines)


async def _empty(transaction: Transaction, numbers: Sequence[int]) -> None:
    """Remove the chunks of files."""
    for name in ("shrink", "remove_chunks", "emptied"):
        await transaction.rows(SQL[name], numbers=[*numbers])


async def _remove(transaction: Transaction, numbers: Sequence[int]) -> None:
    await _empty(transaction, numbers)
    await transaction.rows(SQL["detach"], numbers=[*numbers])


def _bounds(low: int | None, high: int | None, page: ListPage) -> tuple[int, int]:
    """Return the numbers between which a page's rows lie, from those of its `after` and `before`."""
    if page.descending:
        low, high = high, low
    return (0 if low is None else low, LAST if high is None else high)


def _values(store: VectorStore) -> dict[str, Any]:
    return {**msgspec.structs.asdict(store), "expires_at": store.expires_at}


def _store(owner: str, row: Row, now: float, counts: FileCounts, usage: int) -> VectorStore:
    _, id, created_at, last_active_at, name, description, metadata, expires_days = row
    store = VectorStore(
        id=unescape(id),
        owner=owner,
        created_at=created_at,
        last_active_at=last_active_at,
        name=unescape(name),
        description=unescape(description),
        metadata=metadata,
        expires_days=expires_days,
    )
    if store.expires_at is not None and store.expires_at <= now:
        return store
    return msgspec.structs.replace(store, counts=counts, usage_bytes=usage)


def _file(row: Sequence[Any]) -> VectorFile:
    return VectorFile(
        file_id=unescape(row[0]),
        filename=unescape(row[1]),
        created_at=row[2],
        status=row[3],
        usage_bytes=row[4],
        error_code=row[5],
        error_message=unescape(row[6]),
        attributes=row[7],
        chunk_tokens=row[8],
        chunk_overlap=row[9],
    )
