"""Chunks of vector stores, with their vectors: an SQLite file has tables for each vector store, PostgreSQL has one of each kind.

A file's chunks are copied in one transaction; those that are there are left out, so that an interrupted import goes on.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import asyncpg

from antiphon.core.retrieval.vectors import code, unpacked
from antiphon.stores.postgres.connection.connecting import Connection
from antiphon.stores.postgres.sql import Query, imports, queries
from antiphon.stores.postgres.vectors.postings import postings
from antiphon.stores.records import Chunk

SQL = imports()
STORE = queries("vector_stores")

FILES = """
SELECT file.*, store.id AS store_id, store.embedding_model, store.dimensions FROM vector_store_files AS file
JOIN vector_stores AS store ON store.number = file.store
WHERE file.chunks > 0 AND file.status = 'completed' AND file.gone = 0 ORDER BY file.number
"""


async def copy_chunks(source: sqlite3.Connection, target: Connection, file: sqlite3.Row) -> None:
    """Copy the chunks of a file (a row of `FILES`)."""
    first, count, table = file["first_chunk"], file["chunks"], file["store"]
    query = f"SELECT words, text FROM vector_chunks_{table} WHERE rowid >= ? AND rowid < ? ORDER BY rowid"  # noqa: S608
    chunks = [Chunk(text, words.split(" ")) for words, text in source.execute(query, (first, first + count)).fetchall()]
    async with target.transaction():
        row = await target.fetchrow(*_call(SQL["empty_file"], store_id=file["store_id"], file_id=file["file_id"]))
        if row is None:
            return
        store, number = row
        texts = [chunk.text for chunk in chunks]
        await target.execute(*_call(STORE["insert_chunks"], store=store, first=first, file=number, texts=texts))
        for lines in postings(chunks, first):
            await target.execute(*_call(STORE["insert_words"], store=store, file=number, lines=lines))
        if file["embedding_model"]:
            model, dimensions = file["embedding_model"], file["dimensions"]
            await target.execute(*_call(STORE["embedded"], store=store, model=model, dimensions=dimensions))
            await _copy_vectors(source, target, file, store, number)
        done: dict[str, Any] = {
            "first": first,
            "chunks": len(chunks),
            "words": sum(len(chunk.words) for chunk in chunks),
            "usage_bytes": file["usage_bytes"],
        }
        await target.execute(*_call(STORE["completed"], store=store, number=number, **done))


async def _copy_vectors(
    source: sqlite3.Connection, target: Connection, file: sqlite3.Row, store: int, number: int
) -> None:
    first, end = file["first_chunk"], file["first_chunk"] + file["chunks"]
    query = f"SELECT number, vector FROM vector_embeddings_{file['store']} WHERE number >= ? AND number < ?"  # noqa: S608
    codes, vectors = [], []
    for chunk, content in source.execute(query, (first, end)).fetchall():
        vector = unpacked(content)
        of = {"store": store, "number": chunk, "file": number}
        codes.append(SQL["code"].arguments({**of, "code": asyncpg.BitString.frombytes(code(vector))}))
        vectors.append(SQL["vector"].arguments({**of, "vector": vector}))
    await target.executemany(SQL["code"].text, codes)
    await target.executemany(SQL["vector"].text, vectors)


def _call(query: Query, **values: Any) -> list[Any]:
    return [query.text, *query.arguments(values)]
