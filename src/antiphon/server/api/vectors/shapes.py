"""Bodies and objects of `/v1/vector_stores` as clients send and see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from antiphon.core.json_encoding import to_json
from antiphon.core.retrieval.chunking import LEAST_TOKENS, MOST_TOKENS
from antiphon.core.retrieval.options import RankingOptions
from antiphon.errors import InvalidRequest, NotFound
from antiphon.server.http.messages import Header
from antiphon.stores.records import FileBatch, FileCounts, VectorFile, VectorStore
from antiphon.types.request import Id, Metadata
from antiphon.types.response import FailureReason

MOST_CREATED = 500  # files that a vector store begins with
MOST_BATCH = 2000
MOST_DAYS = 365
MOST_FOUND = 50
MOST_QUERIES = 16
LONGEST_QUERY = 4096  # characters
POLL_MS = 50  # after which a client is to ask again how far a file is

Name = Annotated[str, Meta(max_length=512)]
Query = Annotated[str, Meta(max_length=LONGEST_QUERY)]
Attributes = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)] | float | bool], Meta(max_length=16)
]


class ExpiresAfter(msgspec.Struct, frozen=True, kw_only=True):
    """When a vector store expires: so many days after it was last used."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Meta(ge=1, le=MOST_DAYS)]


class StaticChunking(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of a chunk, and how many of them it repeats of the one before."""

    max_chunk_size_tokens: Annotated[int, Meta(ge=LEAST_TOKENS, le=MOST_TOKENS)]
    chunk_overlap_tokens: Annotated[int, Meta(ge=0)]


class ChunkingStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is cut into chunks."""

    type: Literal["auto", "static"]
    static: StaticChunking | None = None


class CreateVectorStore(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/vector_stores`."""

    name: Name | None = None
    description: Name | None = None
    file_ids: Annotated[list[Id], Meta(max_length=MOST_CREATED)] | None = None
    chunking_strategy: ChunkingStrategy | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class UpdateVectorStore(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/vector_stores/{id}`."""

    name: Name | None = None
    expires_after: ExpiresAfter | None | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET


class AddFile(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/vector_stores/{id}/files`, and a file of a batch."""

    file_id: Id
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class UpdateFile(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/vector_stores/{id}/files/{file_id}`."""

    attributes: Attributes | None


class CreateBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/vector_stores/{id}/file_batches`: ids of files, or files with attributes of their own."""

    file_ids: Annotated[list[Id], Meta(min_length=1, max_length=MOST_BATCH)] | None = None
    files: Annotated[list[AddFile], Meta(min_length=1, max_length=MOST_BATCH)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class SearchVectorStore(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/vector_stores/{id}/search`."""

    query: Query | Annotated[list[Query], Meta(min_length=1, max_length=MOST_QUERIES)]
    rewrite_query: bool = False
    max_num_results: Annotated[int, Meta(ge=1, le=MOST_FOUND)] = 10
    filters: Raw = Raw(b"null")
    ranking_options: RankingOptions | None = None


class ShownCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many files are in which state."""

    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class ShownVectorStore(msgspec.Struct, frozen=True, kw_only=True):
    """A vector store."""

    id: str
    object: str = "vector_store"
    created_at: int
    name: str
    description: str | None
    usage_bytes: int
    file_counts: ShownCounts
    status: Literal["expired", "in_progress", "completed"]
    expires_after: ExpiresAfter | None
    expires_at: int | None
    last_active_at: int
    metadata: Raw


class ShownVectorFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a vector store."""

    id: str
    object: str = "vector_store.file"
    usage_bytes: int
    created_at: int
    vector_store_id: str
    status: str
    last_error: FailureReason | None
    chunking_strategy: ChunkingStrategy
    attributes: Raw


class ShownBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were added to a vector store together."""

    id: str
    object: str = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: Literal["in_progress", "completed", "cancelled"]
    file_counts: ShownCounts


def shown_store(store: VectorStore, now: float) -> ShownVectorStore:
    """Return a vector store as clients see it."""
    days = store.expires_days
    expired = store.expires_at is not None and store.expires_at <= now
    return ShownVectorStore(
        id=store.id,
        created_at=store.created_at,
        name=store.name,
        description=store.description or None,
        usage_bytes=store.usage_bytes,
        file_counts=_counts(store.counts),
        status="expired" if expired else "in_progress" if store.counts.in_progress else "completed",
        expires_after=None if days is None else ExpiresAfter(anchor="last_active_at", days=days),
        expires_at=store.expires_at,
        last_active_at=store.last_active_at,
        metadata=Raw(store.metadata),
    )


def shown_file(file: VectorFile, store_id: str, tokens: int, overlap: int) -> ShownVectorFile:
    """Return a file as clients see it; `tokens` and `overlap` are those of `auto`."""
    static = StaticChunking(
        max_chunk_size_tokens=file.chunk_tokens or tokens,
        chunk_overlap_tokens=overlap if file.chunk_overlap is None else file.chunk_overlap,
    )
    return ShownVectorFile(
        id=file.file_id,
        usage_bytes=file.usage_bytes,
        created_at=file.created_at,
        vector_store_id=store_id,
        status=file.status,
        last_error=FailureReason(file.error_code, file.error_message) if file.error_code else None,
        chunking_strategy=ChunkingStrategy(type="static", static=static),
        attributes=Raw(file.attributes),
    )


def shown_batch(batch: FileBatch) -> ShownBatch:
    """Return a batch as clients see it."""
    done: Literal["completed", "cancelled"] = "cancelled" if batch.cancelled else "completed"
    return ShownBatch(
        id=batch.id,
        created_at=batch.created_at,
        vector_store_id=batch.store_id,
        status="in_progress" if batch.counts.in_progress else done,
        file_counts=_counts(batch.counts),
    )


def _counts(counts: FileCounts) -> ShownCounts:
    return ShownCounts(
        in_progress=counts.in_progress,
        completed=counts.completed,
        failed=counts.failed,
        cancelled=counts.cancelled,
        total=counts.total,
    )


def chunking_of(strategy: ChunkingStrategy | None, path: str = "chunking_strategy") -> tuple[int | None, int | None]:
    """Return tokens and overlap of a strategy; None for the server's own. Raises InvalidRequest."""
    if strategy is None or strategy.type == "auto":
        return None, None
    if strategy.static is None:
        raise InvalidRequest(
            f"Missing required parameter: '{path}.static'.", param=f"{path}.static", code="missing_required_parameter"
        )
    tokens, overlap = strategy.static.max_chunk_size_tokens, strategy.static.chunk_overlap_tokens
    if 2 * overlap > tokens:
        raise InvalidRequest(
            f"Invalid '{path}.static.chunk_overlap_tokens': at most half of max_chunk_size_tokens is allowed.",
            param=f"{path}.static.chunk_overlap_tokens",
        )
    return tokens, overlap


def attributes_json(attributes: Mapping[str, str | float | bool] | None) -> bytes:
    """Return attributes as they are stored."""
    return to_json(attributes or {})


def polled(in_progress: bool) -> tuple[Header, ...]:
    """Return the header that tells clients when to ask again."""
    return ((b"openai-poll-after-ms", b"%d" % POLL_MS),) if in_progress else ()


def store_not_found(id: str, param: str = "vector_store_id") -> NotFound:
    """Return the 404."""
    return NotFound(f"Vector store '{id}' not found.", param=param, code="vector_store_not_found")


def full(most: int, param: str) -> InvalidRequest:
    """Return the 400 for more files than a vector store holds."""
    return InvalidRequest(f"A vector store holds at most {most} files.", param=param, code="vector_store_full")
