"""Vectors of a file that is ingested: made batch by batch, each kept before the next one is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from antiphon.core.retrieval.vectors import Vector, code, packed
from antiphon.errors import AntiphonError, BackendError
from antiphon.stores.base import VectorStoreStore
from antiphon.stores.records import ChunkVector, Embedding, IngestJob
from antiphon.tools.retrieval.model_calls import Embedder

log = logging.getLogger("antiphon.tools.retrieval")

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between two attempts to have a batch embedded."""

LONGEST_PAUSE = 30.0  # that a backend may ask for
MOST_TEXT = 200_000  # characters of a batch


class EmbeddingFailed(AntiphonError):
    """A file's text cannot be embedded; the message says why."""


async def embedding_of(
    stores: VectorStoreStore, job: IngestJob, texts: Sequence[str], embedder: Embedder
) -> Embedding | None:
    """Have the texts of a file's chunks embedded, but for those whose vectors are kept already; None for no texts.

    Raises EmbeddingFailed where the model cannot be had, FenceError if the lease was lost.
    """
    digests = [digest(text) for text in texts]
    known = {*await stores.drafted(job, embedder.label)}
    missing = {each: text for each, text in zip(digests, texts, strict=True) if each not in known}
    dimensions = 0
    for batch in _batches(missing, embedder.batch):
        vectors = await _asked(embedder, [text for _, text in batch], job.owner)
        if dimensions not in (0, len(vectors[0])):
            raise EmbeddingFailed("The backend's embeddings have different sizes.")
        dimensions = len(vectors[0])
        rows = await asyncio.to_thread(_rows, [each for each, _ in batch], vectors)
        await stores.draft(job, embedder.label, rows)
    if not texts:
        return None
    if not dimensions:  # all were there
        dimensions = len((await _asked(embedder, texts[:1], job.owner))[0])
    return Embedding(embedder.label, dimensions, digests)


def digest(text: str) -> bytes:
    """Return what a text's vector is kept under."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _batches(texts: dict[bytes, str], most: int) -> Iterator[list[tuple[bytes, str]]]:
    batch: list[tuple[bytes, str]] = []
    size = 0
    for each, text in texts.items():
        if batch and (len(batch) == most or size + len(text) > MOST_TEXT):
            yield batch
            batch, size = [], 0
        batch.append((each, text))
        size += len(text)
    if batch:
        yield batch


def _rows(digests: Sequence[bytes], vectors: Sequence[Vector]) -> list[ChunkVector]:
    return [ChunkVector(each, code(vector), packed(vector)) for each, vector in zip(digests, vectors, strict=True)]


async def _asked(embedder: Embedder, texts: Sequence[str], owner: str) -> list[Vector]:
    """Ask for vectors, again where that may help. Raises EmbeddingFailed."""
    for pause in (*PAUSES, None):
        try:
            return await embedder.texts(texts, owner)
        except BackendError as error:
            if pause is None or not error.retriable:
                raise EmbeddingFailed(error.message) from None
            log.info(
                "ingestion: embeddings model %s failed: %s; retrying in %g s", embedder.label, error.message, pause
            )
            await asyncio.sleep(max(pause, _wish(error)))
    raise AssertionError


def _wish(error: BackendError) -> float:
    """Return for how long a busy backend wants to be left alone."""
    wait = dict(error.headers or {}).get("Retry-After", "0")
    return min(LONGEST_PAUSE, float(wait)) if error.status == 429 and wait.isdigit() else 0.0
