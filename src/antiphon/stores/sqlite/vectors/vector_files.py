"""Files and batches of vector stores, and the leases of those that are ingested."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.base import FenceError
from antiphon.stores.records import Chunk, Embedding, FileBatch, FileCounts, IngestJob, ListPage, VectorFile
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.vectors import vector_chunks as index
from antiphon.stores.sqlite.vectors import vector_embeddings

SQL = queries("vector_stores")
LAST = (1 << 63) - 1


class FileQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which files of a vector store."""

    id: str
    owner: str
    page: ListPage
    status: str | None
    batch: str | None


def number_of(connection: Connection, id: str, owner: str) -> int | None:
    """Return the number of a vector store."""
    return _value(connection, "number", id=id, owner=owner)


def _value(connection: Connection, statement: str, **values: object) -> int | None:
    for (found,) in connection.execute(SQL[statement], values).fetchall():
        return int(found)
    return None


def counted(connection: Connection, statement: str, **values: object) -> tuple[FileCounts, int]:
    """Return how many files are in which state, and their bytes."""
    rows = connection.execute(SQL[statement], values).fetchall()
    return FileCounts(**{status: count for status, count, _ in rows}), sum(size for _, _, size in rows)


def bounds(low: int | None, high: int | None, page: ListPage) -> tuple[int, int]:
    """Return the numbers between which a page's rows lie, from those of its `after` and `before`."""
    if page.descending:
        low, high = high, low
    return (0 if low is None else low, LAST if high is None else high)


def attach(
    connection: Connection, id: str, owner: str, files: Sequence[VectorFile], batch: FileBatch | None, most: int
) -> bool:
    """Add files to a vector store."""
    store = number_of(connection, id, owner)
    if store is None:
        return False
    known = sum(_value(connection, "file_number", store=store, file_id=file.file_id) is not None for file in files)
    there = _value(connection, "file_count", store=store) or 0
    if there + len(files) - known > most:
        raise StoreConflict(id)
    number = None
    if batch is not None:
        number = _value(connection, "insert_batch", id=batch.id, store=store, created_at=batch.created_at)
    for file in files:
        connection.execute(SQL["attach"], {**msgspec.structs.asdict(file), "store": store, "batch": number})
    return True


def get(connection: Connection, id: str, file_id: str, owner: str) -> VectorFile | None:
    """Return a file, or None."""
    store = number_of(connection, id, owner)
    for row in connection.execute(SQL["file"], {"store": store, "file_id": file_id}).fetchall():
        return _file(row)
    return None


def page(connection: Connection, wanted: FileQuery) -> list[VectorFile] | None:
    """Return a page of files; None if its vector store, or where it begins, is unknown."""
    store = number_of(connection, wanted.id, wanted.owner)
    if store is None:
        return None
    batch = None
    if wanted.batch is not None:
        batch = next((row[0] for row in _batch_rows(connection, store, wanted.batch)), None)
        if batch is None:
            return None
    ends = []
    for end in (wanted.page.after, wanted.page.before):
        number = None if end is None else _value(connection, "file_number", store=store, file_id=end)
        if end is not None and number is None:
            return None
        ends.append(number)
    low, high = bounds(ends[0], ends[1], wanted.page)
    query = SQL["files_descending" if wanted.page.descending else "files"]
    values = {"low": low, "high": high, "limit": wanted.page.limit, "status": wanted.status, "batch": batch}
    return [_file(row) for row in connection.execute(query, {**values, "store": store}).fetchall()]


def set_attributes(connection: Connection, id: str, file_id: str, owner: str, attributes: bytes) -> VectorFile | None:
    """Replace a file's attributes."""
    store = number_of(connection, id, owner)
    connection.execute(SQL["set_attributes"], {"store": store, "file_id": file_id, "attributes": attributes})
    return get(connection, id, file_id, owner)


def detach(connection: Connection, id: str, file_id: str, owner: str) -> bool:
    """Take a file out of a vector store."""
    store = number_of(connection, id, owner)
    number = _value(connection, "file_number", store=store, file_id=file_id)
    if number is None:
        return False
    _remove(connection, number)
    return True


def _remove(connection: Connection, number: int) -> None:
    empty(connection, number)
    connection.execute(SQL["remove_drafts"], {"file": number})
    connection.execute(SQL["detach"], {"number": number})


def empty(connection: Connection, number: int) -> None:
    """Remove the chunks of a file, with their vectors."""
    for store, first, count in connection.execute(SQL["file_chunks"], {"number": number}).fetchall():
        vector_embeddings.remove(connection, store, first, first + count)
    index.remove(connection, number)


def sweep(connection: Connection, limit: int) -> int:
    """Remove files that were deleted among the uploaded files."""
    rows = connection.execute(SQL["gone"], {"limit": limit}).fetchall()
    for (number,) in rows:
        _remove(connection, number)
    return len(rows)


