"""Chunks: the full-text index of each vector store, `vector_chunks_N`."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Collection, Sequence
from sqlite3 import Connection

import msgspec

from antiphon.core.retrieval.ranking import SAME
from antiphon.stores.records import Chunk, ChunkHit, Hits
from antiphon.stores.sqlite.sql import queries

SQL = queries("vector_stores")

# A table's name is no parameter: it is made of a number of ours. Words are letters and digits in lower case, which an
# expression of FTS5 takes as they are.


def insert(connection: Connection, store: int, first: int, chunks: Sequence[Chunk]) -> None:
    """Insert chunks with the numbers from `first` on, into an index that is made where there is none."""
    if connection.execute(SQL["indexed"], {"store": store}).fetchall():
        connection.execute(
            f"CREATE VIRTUAL TABLE vector_chunks_{store} USING fts5(words, text UNINDEXED, tokenize = 'ascii')"
        )
        if sqlite3.sqlite_version_info >= (3, 42):  # deleted words leave the index at once, not when it is merged
            connection.execute(
                f"INSERT INTO vector_chunks_{store} (vector_chunks_{store}, rank) VALUES ('secure-delete', 1)"  # noqa: S608
            )
    connection.executemany(
        f"INSERT INTO vector_chunks_{store} (rowid, words, text) VALUES (?, ?, ?)",  # noqa: S608
        [(number, " ".join(chunk.words), chunk.text) for number, chunk in enumerate(chunks, first)],
    )


def remove(connection: Connection, file: int) -> None:
    """Remove the chunks of a file by its number."""
    for store, first, count in connection.execute(SQL["file_chunks"], {"number": file}).fetchall():
        if count:
            connection.execute(
                f"DELETE FROM vector_chunks_{store} WHERE rowid >= ? AND rowid < ?",  # noqa: S608
                (first, first + count),
            )
            connection.execute(SQL["shrink"], {"store": store, "removed": count})
            connection.execute(SQL["emptied"], {"number": file})


def drop(connection: Connection, store: int) -> None:
    """Drop the index of a vector store."""
    connection.execute(f"DROP TABLE IF EXISTS vector_chunks_{store}")
    connection.execute(SQL["not_indexed"], {"store": store})


def texts(connection: Connection, store: int, first: int, end: int) -> list[str]:
    """Return the texts of chunks in order."""
    statement = f"SELECT text FROM vector_chunks_{store} WHERE rowid >= ? AND rowid < ? ORDER BY rowid"  # noqa: S608
    return [row[0] for row in connection.execute(statement, (first, end)).fetchall()]


def search(
    connection: Connection, id: str, owner: str, words: Sequence[str], limit: int, files: Collection[str] | None
) -> Hits:
    """Return the best chunks."""
    found = connection.execute(SQL["is_indexed"], {"id": id, "owner": owner}).fetchall()
    if not found or not words:
        return Hits()
    store, chunks = found[0]
    best = _ranked(connection, store, words, limit, files)
    return Hits(hits=hits(connection, store, best, limit), chunks=chunks, having=_having(connection, store, words))


def _having(connection: Connection, store: int, words: Sequence[str]) -> list[int]:
    """Return how many chunks have each word."""
    statement = f"SELECT count(*) FROM vector_chunks_{store} WHERE vector_chunks_{store} MATCH ?"  # noqa: S608
    return [connection.execute(statement, (word,)).fetchall()[0][0] for word in words]


def _ranked(
    connection: Connection, store: int, words: Sequence[str], limit: int, files: Collection[str] | None
) -> list[tuple[int, float]]:
    """Return numbers and scores of chunks, the best first; twice as many as wanted, as some may be of deleted files."""
    statement = (
        f"SELECT rowid, -bm25(vector_chunks_{store}) AS score FROM vector_chunks_{store}"  # noqa: S608
        f" WHERE vector_chunks_{store} MATCH ? ORDER BY round(score, {SAME}) DESC, rowid LIMIT ?"
    )
    if files is None:
        return connection.execute(statement, (" OR ".join(words), 2 * limit)).fetchall()
    ranges = connection.execute(SQL["ranges"], {"store": store}).fetchall()
    firsts = [first for first, _, _ in ranges]
    wanted = [file_id in files for _, _, file_id in ranges]
    found: list[tuple[int, float]] = []
    for number, score in connection.execute(statement, (" OR ".join(words), -1)):
        index = bisect_right(firsts, number) - 1
        if index >= 0 and wanted[index]:
            found.append((number, score))
            if len(found) == 2 * limit:
                break
    return found


def hits(connection: Connection, store: int, best: Sequence[tuple[int, float]], limit: int) -> list[ChunkHit]:
    """Return the first `limit` of the chunks, given as numbers and scores, without those of deleted files."""
    found = _hits(connection, store, best[:limit])
    rest = best[limit:]
    return found if len(found) == min(limit, len(best)) else [*found, *_hits(connection, store, rest)][:limit]


def _hits(connection: Connection, store: int, best: Sequence[tuple[int, float]]) -> list[ChunkHit]:
    statement = (
        f"SELECT c.rowid, c.text, f.file_id, f.filename, f.attributes FROM json_each(?) AS n"  # noqa: S608  # a number
        f" JOIN vector_chunks_{store} AS c ON c.rowid = n.value JOIN vector_store_files AS f ON f.number = ("
        "SELECT number FROM vector_store_files WHERE store = ? AND chunks > 0 AND first_chunk <= n.value"
        " ORDER BY first_chunk DESC LIMIT 1) WHERE NOT f.gone"
    )
    numbers = msgspec.json.encode([number for number, _ in best]).decode()
    rows = {row[0]: row[1:] for row in connection.execute(statement, (numbers, store)).fetchall()}
    return [_hit(number, score, rows[number]) for number, score in best if number in rows]


def _hit(number: int, score: float, row: tuple[str, str, str, bytes]) -> ChunkHit:
    text, file_id, filename, attributes = row
    return ChunkHit(number=number, score=score, file_id=file_id, filename=filename, attributes=attributes, text=text)
