"""Background work and its event log."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.base import FenceError
from antiphon.stores.postgres import responses
from antiphon.stores.postgres.database import Database
from antiphon.stores.postgres.sql import escape, queries, unescape
from antiphon.stores.records import Job, LoggedEvent, StoredResponse

SQL = queries("jobs")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants a job, which one (None: any; `clean`: none of whose holders fell silent), and until when.

    Jobs of the owners in `without` are passed over.
    """

    worker: str
    now: float
    lease_until: float
    id: str | None
    clean: bool = False
    without: Sequence[str] = ()


def _arrays(events: Sequence[LoggedEvent]) -> dict[str, Any]:
    return {
        "numbers": [event.sequence_number for event in events],
        "types": [event.type for event in events],
        "bodies": [event.body for event in events],
    }


async def enqueue(
    database: Database,
    response: StoredResponse,
    request: bytes,
    events: Sequence[LoggedEvent],
    worker: str | None,
    lease_until: float,
) -> Job | None:
    """Insert a queued response with its job, for a worker or for nobody yet. Raises StoreConflict if the response has one."""
    times = 0 if worker is None else 1
    lease = {"worker": worker, "lease_until": None if worker is None else lease_until, "times": times}
    values = {**responses.values(response), "request": request, **_arrays(events), **lease}
    if not await database.value(SQL["enqueue"], **values):
        raise StoreConflict(response.id)
    job = Job(response_id=response.id, owner=response.owner, request=request, fence=times, attempts=times)
    return None if worker is None else job


async def claim(database: Database, wanted: Claim) -> Job | None:
    """Claim a job, or None; clean ones come first. One statement for both kinds could not read the jobs in their order."""
    parameters = msgspec.structs.asdict(wanted) | {"without": [escape(owner) for owner in wanted.without]}
    row = await database.row(SQL["claim"], **(parameters | {"clean": True}))
    if row is None and not wanted.clean:
        row = await database.row(SQL["claim"], **parameters)
    if row is None:
        return None
    response_id, owner, request, fence, attempts, cancelled, crashes = row
    return Job(
        response_id=unescape(response_id),
        owner=unescape(owner),
        request=request,
        fence=fence,
        attempts=attempts,
        cancelled=cancelled,
        crashes=crashes,
    )


async def release(database: Database, response_id: str, fence: int) -> None:
    """Give a job back. Raises FenceError if the lease was lost."""
    if await database.value(SQL["release"], response_id=response_id, fence=fence) is None:
        raise FenceError(response_id)


async def finish(database: Database, response_id: str, fence: int) -> None:
    """Remove a job. Raises FenceError. Where the answer to an earlier attempt was lost, its absence will do."""

    async def work(connection: Any, again: bool) -> bool:
        values = {"response_id": response_id, "fence": fence}
        query, known = SQL["finish"], SQL["known"]
        if await connection.fetchval(query.text, *query.arguments(values)) is not None:
            return True
        return again and await connection.fetchval(known.text, *known.arguments(values)) is None

    if not await database.run(work):
        raise FenceError(response_id)


async def cancel(database: Database, response_id: str, owner: str) -> bool:
    """Note the wish to cancel, and tell all servers."""
    return await database.row(SQL["cancel"], response_id=response_id, owner=owner) is not None


def append_values(
    response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None
) -> dict[str, Any]:
    """Return the parameters of an append."""
    return {"response_id": response_id, "fence": fence, "checkpoint": checkpoint, **_arrays(events)}


def rising(events: Sequence[LoggedEvent]) -> bool:
    """Tell whether each event's number is above the one before it."""
    return all(before.sequence_number < event.sequence_number for before, event in pairwise(events))


async def events(database: Database, response_id: str, owner: str, after: int, limit: int) -> list[LoggedEvent]:
    """Return logged events in order."""
    rows = await database.rows(SQL["events"], response_id=response_id, owner=owner, after=after, limit=limit)
    return [LoggedEvent(*row) for row in rows]


async def checkpoint(database: Database, response_id: str) -> bytes | None:
    """Return the checkpoint of a job."""
    body: bytes | None = await database.value(SQL["checkpoint"], response_id=response_id)
    return body
