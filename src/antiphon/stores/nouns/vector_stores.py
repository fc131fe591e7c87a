"""VectorStoreStore: the operations on vector stores, their files, batches and chunks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from antiphon.core.retrieval.vectors import Vector
from antiphon.stores.records import (
    Chunk,
    ChunkVector,
    Embedding,
    FileBatch,
    Hits,
    IngestJob,
    ListPage,
    Neighbours,
    VectorFile,
    VectorStore,
)


class VectorStoreStore(Protocol):
    """Vector stores. A file belongs to as many of them as one likes; each has chunks of its own of it.

    A file that was deleted or has expired among the uploaded files is no longer in any vector store. `now` tells which vector
    stores have expired: they are there, but without files.
    """

    # Vector stores

    async def create(self, store: VectorStore) -> None:
        """Insert a vector store without files. Raises StoreConflict if the id is taken."""
        ...

    async def get(self, id: str, owner: str, now: float) -> VectorStore | None:
        """Return a vector store with the counts of its files, or None."""
        ...

    async def list(self, owner: str, now: float, page: ListPage) -> Sequence[VectorStore] | None:
        """Return a page of vector stores by creation; None if `after` or `before` is unknown."""
        ...

    async def count(self, owner: str) -> int:
        """Return how many vector stores there are."""
        ...

    async def update(self, store: VectorStore) -> bool:
        """Replace name, metadata, expiry and `last_active_at`; tell whether it was there."""
        ...

    async def touch(self, ids: Collection[str], owner: str, now: float) -> None:
        """Note that vector stores were used, where they have not expired."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a vector store with its files' chunks; tell whether it was there."""
        ...

    # Files

    async def attach(
        self, id: str, owner: str, files: Sequence[VectorFile], batch: FileBatch | None = None, *, most: int
    ) -> bool:
        """Add files, to be ingested, at once with the batch that they belong to; False if there is no such vector store.

        A file that is there already is ingested anew; what was found of it is found until then. Raises StoreConflict where
        there would be more than `most` files.
        """
        ...

    async def file(self, id: str, file_id: str, owner: str) -> VectorFile | None:
        """Return a file of a vector store, or None."""
        ...

    async def files(
        self, id: str, owner: str, page: ListPage, *, status: str | None = None, batch: str | None = None
    ) -> Sequence[VectorFile] | None:
        """Return a page of files as they were added; None if the vector store, `after` or `before` is unknown."""
        ...

    async def set_attributes(self, id: str, file_id: str, owner: str, attributes: bytes) -> VectorFile | None:
        """Replace a file's attributes; return it, or None if it is not there."""
        ...

    async def detach(self, id: str, file_id: str, owner: str) -> bool:
        """Take a file and its chunks out of a vector store; tell whether it was there."""
        ...

    async def batch(self, id: str, batch_id: str, owner: str) -> FileBatch | None:
        """Return a batch with the counts of its files, or None."""
        ...

    async def cancel_batch(self, id: str, batch_id: str, owner: str) -> FileBatch | None:
        """Cancel those files of a batch that are in progress; return the batch, or None."""
        ...

    async def content(self, id: str, file_id: str, owner: str, start: int, limit: int) -> Sequence[str]:
        """Return the texts of a file's chunks from number `start` (0 is its first) in order, `limit` at most."""
        ...

    # Ingestion

    async def claim(self, worker: str, now: float, lease: float, *, without: Collection[str] = ()) -> IngestJob | None:
        """Claim a file in progress that no worker holds (new, released, or its lease expired), or return None.

        Those without crashes come first. Those of the owners in `without` are passed over.
        The job's `fence` is raised by one, and `crashes` where its lease ran out.
        """
        ...

    async def heartbeat(self, job: IngestJob, now: float, lease: float) -> None:
        """Extend a lease. Raises FenceError if it was lost, or the file is no longer wanted."""
        ...

    async def release(self, job: IngestJob) -> None:
        """Give a file back, so that any worker can claim it. Raises FenceError if the lease was lost."""
        ...

    async def drafted(self, job: IngestJob, model: str) -> Collection[bytes]:
        """Return the digests of the texts whose vectors by this model are kept for a file; those by others are removed.

        Raises FenceError if the lease was lost.
        """
        ...

    async def draft(self, job: IngestJob, model: str, vectors: Sequence[ChunkVector]) -> None:
        """Keep vectors of a file until it is completed: whoever takes the file over goes on behind them.

        Raises FenceError if the lease was lost.
        """
        ...

    async def complete(
        self, job: IngestJob, chunks: Sequence[Chunk], *, most: int, embedding: Embedding | None = None
    ) -> None:
        """Replace a file's chunks and mark it completed, in one transaction.

        With an `embedding` the vectors that were kept for it become those of the chunks, and the vector store's model is that of
        the embedding: vectors by another one are removed. Raises FenceError if the lease was lost or the file is no longer
        wanted, StoreConflict where the vector store would have more than `most` chunks.
        """
        ...

    async def fail(self, job: IngestJob, code: str, message: str) -> None:
        """Mark a file as failed, its chunks removed. Raises FenceError if the lease was lost."""
        ...

    async def sweep(self) -> int:
        """Remove chunks of files that were deleted among the uploaded files, some at a time; return of how many files."""
        ...

    # Search

    async def attributes(self, id: str, owner: str) -> Mapping[str, bytes]:
        """Return the attributes of a vector store's completed files, by file id."""
        ...

    async def search(
        self, id: str, owner: str, words: Sequence[str], limit: int, files: Collection[str] | None = None
    ) -> Hits:
        """Return the chunks with the best BM25 scores for these words, of these `files` only where they are given.

        Of equal scores the chunk with the lower number comes first.
        """
        ...

    async def nearest(
        self, id: str, owner: str, model: str, vector: Vector, limit: int, files: Collection[str] | None = None
    ) -> Neighbours:
        """Return the chunks whose vectors are nearest to one of length 1, of these `files` only where they are given.

        None where the vector store's vectors are by another model, or of another size.
        """
        ...
