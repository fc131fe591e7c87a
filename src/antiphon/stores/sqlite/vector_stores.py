"""SQLiteVectorStores: vector stores, their files, batches and chunks; each vector store has a full-text index of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from antiphon.core.retrieval.vectors import Vector
from antiphon.errors import StoreConflict
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
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase
from antiphon.stores.sqlite.vectors import vector_chunks, vector_embeddings, vector_files

SQL = queries("vector_stores")


def insert(connection: Connection, store: VectorStore) -> None:
    """Insert a vector store. Raises StoreConflict if the id is taken."""
    if connection.execute(SQL["taken"], {"id": store.id}).fetchall():
        raise StoreConflict(store.id)
    connection.execute(SQL["insert"], _values(store))


def get(connection: Connection, id: str, owner: str, now: float) -> VectorStore | None:
    """Return a vector store, or None."""
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner}).fetchall():
        return _store(connection, owner, row, now)
    return None


def read_page(connection: Connection, owner: str, now: float, wanted: ListPage) -> list[VectorStore] | None:
    """Return a page of vector stores; None if where it begins is unknown."""
    ends = []
    for end in (wanted.after, wanted.before):
        number = None if end is None else vector_files.number_of(connection, end, owner)
        if end is not None and number is None:
            return None
        ends.append(number)
    low, high = vector_files.bounds(ends[0], ends[1], wanted)
    query = SQL["list_descending" if wanted.descending else "list"]
    rows = connection.execute(query, {"owner": owner, "low": low, "high": high, "limit": wanted.limit}).fetchall()
    return [_store(connection, owner, row, now) for row in rows]


def update(connection: Connection, store: VectorStore) -> bool:
    """Replace what can change of a vector store."""
    return bool(connection.execute(SQL["update"], _values(store)).fetchall())


def touch(connection: Connection, ids: Collection[str], owner: str, now: int) -> None:
    """Note that vector stores were used."""
    for id in ids:
        connection.execute(SQL["touch"], {"id": id, "owner": owner, "now": now})


def delete(connection: Connection, id: str, owner: str) -> bool:
    """Delete a vector store with all that belongs to it."""
    number = vector_files.number_of(connection, id, owner)
    if number is None:
        return False
    _empty(connection, number)
    connection.execute(SQL["remove"], {"store": number})
    return True


def purge(connection: Connection, now: int, limit: int) -> int:
    """Empty up to `limit` expired vector stores, and remove what is left of deleted files; return how many expired."""
    vector_files.sweep(connection, limit)
    rows = connection.execute(SQL["expired"], {"now": now, "limit": limit}).fetchall()
    for (number,) in rows:
        _empty(connection, number)
    return len(rows)


def _empty(connection: Connection, number: int) -> None:
    for statement in ("remove_drafts_of_store", "remove_batches", "remove_files"):
        connection.execute(SQL[statement], {"store": number})
    vector_embeddings.drop(connection, number)
    vector_chunks.drop(connection, number)


def attributes(connection: Connection, id: str, owner: str) -> dict[str, bytes]:
    """Return the attributes of a vector store's files."""
    store = vector_files.number_of(connection, id, owner)
    return dict(connection.execute(SQL["attributes"], {"store": store}).fetchall())


def _values(store: VectorStore) -> dict[str, Any]:
    return {**msgspec.structs.asdict(store), "expires_at": store.expires_at}


def _store(connection: Connection, owner: str, row: Sequence[Any], now: float) -> VectorStore:
    number, id, created_at, last_active_at, name, description, metadata, expires_days = row
    store = VectorStore(
        id=id,
        owner=owner,
        created_at=created_at,
        last_active_at=last_active_at,
        name=name,
        description=description,
        metadata=metadata,
        expires_days=expires_days,
    )
    if store.expires_at is not None and store.expires_at <= now:
        return msgspec.structs.replace(store, counts=FileCounts())
    counts, usage = vector_files.counted(connection, "counts", store=number)
    return msgspec.structs.replace(store, counts=counts, usage_bytes=usage)


