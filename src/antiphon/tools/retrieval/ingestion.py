"""Ingestion: files in progress → chunks, by leases: what a server that died left behind, another one takes up.

A file's chunks and its `completed` are one commit, under the fence of the lease: a crash leaves nothing half, and nothing is
there twice. Owners take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable

import msgspec

from antiphon.config import FileSearchConfig
from antiphon.core.retrieval.chunking import OVERLAP, TOKENS
from antiphon.errors import APIError, StoreConflict
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.stores.base import FenceError, Store
from antiphon.stores.records import Chunk, IngestJob
from antiphon.tools.retrieval.drafting import EmbeddingFailed, embedding_of
from antiphon.tools.retrieval.model_calls import Embedder
from antiphon.tools.retrieval.protocol import DocumentChunks, ReadTask
from antiphon.tools.retrieval.reader import READ_SECONDS, DocumentGone, DocumentReader, ReaderDied, ReaderUnusable

log = logging.getLogger("antiphon.tools.retrieval")

LEASE = 15.0  # seconds
POLL = 1.0
MOST_CRASHES = 2  # servers that died with a file, before it is given up
MOST_SERVED = 1000  # owners who are remembered as served in this round
GONE = "The file was deleted, or has expired."
SPLIT_INLINE = 200  # chunks; more are split into words in a thread

_CODES = {"invalid": "invalid_file", "unsupported": "unsupported_file"}


class IngestBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What is ingested, and how: files at once, bytes of a file, chunks and files of a vector store; how files are cut."""

    workers: int = 1
    max_file: int = 64 << 20
    max_chunks: int = 200_000
    max_files: int = 10_000
    tokens: int = TOKENS
    overlap: int = OVERLAP

    @classmethod
    def of(cls, settings: FileSearchConfig) -> IngestBounds:
        """Return the bounds that the configuration names."""
        return cls(
            workers=settings.ingest_workers,
            max_file=settings.max_file,
            max_chunks=settings.max_store_chunks,
            max_files=settings.max_store_files,
            tokens=settings.chunk_tokens,
            overlap=settings.overlap,
        )


