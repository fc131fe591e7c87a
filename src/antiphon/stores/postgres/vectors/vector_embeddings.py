"""Vectors of chunks: drafts of files that are ingested, codes and vectors of those that are; the search for the nearest."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import asyncpg

from antiphon.core.retrieval.vectors import Vector, code, ordered, packed, shortlist_terms, shortlisted, unpacked
from antiphon.errors import APIError
from antiphon.stores.base import FenceError
from antiphon.stores.postgres.database import Database, Row, Transaction
from antiphon.stores.postgres.sql import Query, queries, unescape
from antiphon.stores.records import ChunkHit, ChunkVector, Embedding, IngestJob, Neighbours

log = logging.getLogger("antiphon.stores.postgres.vectors")

SQL = queries("vector_stores")
CREATE_EXTENSION = Query("CREATE EXTENSION IF NOT EXISTS vector")
PGVECTOR_TIMES = 2
"""How many times as many vectors as elsewhere pgvector compares as they are: to it each of them costs less."""


async def drafted(transaction: Transaction, job: IngestJob, model: str) -> Collection[bytes]:
    """Return the digests of the texts whose vectors are kept for a file. Raises FenceError if its lease was lost."""
    await _check(transaction, job)
    await transaction.rows(SQL["drop_other_drafts"], file=job.number, model=model)
    return {row[0] for row in await transaction.rows(SQL["drafted"], file=job.number)}


async def draft(transaction: Transaction, job: IngestJob, model: str, vectors: Sequence[ChunkVector]) -> None:
    """Keep vectors of a file. Raises FenceError if its lease was lost."""
    await _check(transaction, job)
    each = {one.digest: one for one in vectors}
    await transaction.rows(
        SQL["draft"],
        file=job.number,
        digests=[*each],
        model=model,
        codes=[asyncpg.BitString.frombytes(one.code) for one in each.values()],
        vectors=[f"{{{_written(unpacked(one.vector))}}}" for one in each.values()],
    )


def _written(vector: Vector) -> str:
    """Return a vector as text, of which PostgreSQL reads the same floats: the driver looks at each value of a list."""
    return ("%.9g," * len(vector))[:-1] % tuple(vector)


async def _check(transaction: Transaction, job: IngestJob) -> None:
    if not await transaction.rows(SQL["held"], number=job.number, fence=job.fence):
        raise FenceError(job.file.file_id)


async def settle(transaction: Transaction, store: int, first: int, job: IngestJob, embedding: Embedding) -> None:
    """Make the kept vectors of a file those of its chunks, which have the numbers from `first` on."""
    known = (await transaction.rows(SQL["embedding_of"], store=store))[0]
    if tuple(known) != (embedding.model, embedding.dimensions):
        await transaction.rows(SQL["remove_vectors"], store=store)
        await transaction.rows(SQL["embedded"], store=store, model=embedding.model, dimensions=embedding.dimensions)
    values = {"store": store, "first": first, "file": job.number, "digests": [*embedding.digests]}
    if len(await transaction.rows(SQL["settle_codes"], **values)) != len(embedding.digests):
        raise FenceError(job.file.file_id)
    await transaction.rows(SQL["settle_vectors"], **values)


class VectorSearch:
    """The search for the nearest vectors: by pgvector where the database has it, else in this process."""

    def __init__(self, pool: Database) -> None:
        self._pool = pool
        self._pgvector: bool | None = None

    async def nearest(
        self, id: str, owner: str, model: str, vector: Vector, limit: int, files: Collection[str] | None
    ) -> Neighbours:
        """Return the chunks nearest to a vector."""
        wanted = None if files is None else [*files]
        if await self.pgvector():
            return await self._in_database(id, owner, model, vector, limit, wanted)
        row = await self._pool.row(SQL["searched"], id=id, owner=owner)
        if row is None:
            return Neighbours()
        store, chunks, known, dimensions = row
        known = unescape(known)
        if not known or (known, dimensions) != (model, len(vector)):
            return Neighbours(model=known)
        most = shortlisted(chunks, len(vector))
        near = await self._pool.rows(SQL["shortlist"], store=store, wanted=wanted, code=_bits(vector), most=most)
        best = ordered(vector, [(row[0], packed(row[1])) for row in near], 2 * limit)  # some may be of deleted files
        rows = await self._pool.rows(SQL["found"], store=store, numbers=[number for number, _ in best])
        found = {row[0]: row[1:] for row in rows}
        hits = [hit_of((number, score, *found[number])) for number, score in best if number in found]
        return Neighbours(hits=hits[:limit], model=known)

    async def _in_database(
        self, id: str, owner: str, model: str, vector: Vector, limit: int, wanted: list[str] | None
    ) -> Neighbours:
        least, share = shortlist_terms(len(vector))
        rows = await self._pool.rows(
            SQL["nearest"],
            id=id,
            owner=owner,
            model=model,
            dimensions=len(vector),
            vector=f"[{_written(vector)}]",
            code=_bits(vector),
            least=PGVECTOR_TIMES * least,
            share=PGVECTOR_TIMES * share,
            wanted=wanted,
            limit=limit,
        )
        if not rows:
            return Neighbours()
        hits = tuple(hit_of(row[1:]) for row in rows if row[1] is not None)
        return Neighbours(hits=hits, model=unescape(rows[0][0]))

    async def pgvector(self) -> bool:
        """Tell whether the database has pgvector; where it can be had, it is created."""
        if self._pgvector is None:
            self._pgvector = bool(await self._pool.value(SQL["has_pgvector"])) or await self._created()
            log.info("store: vectors are compared by %s", "pgvector" if self._pgvector else "this server: no pgvector")
        return self._pgvector

    async def _created(self) -> bool:
        try:
            await self._pool.rows(CREATE_EXTENSION)
            return bool(await self._pool.value(SQL["has_pgvector"]))
        except (asyncpg.PostgresError, APIError):  # not installed, or not for this user
            return False


def _bits(vector: Vector) -> asyncpg.BitString:
    return asyncpg.BitString.frombytes(code(vector))


def hit_of(row: Row) -> ChunkHit:
    """Return the chunk of a row: number, score, file, its name, its attributes, text."""
    number, score, file_id, filename, attributes, text = row
    return ChunkHit(
        number=number,
        score=score,
        file_id=unescape(file_id),
        filename=unescape(filename),
        attributes=attributes,
        text=unescape(text),
    )