class SQLiteVectorStores:
    """Vector stores in an SQLite file, shared by processes."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge)

    async def create(self, store: VectorStore) -> None:
        await self._writer.submit(lambda connection: insert(connection, store))

    async def get(self, id: str, owner: str, now: float) -> VectorStore | None:
        return await self._database.read_long(lambda connection: get(connection, id, owner, now))

    async def list(self, owner: str, now: float, page: ListPage) -> Sequence[VectorStore] | None:
        return await self._database.read_long(lambda connection: read_page(connection, owner, now, page))

    async def count(self, owner: str) -> int:
        def count(connection: Connection) -> int:
            found: int = connection.execute(SQL["count"], {"owner": owner}).fetchall()[0][0]
            return found

        return await self._database.read_long(count)

    async def update(self, store: VectorStore) -> bool:
        return await self._writer.submit(lambda connection: update(connection, store))

    async def touch(self, ids: Collection[str], owner: str, now: float) -> None:
        await self._writer.submit(lambda connection: touch(connection, ids, owner, int(now)))

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)

    # Files

    async def attach(
        self, id: str, owner: str, files: Sequence[VectorFile], batch: FileBatch | None = None, *, most: int
    ) -> bool:
        return await self._writer.submit(
            lambda connection: vector_files.attach(connection, id, owner, files, batch, most)
        )

    async def file(self, id: str, file_id: str, owner: str) -> VectorFile | None:
        return await self._database.read_long(lambda connection: vector_files.get(connection, id, file_id, owner))

    async def files(
        self, id: str, owner: str, page: ListPage, *, status: str | None = None, batch: str | None = None
    ) -> Sequence[VectorFile] | None:
        wanted = vector_files.FileQuery(id=id, owner=owner, page=page, status=status, batch=batch)
        return await self._database.read_long(lambda connection: vector_files.page(connection, wanted))

    async def set_attributes(self, id: str, file_id: str, owner: str, attributes: bytes) -> VectorFile | None:
        return await self._writer.submit(
            lambda connection: vector_files.set_attributes(connection, id, file_id, owner, attributes)
        )

    async def detach(self, id: str, file_id: str, owner: str) -> bool:
        return await self._writer.submit(
            lambda connection: vector_files.detach(connection, id, file_id, owner), erases=True
        )

    async def batch(self, id: str, batch_id: str, owner: str) -> FileBatch | None:
        return await self._database.read_long(lambda connection: vector_files.batch(connection, id, batch_id, owner))

    async def cancel_batch(self, id: str, batch_id: str, owner: str) -> FileBatch | None:
        return await self._writer.submit(
            lambda connection: vector_files.cancel_batch(connection, id, batch_id, owner), erases=True
        )

    async def content(self, id: str, file_id: str, owner: str, start: int, limit: int) -> Sequence[str]:
        return await self._database.read_long(
            lambda connection: vector_files.content(connection, id, file_id, owner, start, limit)
        )

    # Ingestion

    async def claim(self, worker: str, now: float, lease: float, *, without: Collection[str] = ()) -> IngestJob | None:
        if not self._database.read(vector_files.waiting, now):
            return None
        return await self._writer.submit(lambda connection: vector_files.claim(connection, worker, now, lease, without))

    async def heartbeat(self, job: IngestJob, now: float, lease: float) -> None:
        await self._writer.submit(
            lambda connection: vector_files.keep(connection, "heartbeat", job, lease_until=now + lease)
        )

    async def release(self, job: IngestJob) -> None:
        await self._writer.submit(lambda connection: vector_files.keep(connection, "release", job))

    async def drafted(self, job: IngestJob, model: str) -> Collection[bytes]:
        return await self._writer.submit(lambda connection: vector_embeddings.drafted(connection, job, model))

    async def draft(self, job: IngestJob, model: str, vectors: Sequence[ChunkVector]) -> None:
        await self._writer.submit(lambda connection: vector_embeddings.draft(connection, job, model, vectors))

    async def complete(
        self, job: IngestJob, chunks: Sequence[Chunk], *, most: int, embedding: Embedding | None = None
    ) -> None:
        await self._writer.submit(lambda connection: vector_files.complete(connection, job, chunks, most, embedding))

    async def fail(self, job: IngestJob, code: str, message: str) -> None:
        await self._writer.submit(lambda connection: vector_files.fail(connection, job, code, message))

    async def sweep(self) -> int:
        return await self._writer.submit(lambda connection: vector_files.sweep(connection, 50), erases=True)

    # Search

    async def attributes(self, id: str, owner: str) -> Mapping[str, bytes]:
        return await self._database.read_long(lambda connection: attributes(connection, id, owner))

    async def search(
        self, id: str, owner: str, words: Sequence[str], limit: int, files: Collection[str] | None = None
    ) -> Hits:
        return await self._database.read_long(
            lambda connection: vector_chunks.search(connection, id, owner, words, limit, files)
        )

    async def nearest(
        self, id: str, owner: str, model: str, vector: Vector, limit: int, files: Collection[str] | None = None
    ) -> Neighbours:
        return await self._database.read_long(
            lambda connection: vector_embeddings.nearest(connection, id, owner, model, vector, limit, files)
        )