class Ingestion:
    """The workers of one server. Belongs to one event loop; `close` gives back what they hold.

    With an `embedder` chunks get vectors; a file whose text it cannot embed fails.
    """

    def __init__(
        self, store: Store, bounds: IngestBounds, clock: Callable[[], float], embedder: Embedder | None = None
    ) -> None:
        self._store = store
        self._embedder = embedder
        self.bounds = bounds
        self._clock = clock
        self._worker = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._served: set[str] = set()
        self._new = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.completed = 0  # files, since the start
        self.failed = 0

    def outcomes(self) -> list[tuple[str, int]]:
        """Return how many files became what, since the start."""
        return [("completed", self.completed), ("failed", self.failed)]

    async def start(self) -> None:
        """Begin to claim files."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self.bounds.workers)]

    def wake(self) -> None:
        """Look for files at once: some were added or deleted."""
        self._new.set()

    async def close(self) -> None:
        """Stop; files that are read at the moment are left to other servers, or to the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Work

    async def _work(self) -> None:
        reader = DocumentReader()
        try:
            while True:
                self._new.clear()
                try:
                    while job := await self._claim():
                        await self._ingest(job, reader)
                    await self._store.vector_stores.sweep()
                except APIError:
                    log.debug("ingestion: the store is unavailable")
                except Exception:
                    unexpected("ingestion", log, "ingestion failed")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        await self._new.wait()
        finally:
            reader.close()

    async def _claim(self) -> IngestJob | None:
        """Claim a file of an owner whose turn it is."""
        while True:
            job = await self._store.vector_stores.claim(self._worker, self._clock(), LEASE, without=self._served)
            if job is None and self._served:
                self._served.clear()
                continue
            if job is not None and len(self._served) < MOST_SERVED:
                self._served.add(job.owner)
            return job

    async def _ingest(self, job: IngestJob, reader: DocumentReader) -> None:
        work = asyncio.create_task(self._make(job, reader))
        try:
            while not (await asyncio.wait((work,), timeout=LEASE / 3))[0]:
                if not await self._keep(job):
                    work.cancel()
            if not work.cancelled():
                await work
                return
            # What was cancelled is the work alone: a cancellation of this task raises above, also where the work was just done.
        except FenceError:
            pass
        except (APIError, asyncio.CancelledError):
            work.cancel()
            with contextlib.suppress(FenceError, APIError):
                await self._store.vector_stores.release(job)
            raise
        log.debug("ingestion: file %s is no longer wanted, or was taken over", job.file.file_id)

    async def _keep(self, job: IngestJob) -> bool:
        """Extend the lease; tell whether it is still held."""
        try:
            await self._store.vector_stores.heartbeat(job, self._clock(), LEASE)
        except FenceError:
            return False
        except APIError:  # the store is away: the lease may be lost meanwhile, the fence will tell
            pass
        return True

    async def _make(self, job: IngestJob, reader: DocumentReader) -> None:
        stores = self._store.vector_stores
        try:
            document = await self._read(job, reader)
            if document.outcome == "read":
                chunks = await _chunks(document)
                embedding = None
                if self._embedder is not None and len(chunks) <= self.bounds.max_chunks:
                    texts = [chunk.text for chunk in chunks]
                    embedding = await embedding_of(stores, job, texts, self._embedder)
                await stores.complete(job, chunks, most=self.bounds.max_chunks, embedding=embedding)
                self.completed += 1
                return
            code, reason = _CODES[document.outcome], document.reason
        except StoreConflict:
            code, reason = "invalid_file", f"The vector store would have more than {self.bounds.max_chunks} chunks."
        except EmbeddingFailed as error:
            log.warning("ingestion: embedding file %s failed: %s", job.file.file_id, error)
            code, reason = "server_error", f"The text cannot be embedded: {error}"
        except ReaderUnusable as error:
            log.error("ingestion: document reader process cannot be used: %s", error)
            code, reason = "server_error", "Documents cannot be read at present."
        self.failed += 1
        await stores.fail(job, code, reason)

    async def _read(self, job: IngestJob, reader: DocumentReader) -> DocumentChunks:
        """Return the chunks of a file, or why there are none. Raises ReaderUnusable."""
        if job.crashes > MOST_CRASHES:
            return _refusal(f"Reading the file ended the server {job.crashes} times.")
        file = await self._store.files.get(job.file.file_id, job.owner, self._clock())
        if file is None:
            return _refusal(GONE)
        if file.size > self.bounds.max_file:
            return _refusal(f"The file has more than {self.bounds.max_file} bytes.")
        tokens = job.file.chunk_tokens or self.bounds.tokens
        overlap = self.bounds.overlap if job.file.chunk_overlap is None else job.file.chunk_overlap
        task = ReadTask(filename=job.file.filename, tokens=tokens, overlap=overlap, seconds=READ_SECONDS)

        async def content(start: int) -> bytes | None:
            return await self._store.files.content(job.file.file_id, job.owner, self._clock(), start)

        try:
            return await reader.read(task, file.size, content)
        except DocumentGone:
            return _refusal(GONE)
        except ReaderDied as error:
            log.warning("ingestion: reading file %s failed: document reader process: %s", job.file.file_id, error)
            return _refusal("Reading the file takes more time or memory than is allowed.")


def _refusal(reason: str) -> DocumentChunks:
    return DocumentChunks(outcome="invalid", reason=reason)


async def _chunks(document: DocumentChunks) -> list[Chunk]:
    def split() -> list[Chunk]:
        return [Chunk(text, words.split(" ")) for text, words in document.chunks]

    return split() if len(document.chunks) < SPLIT_INLINE else await asyncio.to_thread(split)