def content(connection: Connection, id: str, file_id: str, owner: str, start: int, limit: int) -> list[str]:
    """Return the texts of a file's chunks."""
    store = number_of(connection, id, owner)
    number = _value(connection, "file_number", store=store, file_id=file_id)
    for found, first, count in connection.execute(SQL["file_chunks"], {"number": number}).fetchall():
        if start < count:
            return index.texts(connection, found, first + start, first + min(count, start + limit))
    return []


# Batches


def batch(connection: Connection, id: str, batch_id: str, owner: str) -> FileBatch | None:
    """Return a batch, or None."""
    for number, created_at, cancelled in _batch_rows(connection, number_of(connection, id, owner), batch_id):
        counts, _ = counted(connection, "batch_counts", batch=number)
        return FileBatch(id=batch_id, store_id=id, created_at=created_at, cancelled=bool(cancelled), counts=counts)
    return None


def cancel_batch(connection: Connection, id: str, batch_id: str, owner: str) -> FileBatch | None:
    """Cancel what of a batch is in progress."""
    for number, _, _ in _batch_rows(connection, number_of(connection, id, owner), batch_id):
        in_progress = connection.execute(SQL["batch_in_progress"], {"batch": number}).fetchall()
        if in_progress:
            connection.execute(SQL["cancel_batch"], {"batch": number})
        for (file,) in in_progress:
            empty(connection, file)
            connection.execute(SQL["remove_drafts"], {"file": file})
            connection.execute(SQL["cancel_file"], {"number": file})
    return batch(connection, id, batch_id, owner)


def _batch_rows(connection: Connection, store: int | None, batch_id: str) -> list[tuple[int, int, int]]:
    return connection.execute(SQL["batch"], {"batch_id": batch_id, "store": store}).fetchall()


# Ingestion


def waiting(connection: Connection, now: float) -> bool:
    """Tell whether there is a file to claim."""
    return bool(connection.execute(SQL["waiting"], {"now": now}).fetchall())


def claim(connection: Connection, worker: str, now: float, lease: float, without: Collection[str]) -> IngestJob | None:
    """Claim a file, or None."""
    owners = msgspec.json.encode([*without]).decode()
    parameters = {"worker": worker, "now": now, "lease_until": now + lease, "without": owners}
    for number, store, fence, crashes, *row in connection.execute(SQL["claim"], parameters).fetchall():
        id, owner = connection.execute(SQL["whose"], {"store": store}).fetchall()[0]
        return IngestJob(store_id=id, owner=owner, file=_file(row), number=number, fence=fence, crashes=crashes)
    return None


def keep(connection: Connection, statement: str, job: IngestJob, **values: object) -> None:
    """Run a statement on a file that a worker holds. Raises FenceError if its lease was lost."""
    values = {"number": job.number, "fence": job.fence, **values}
    if not connection.execute(SQL[statement], values).fetchall():
        raise FenceError(job.file.file_id)


def complete(
    connection: Connection, job: IngestJob, chunks: Sequence[Chunk], most: int, embedding: Embedding | None
) -> None:
    """Replace a file's chunks, with their vectors if there are any."""
    store, before = held(connection, job)
    first, there = connection.execute(SQL["room"], {"store": store}).fetchall()[0]
    if there - before + len(chunks) > most:
        raise StoreConflict(job.store_id)
    empty(connection, job.number)
    connection.execute(SQL["grow"], {"store": store, "added": len(chunks)})
    if chunks:
        index.insert(connection, store, first, chunks)
        if embedding is not None:
            vector_embeddings.settle(connection, store, first, job, embedding)
    connection.execute(SQL["remove_drafts"], {"file": job.number})
    values = {
        "number": job.number,
        "first_chunk": first,
        "chunks": len(chunks),
        "usage_bytes": sum(len(chunk.text.encode()) for chunk in chunks),
    }
    connection.execute(SQL["completed"], values)


def fail(connection: Connection, job: IngestJob, code: str, message: str) -> None:
    """Mark a file as failed."""
    held(connection, job)
    empty(connection, job.number)
    connection.execute(SQL["remove_drafts"], {"file": job.number})
    connection.execute(SQL["failed"], {"number": job.number, "code": code, "message": message})


def held(connection: Connection, job: IngestJob) -> tuple[int, int]:
    """Return the vector store's number and how many chunks the file has. Raises FenceError if the lease was lost."""
    for store, chunks in connection.execute(SQL["held"], {"number": job.number, "fence": job.fence}).fetchall():
        return store, chunks
    raise FenceError(job.file.file_id)


def _file(row: Sequence[Any]) -> VectorFile:
    return VectorFile(
        file_id=row[0],
        filename=row[1],
        created_at=row[2],
        status=row[3],
        usage_bytes=row[4],
        error_code=row[5],
        error_message=row[6],
        attributes=row[7],
        chunk_tokens=row[8],
        chunk_overlap=row[9],
    )
