"""Vectors of chunks: the tables `vector_embeddings_N` and `vector_codes_N` of each vector store, and drafts of files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from sqlite3 import Connection

import msgspec

from antiphon.core.retrieval.vectors import Vector, code, ordered, shortlist, shortlisted
from antiphon.stores.base import FenceError
from antiphon.stores.records import ChunkVector, Embedding, IngestJob, Neighbours
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.vectors import vector_chunks

SQL = queries("vector_stores")
SEGMENT = 1024  # codes of a row

# A table's name is no parameter: it is made of a number of ours.


def drafted(connection: Connection, job: IngestJob, model: str) -> set[bytes]:
    """Return the digests of the texts whose vectors are kept for a file. Raises FenceError if its lease was lost."""
    _check(connection, job)
    connection.execute(SQL["drop_other_drafts"], {"file": job.number, "model": model})
    return {digest for (digest,) in connection.execute(SQL["drafted"], {"file": job.number}).fetchall()}


def draft(connection: Connection, job: IngestJob, model: str, vectors: Sequence[ChunkVector]) -> None:
    """Keep vectors of a file. Raises FenceError if its lease was lost."""
    _check(connection, job)
    rows = [{**msgspec.structs.asdict(one), "file": job.number, "model": model} for one in vectors]
    connection.executemany(SQL["draft"], rows)


def _check(connection: Connection, job: IngestJob) -> None:
    if not connection.execute(SQL["held"], {"number": job.number, "fence": job.fence}).fetchall():
        raise FenceError(job.file.file_id)


def settle(connection: Connection, store: int, first: int, job: IngestJob, embedding: Embedding) -> None:
    """Make the kept vectors of a file those of its chunks, which have the numbers from `first` on."""
    known = connection.execute(SQL["embedding_of"], {"store": store}).fetchall()[0]
    if known != (embedding.model, embedding.dimensions):
        drop(connection, store)
        connection.execute(f"CREATE TABLE vector_embeddings_{store} (number INTEGER PRIMARY KEY, vector BLOB) STRICT")
        connection.execute(f"CREATE TABLE vector_codes_{store} (first INTEGER PRIMARY KEY, codes BLOB) STRICT")
        values = {"store": store, "model": embedding.model, "dimensions": embedding.dimensions}
        connection.execute(SQL["embedded"], values)
    codes: list[bytes] = []
    for digest in embedding.digests:
        codes += [code for (code,) in connection.execute(SQL["draft_code"], {"file": job.number, "digest": digest})]
    if len(codes) != len(embedding.digests):
        raise FenceError(job.file.file_id)
    connection.executemany(
        f"INSERT INTO vector_embeddings_{store} (number, vector)"  # noqa: S608
        " SELECT ?, vector FROM vector_drafts WHERE file = ? AND digest = ?",
        [(number, job.number, digest) for number, digest in enumerate(embedding.digests, first)],
    )
    connection.executemany(
        f"INSERT INTO vector_codes_{store} (first, codes) VALUES (?, ?)",  # noqa: S608
        [(first + at, b"".join(codes[at : at + SEGMENT])) for at in range(0, len(codes), SEGMENT)],
    )


def remove(connection: Connection, store: int, first: int, end: int) -> None:
    """Remove the vectors of chunks with the numbers from `first` on, before `end`."""
    if _model(connection, store):
        for table, column in ((f"vector_embeddings_{store}", "number"), (f"vector_codes_{store}", "first")):
            connection.execute(f"DELETE FROM {table} WHERE {column} >= ? AND {column} < ?", (first, end))  # noqa: S608


def drop(connection: Connection, store: int) -> None:
    """Drop all vectors of a vector store."""
    connection.execute(f"DROP TABLE IF EXISTS vector_embeddings_{store}")
    connection.execute(f"DROP TABLE IF EXISTS vector_codes_{store}")


def _model(connection: Connection, store: int) -> str:
    for model, _ in connection.execute(SQL["embedding_of"], {"store": store}).fetchall():
        return str(model)
    return ""


def nearest(
    connection: Connection,
    id: str,
    owner: str,
    model: str,
    vector: Vector,
    limit: int,
    files: Collection[str] | None,
) -> Neighbours:
    """Return the chunks nearest to a vector."""
    for store, chunks, known, dimensions in connection.execute(SQL["searched"], {"id": id, "owner": owner}).fetchall():
        if (known, dimensions) != (model, len(vector)):
            return Neighbours(model=known)
        numbers = shortlist(_segments(connection, store, files), code(vector), shortlisted(chunks, len(vector)))
        rows = connection.execute(
            f"SELECT number, vector FROM vector_embeddings_{store}"  # noqa: S608
            " WHERE number IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(numbers).decode(),),
        )
        best = ordered(vector, rows, 2 * limit)  # some may be of deleted files
        return Neighbours(hits=vector_chunks.hits(connection, store, best, limit), model=known)
    return Neighbours()


def _segments(connection: Connection, store: int, files: Collection[str] | None) -> Iterator[tuple[int, bytes]]:
    """Yield the codes of a vector store, of these files only where they are given."""
    rows = connection.execute(f"SELECT first, codes FROM vector_codes_{store}")  # noqa: S608
    if files is None:
        yield from rows
        return
    ranges = connection.execute(SQL["ranges"], {"store": store}).fetchall()
    firsts = [first for first, _, _ in ranges]
    wanted = [file_id in files for _, _, file_id in ranges]
    for first, codes in rows:
        index = bisect_right(firsts, first) - 1
        if index >= 0 and wanted[index]:
            yield first, codes
