"""PostgresJobs: background work and its event log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from antiphon.errors import APIError, StoreConflict
from antiphon.stores.base import FenceError
from antiphon.stores.postgres.connection.batcher import Batcher
from antiphon.stores.postgres.postgres_database import PURGE_GROUP, PostgresDatabase, Values
from antiphon.stores.postgres.sql import escape, queries, unescape
from antiphon.stores.records import EventBatch, Job, LoggedEvent

SQL = queries("jobs")

_IN_TURN = ((True, True), (True, False), (False, True), (False, False))
"""Which jobs are looked for, one kind after another: those that are due, those without crashes."""


class PostgresJobs:
    """Background work in a database; servers notify each other of events and cancels (NOTIFY)."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        self._listener = database.listener
        self._appends: Batcher[Values, str] = database.batcher(SQL["append"], "response_id")
        self._beats: Batcher[Values, bool | None] = database.batcher(SQL["heartbeat"], "response_id")
        self._uncertain: set[str] = set()  # responses with an append that may have been committed
        database.expires(self._purge_events)

    async def claim(
        self,
        worker: str,
        now: float,
        lease: float,
        id: str | None = None,
        *,
        clean: bool = False,
        without: Sequence[str] = (),
        due: bool = False,
        busy: Sequence[str] = (),
    ) -> Job | None:
        parameters: dict[str, Any] = {
            "worker": worker,
            "now": now,
            "lease_until": now + lease,
            "id": id,
            "without": [escape(owner) for owner in without],
            "busy": [escape(owner) for owner in busy],
        }
        row = None
        for only_due, only_clean in _IN_TURN:  # one statement for all kinds could not read the jobs in their order
            if row is None and (only_due or not due) and (only_clean or not clean):
                row = await self._pool.row(SQL["claim"], **parameters, due=only_due, clean=only_clean)
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

    async def release(self, response_id: str, fence: int) -> None:
        if await self._pool.value(SQL["release"], response_id=response_id, fence=fence) is None:
            raise FenceError(response_id)

    async def heartbeat(self, response_id: str, fence: int, now: float, lease: float) -> bool:
        values = {"response_id": response_id, "fence": fence, "lease_until": now + lease}
        cancelled = await self._beats.submit(values)
        if cancelled is None:
            raise FenceError(response_id)
        return cancelled

    async def finish(self, response_id: str, fence: int, events_until: int | None = None) -> None:
        """Remove a job. Where the answer to an earlier attempt was lost, its absence will do."""

        async def work(connection: Any, again: bool) -> bool:
            values = {"response_id": response_id, "fence": fence, "events_until": events_until}
            query, known = SQL["finish"], SQL["known"]
            if await connection.fetchval(query.text, *query.arguments(values)) is not None:
                return True
            return again and await connection.fetchval(known.text, *known.arguments(values)) is None

        if not await self._pool.run(work):
            raise FenceError(response_id)

    async def cancel(self, response_id: str, owner: str) -> bool:
        return await self._pool.row(SQL["cancel"], response_id=response_id, owner=owner) is not None

    def on_cancel(self, tell: Callable[[str], None]) -> None:
        self._listener.on_cancel(tell)

    async def append_events(
        self, response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None = None
    ) -> None:
        orderly = _rising(events)
        values = _append_values(response_id, fence, events, checkpoint)
        refusal = await self._append(values if orderly else _append_values(response_id, fence, (), None))
        if refusal == "fence":
            raise FenceError(response_id)
        if refusal or not orderly:
            raise StoreConflict("An event's number is not above those before it.")

    async def append_batches(self, batches: Sequence[EventBatch]) -> Sequence[Exception | None]:
        async def append(batch: EventBatch) -> Exception | None:
            try:
                await self.append_events(batch.response_id, batch.fence, batch.events)
            except Exception as error:
                return error
            return None

        return await asyncio.gather(*map(append, batches))  # they meet again in one statement (`_appends`)

    async def events(self, response_id: str, owner: str, after: int = -1, limit: int = 1000) -> Sequence[LoggedEvent]:
        rows = await self._pool.rows(SQL["events"], response_id=response_id, owner=owner, after=after, limit=limit)
        return [LoggedEvent(*row) for row in rows]

    async def wait_for_events(self, response_id: str, after: int, seconds: float) -> bool:
        return await self._listener.wait(response_id, after, seconds)

    async def checkpoint(self, response_id: str) -> bytes | None:
        body: bytes | None = await self._pool.value(SQL["checkpoint"], response_id=response_id)
        return body

    async def _purge_events(self, now: int) -> int:
        """Delete event logs that have expired; return how many."""
        return int(await self._pool.value(SQL["expired_events"], now=now, limit=PURGE_GROUP))

    async def _append(self, values: Values) -> str:
        id = values["response_id"]
        try:
            refusal = await self._appends.submit({**values, "again": id in self._uncertain})
        except APIError:
            self._uncertain.add(id)
            raise
        self._uncertain.discard(id)
        return refusal


def event_arrays(events: Sequence[LoggedEvent]) -> dict[str, Any]:
    """Return events as parameters."""
    return {
        "numbers": [event.sequence_number for event in events],
        "types": [event.type for event in events],
        "bodies": [event.body for event in events],
    }


def _append_values(
    response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None
) -> dict[str, Any]:
    return {"response_id": response_id, "fence": fence, "checkpoint": checkpoint, **event_arrays(events)}


def _rising(events: Sequence[LoggedEvent]) -> bool:
    """Tell whether each event's number is above the one before it."""
    return all(before.sequence_number < event.sequence_number for before, event in pairwise(events))
