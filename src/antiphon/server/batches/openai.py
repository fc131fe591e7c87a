"""`/v1/batches`: create, list, read, cancel (Batch API)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest, NotFound
from antiphon.responses.batches.base import BatchProgress, details_of, progress_of
from antiphon.server.api.files import LONGEST, SHORTEST
from antiphon.server.api.paging import listing, page_query
from antiphon.server.batches.making import BatchParts, Wanted, check_endpoint, make
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.server.http.router import RouteTable
from antiphon.stores.batch_records import BatchCounts, StoredBatch
from antiphon.stores.records import ListPage
from antiphon.types.request import Id, Metadata

FRONT = "openai"

Endpoint = Literal[
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/decisions",
    "/v1/messages",
    "/v1/images/generations",
]
"""Paths whose requests a batch may have, as far as the server has them: a row here, and a route."""

ENDED_AT = {"completed": "completed_at", "failed": "failed_at", "expired": "expired_at", "cancelled": "cancelled_at"}


class OutputExpiresAfter(msgspec.Struct, frozen=True, kw_only=True):
    """When the output and error files expire: so many seconds after they were made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=SHORTEST, le=LONGEST)]


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/batches`."""

    input_file_id: Id
    endpoint: Endpoint
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: OutputExpiresAfter | None = None


_create = msgspec.json.Decoder(NewBatch)


class BatchRoutes:
    """The handlers of `/v1/batches`."""

    def __init__(self, parts: BatchParts) -> None:
        self._parts = parts
        self._batches = parts.store.batches

    async def create(self, request: Request) -> Reply:
        """POST /v1/batches: the file is checked, and its requests are answered, after this."""
        body = decode(_create, await request.body(most=SMALL_BODY))
        check_endpoint(self._parts, body.endpoint, request.caller)
        wanted = Wanted(
            front=FRONT,
            prefix="batch",
            endpoint=body.endpoint,
            input_file_id=body.input_file_id,
            window=body.completion_window,
            metadata=to_json(body.metadata),
            output_seconds=body.output_expires_after.seconds if body.output_expires_after else None,
        )
        return json_reply(batch_object(await make(self._parts, wanted, request.caller)))

    async def list(self, request: Request) -> Reply:
        """GET /v1/batches: newest first; `limit`, `after`."""
        query = page_query(request)
        page = ListPage(limit=query.limit + 1, descending=not query.ascending, after=query.after, before=query.before)
        found = await self._batches.list(request.owner, FRONT, page)
        if found is None:
            param = "after" if query.after is not None else "before"
            raise InvalidRequest(f"Invalid '{param}': batch not found.", param=param)
        shown = found[: query.limit]
        data = [batch_object(batch) for batch in shown]
        return json_reply(listing(data, [batch.id for batch in shown], len(found) > query.limit))

    async def read(self, request: Request) -> Reply:
        """GET /v1/batches/{id}."""
        id = request.params["id"]
        batch = await self._batches.get(id, request.owner)
        if batch is None or batch.front != FRONT:
            raise batch_not_found(id)
        return json_reply(batch_object(batch))

    async def cancel(self, request: Request) -> Reply:
        """POST /v1/batches/{id}/cancel: nothing more is asked; what is done is kept. One that has ended stays as it is."""
        id = request.params["id"]
        batch = await self._batches.get(id, request.owner)
        if batch is not None and batch.front == FRONT:
            batch = await self._batches.cancel(id, request.owner, int(self._parts.clock()))
            self._parts.machine.wake(id)
        if batch is None or batch.front != FRONT:
            raise batch_not_found(id)
        return json_reply(batch_object(batch))


def batch_not_found(id: str) -> NotFound:
    """Return the 404."""
    return NotFound(f"Batch '{id}' not found.", param="id", code="batch_not_found")


def batch_object(batch: StoredBatch) -> dict[str, object]:
    """Return a batch as clients see it."""
    details, progress = details_of(batch), progress_of(batch)
    counts = batch.counts
    failed = counts.total - counts.completed if batch.status == "expired" else counts.failed
    ended = {name: progress.ended_at if batch.status == status else None for status, name in ENDED_AT.items()}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": details.endpoint,
        "model": progress.model,
        "errors": _errors(progress),
        "input_file_id": details.input_file_id,
        "completion_window": details.window,
        "status": batch.status,
        "output_file_id": progress.output_file_id,
        "error_file_id": progress.error_file_id,
        "created_at": batch.created_at,
        "in_progress_at": progress.in_progress_at,
        "expires_at": batch.expires_at,
        "finalizing_at": progress.finalizing_at,
        **ended,
        "cancelling_at": batch.cancelling_at,
        "request_counts": {"total": counts.total, "completed": counts.completed, "failed": failed},
        "usage": _usage(counts),
        "metadata": Raw(details.metadata),
    }


def _errors(progress: BatchProgress) -> dict[str, object] | None:
    return {"object": "list", "data": list(progress.errors)} if progress.errors else None


def _usage(counts: BatchCounts) -> dict[str, object]:
    return {
        "input_tokens": counts.input_tokens,
        "input_tokens_details": {"cached_tokens": counts.cached_tokens},
        "output_tokens": counts.output_tokens,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning_tokens},
        "total_tokens": counts.input_tokens + counts.output_tokens,
    }


def add_batches(router: RouteTable, routes: BatchRoutes) -> None:
    """Register `/batches`."""
    router.add("POST", "/batches", routes.create)
    router.add("GET", "/batches", routes.list)
    router.add("GET", "/batches/{id}", routes.read)
    router.add("POST", "/batches/{id}/cancel", routes.cancel)
