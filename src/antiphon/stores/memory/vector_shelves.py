"""Shelf: a vector store in memory, with its files and their chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from antiphon.core.retrieval.ranking import SAME, saturated, weight
from antiphon.core.retrieval.vectors import Vector, code, ordered, shortlist, shortlisted
from antiphon.stores.records import (
    ChunkHit,
    ChunkVector,
    Embedding,
    FileBatch,
    FileCounts,
    ListPage,
    VectorFile,
    VectorStore,
)


class IndexedChunk(msgspec.Struct, eq=False):
    """A chunk: its text, how often it has which word, and how many words; its vector."""

    text: str
    times: Mapping[str, int]
    length: int
    vector: ChunkVector | None = None


class ShelvedFile(msgspec.Struct, eq=False):
    """A file with its chunks by their numbers, its batch, and the lease of whoever ingests it."""

    number: int
    file: VectorFile
    batch: str | None = None
    chunks: dict[int, IndexedChunk] = {}
    worker: str | None = None
    lease_until: float = 0.0
    fence: int = 0
    crashes: int = 0
    drafts: dict[bytes, ChunkVector] = {}
    drafts_by: str = ""


class Shelf(msgspec.Struct, eq=False):
    """A vector store with its files by id, and the model of its vectors."""

    store: VectorStore
    files: dict[str, ShelvedFile] = {}
    batches: dict[str, FileBatch] = {}
    next_chunk: int = 1
    model: tuple[str, int] = ("", 0)


def settle(
    shelf: Shelf, chunks: Sequence[IndexedChunk], drafts: Mapping[bytes, ChunkVector], embedding: Embedding
) -> None:
    """Give chunks their vectors; those by another model are removed from the vector store."""
    if shelf.model != (embedding.model, embedding.dimensions):
        shelf.model = (embedding.model, embedding.dimensions)
        for kept in shelf.files.values():
            for chunk in kept.chunks.values():
                chunk.vector = None
    for chunk, digest in zip(chunks, embedding.digests, strict=True):
        chunk.vector = drafts[digest]


Placed = tuple[int, IndexedChunk, ShelvedFile]
"""A chunk with its number and its file."""


def ranked(
    chunks: Sequence[Placed], words: Sequence[str], limit: int, files: Collection[str] | None
) -> tuple[list[tuple[float, int, IndexedChunk, ShelvedFile]], list[int]]:
    """Return the chunks with the best BM25 scores, and how many chunks have each word."""
    average = sum([chunk.length for _, chunk, _ in chunks]) / len(chunks)
    having = [sum([word in chunk.times for _, chunk, _ in chunks]) for word in words]
    weights = {word: weight(len(chunks), count) for word, count in zip(words, having, strict=True) if count}
    found = []
    for number, chunk, kept in chunks:
        times = chunk.times
        parts = [weights[word] * saturated(times[word], chunk.length, average) for word in weights if word in times]
        if parts and (files is None or kept.file.file_id in files):
            found.append((sum(parts), number, chunk, kept))
    found.sort(key=lambda one: (-round(one[0], SAME), one[1]))
    return found[:limit], having


def nearest_numbers(vectors: Mapping[int, ChunkVector], vector: Vector, limit: int) -> list[tuple[int, float]]:
    """Return numbers and cosines of the chunks nearest to a vector."""
    codes = [(number, one.code) for number, one in vectors.items()]
    near = shortlist(codes, code(vector), shortlisted(len(codes), len(vector)))
    return ordered(vector, [(number, vectors[number].vector) for number in near], limit)


def hit_of(number: int, score: float, chunk: IndexedChunk, file: VectorFile) -> ChunkHit:
    """Return a chunk that was found."""
    return ChunkHit(
        number=number,
        score=score,
        file_id=file.file_id,
        filename=file.filename,
        attributes=file.attributes,
        text=chunk.text,
    )


def end_work(kept: ShelvedFile, file: VectorFile, chunks: dict[int, IndexedChunk]) -> None:
    """End the ingestion of a file, with these chunks."""
    kept.file, kept.chunks = file, chunks
    kept.worker, kept.lease_until = None, 0.0
    kept.drafts, kept.drafts_by = {}, ""


def shown_store(shelf: Shelf, now: float) -> VectorStore:
    """Return a vector store with the counts of its files."""
    at = shelf.store.expires_at
    if at is not None and at <= now:
        return shelf.store
    return replace(
        shelf.store,
        counts=file_counts([*shelf.files.values()]),
        usage_bytes=sum(kept.file.usage_bytes for kept in shelf.files.values()),
    )


def file_counts(kept: Sequence[ShelvedFile]) -> FileCounts:
    """Return how many files are in which state."""
    return FileCounts(**Counter(one.file.status for one in kept))


def cut_ids(ids: list[str], page: ListPage) -> list[str] | None:
    """Return the ids of a page and of all behind it; None if `after` or `before` is not among them."""
    if page.descending:
        ids.reverse()
    if any(end is not None and end not in ids for end in (page.after, page.before)):
        return None
    start = 0 if page.after is None else ids.index(page.after) + 1
    end = len(ids) if page.before is None else ids.index(page.before)
    return ids[start:end]
