"""BatchMaker: makes and reads batches of one front; what all fronts have in common."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
from msgspec import Raw

from antiphon.access.caller import Caller
from antiphon.core.json_encoding import to_json
from antiphon.errors import APIError, InvalidRequest
from antiphon.server.api.files import file_not_found
from antiphon.server.api.incoming import Incoming
from antiphon.server.batches.in_process import InProcess
from antiphon.server.batches.work.base import BatchDetails
from antiphon.server.batches.work.machine import Batches
from antiphon.stores.base import Store
from antiphon.stores.batch_records import StoredBatch

WINDOWS = {"24h": int(timedelta(hours=24).total_seconds())}
"""Seconds of a completion window."""


class BatchParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the handlers of all fronts work with. `most_open`: batches of an owner that have not ended."""

    store: Store
    incoming: Incoming
    machine: Batches
    in_process: InProcess
    clock: Callable[[], float]
    new_id_base: Callable[[], str]
    most_open: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is to be made."""

    front: str
    prefix: str
    endpoint: str
    input_file_id: str
    window: str = "24h"
    metadata: bytes = b"null"
    output_seconds: int | None = None
    requests: int = 0


def check_endpoint(parts: BatchParts, endpoint: str, caller: Caller) -> None:
    """Refuse an endpoint that there is not, or that the caller may not call. Raises APIError 400 or 403."""
    route = parts.in_process.route(endpoint)
    if route is None:
        raise InvalidRequest(f"Invalid 'endpoint': this server has no '{endpoint}'.", param="endpoint")
    if not caller.may(route.scopes):
        raise APIError(403, f"The API key may not call {endpoint}.", code="insufficient_scope")


async def make(parts: BatchParts, wanted: Wanted, caller: Caller) -> StoredBatch:
    """Make a batch. Raises APIError: 404 without its file, 400 without room for its output, 429 for too many."""
    now = int(parts.clock())
    file = await parts.store.files.get(wanted.input_file_id, caller.owner, now)
    if file is None:
        raise file_not_found(wanted.input_file_id, "input_file_id")
    if file.purpose != "batch":
        raise InvalidRequest(
            "Invalid 'input_file_id': the file must be uploaded with the purpose 'batch'.", param="input_file_id"
        )
    if await parts.incoming.room(caller.owner) <= 0:
        raise parts.incoming.full()
    details = BatchDetails(
        endpoint=wanted.endpoint,
        input_file_id=file.id,
        window=wanted.window,
        output_file_id=f"file-{parts.new_id_base()}",
        error_file_id=f"file-{parts.new_id_base()}",
        caller=caller,
        metadata=Raw(wanted.metadata),
        output_seconds=wanted.output_seconds,
        requests=wanted.requests,
    )
    batch = StoredBatch(
        id=f"{wanted.prefix}_{parts.new_id_base()}",
        owner=caller.owner,
        front=wanted.front,
        created_at=now,
        expires_at=now + WINDOWS[wanted.window],
        details=to_json(details),
    )
    if not await parts.store.batches.create(batch, parts.most_open):
        raise APIError(
            429,
            f"Too many batches: at most {parts.most_open} that have not ended are allowed (batches_per_owner).",
            code="rate_limit_exceeded",
            headers={"retry-after": "60"},
        )
    parts.machine.wake()
    return batch
