"""`/v1/batches`: create, list, read, cancel (Batch API)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Raw
from msgspec.structs import replace

from antiphon.access.caller import Caller
from antiphon.core.json_encoding import to_json
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest, NotFound
from antiphon.server.api.files import LONGEST, SHORTEST
from antiphon.server.api.paging import listing, page_query
from antiphon.server.batches.making import BatchParts, Wanted, check_endpoint, make
from antiphon.server.batches.work.base import BatchProgress, details_of, progress_of
from antiphon.server.http.messages import SMALL_BODY, Reply, Request, json_reply
from antiphon.server.http.router import BATCHING, READING, RouteTable
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
    "/v1/images/edits",
    "/v1/rerank",
]
"""Paths whose requests a batch may have: those of OpenAI's that this server has (not `/v1/videos`), and some that OpenAI has not.

Requests of a batch and their answers are JSON: routes that take only forms, or answer with sounds, are none.
"""

ENDPOINTS: tuple[str, ...] = get_args(Endpoint)

LOOKED_AT = 500
"""Batches that are read at a time for a key that may see some of them only."""

ENDED_AT = {"completed": "completed_at", "failed": "failed_at", "expired": "expired_at", "cancelled": "cancelled_at"}


class OutputExpiresAfter(msgspec.Struct, frozen=True, kw_only=True):
    """When the output and error files expire: so many seconds after they were made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=SHORTEST, le=LONGEST)]


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/batches`."""

    input_file_id: Id
    endpoint: str
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
        if body.endpoint not in ENDPOINTS:
            raise _no_endpoint(body.endpoint)
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
        found = await self._seen(request.caller, page)
        if found is None:
            param = "after" if query.after is not None else "before"
            raise InvalidRequest(f"Invalid '{param}': batch not found.", param=param)
        shown = found[: query.limit]
        data = [batch_object(batch) for batch in shown]
        return json_reply(listing(data, [batch.id for batch in shown], len(found) > query.limit))

    async def _seen(self, caller: Caller, page: ListPage) -> Sequence[StoredBatch] | None:
        """Return the batches of a page that the caller may see; what it may not see takes no place."""
        if caller.may(READING):
            return await self._batches.list(caller.owner, FRONT, page)
        found: list[StoredBatch] = []
        more = replace(page, limit=max(page.limit, LOOKED_AT))
        while len(found) < page.limit:
            batches = await self._batches.list(caller.owner, FRONT, more)
            if batches is None:
                return None
            found += [batch for batch in batches if self._may_see(caller, batch)]
            if len(batches) < more.limit:
                break
            more = replace(more, after=batches[-1].id)
        return found[: page.limit]

    def _may_see(self, caller: Caller, batch: StoredBatch) -> bool:
        """Tell whether a key may see a batch: where it may read all, or call the batch's endpoint."""
        route = self._parts.in_process.route(details_of(batch).endpoint)
        return caller.may(READING) or (route is not None and caller.may(route.scopes))

    async def _there(self, request: Request) -> StoredBatch:
        id = request.params["id"]
        batch = await self._batches.get(id, request.owner)
        if batch is None or batch.front != FRONT or not self._may_see(request.caller, batch):
            raise batch_not_found(id)
        return batch

    async def read(self, request: Request) -> Reply:
        """GET /v1/batches/{id}."""
        return json_reply(batch_object(await self._there(request)))

    async def cancel(self, request: Request) -> Reply:
        """POST /v1/batches/{id}/cancel: nothing more is asked; what is done is kept. One that has ended stays as it is."""
        id = (await self._there(request)).id
        batch = await self._batches.cancel(id, request.owner, int(self._parts.clock()))
        self._parts.machine.wake(id)
        if batch is None:
            raise batch_not_found(id)
        return json_reply(batch_object(batch))


def _no_endpoint(endpoint: str) -> InvalidRequest:
    """Return the 400 for an endpoint that batches have not."""
    return InvalidRequest(
        f"Invalid 'endpoint': '{endpoint[:100]}' takes no requests of batches, which are JSON; "
        f"those that do are {', '.join(ENDPOINTS)}.",
        param="endpoint",
    )


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
    router.add("POST", "/batches", routes.create, scopes=BATCHING)
    router.add("GET", "/batches", routes.list, scopes=BATCHING | READING)
    router.add("GET", "/batches/{id}", routes.read, scopes=BATCHING | READING)
    router.add("POST", "/batches/{id}/cancel", routes.cancel, scopes=BATCHING)
