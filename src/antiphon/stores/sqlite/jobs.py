"""SQLiteJobs: background work and its event log. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from sqlite3 import Connection

import msgspec

from antiphon.errors import StoreConflict, StoreError
from antiphon.stores.base import FenceError
from antiphon.stores.nouns.jobs import PolledJobs
from antiphon.stores.records import EventBatch, Job, LoggedEvent
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("jobs")

_index = msgspec.json.Decoder(list[tuple[int, str, int]])


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim: the worker, the wanted job (`id` None: any; `clean`: only jobs without crashes), and the end of the lease.

    `without` is a JSON array of owners whose jobs are passed over. `due`: only jobs that are; `busy`: such owners' alone.
    """

    worker: str
    now: float
    lease_until: float
    id: str | None
    clean: bool = False
    without: str = "[]"
    due: bool = False
    busy: str = "[]"


def owners(names: Sequence[str]) -> str:
    """Return owners as a JSON array, for a statement."""
    return msgspec.json.encode(names).decode()


def insert(connection: Connection, response_id: str, owner: str, request: bytes, due: float) -> int:
    """Insert a job; return its number. Raises StoreConflict if the response has one."""
    if connection.execute(SQL["number"], {"response_id": response_id}).fetchall():
        raise StoreConflict(response_id)
    rows = connection.execute(SQL["insert"], {"response_id": response_id, "owner": owner, "due": due}).fetchall()
    job: int = rows[0][0]
    connection.execute(SQL["insert_request"], {"job": job, "request": request})
    return job


def waiting(connection: Connection, claim: Claim) -> bool:
    """Tell whether there is anything to claim."""
    return bool(connection.execute(SQL["waiting"], msgspec.structs.asdict(claim)).fetchall())


def take(connection: Connection, claim: Claim) -> Job | None:
    """Claim a job, or None."""
    for number, response_id, owner, fence, attempts, cancelled, crashes in connection.execute(
        SQL["claim"], msgspec.structs.asdict(claim)
    ).fetchall():
        return Job(
            response_id=response_id,
            owner=owner,
            request=connection.execute(SQL["request"], {"job": number}).fetchall()[0][0],
            fence=fence,
            attempts=attempts,
            cancelled=bool(cancelled),
            crashes=crashes,
        )
    return None


def held(connection: Connection, response_id: str, fence: int) -> int:
    """Return the job's number. Raises FenceError if the lease was lost."""
    for (number,) in connection.execute(SQL["held"], {"response_id": response_id, "fence": fence}).fetchall():
        return int(number)
    raise FenceError(response_id)


def heartbeat(connection: Connection, response_id: str, fence: int, lease_until: float) -> bool:
    """Extend the lease; tell whether cancellation was asked for."""
    parameters = {"response_id": response_id, "fence": fence, "lease_until": lease_until}
    for (cancelled,) in connection.execute(SQL["heartbeat"], parameters).fetchall():
        return bool(cancelled)
    raise FenceError(response_id)


def release(connection: Connection, response_id: str, fence: int) -> None:
    """Give a job back. Raises FenceError if the lease was lost."""
    if not connection.execute(SQL["release"], {"response_id": response_id, "fence": fence}).fetchall():
        raise FenceError(response_id)


def finish(connection: Connection, response_id: str, fence: int, events_until: int | None = None) -> None:
    """Remove a job."""
    _remove_job(connection, held(connection, response_id, fence))
    if events_until is not None:
        connection.execute(SQL["keep_events_until"], {"response_id": response_id, "expires_at": events_until})


def purge_events(connection: Connection, now: int, limit: int) -> int:
    """Delete up to `limit` event logs that have expired; return how many."""
    rows = connection.execute(SQL["expired_events"], {"now": now, "limit": limit}).fetchall()
    for (response,) in rows:
        for name in ("remove_events", "forget_expiry"):
            connection.execute(SQL[name], {"response": response})
    return len(rows)


def cancel(connection: Connection, response_id: str, owner: str) -> bool:
    """Mark a job as cancelled."""
    return bool(connection.execute(SQL["cancel"], {"response_id": response_id, "owner": owner}).fetchall())


def append(
    connection: Connection, response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None = None
) -> None:
    """Append events and replace the checkpoint. Raises FenceError, and StoreConflict where a number does not rise."""
    found = connection.execute(SQL["log_end"], {"response_id": response_id, "fence": fence}).fetchall()
    if not found:
        raise FenceError(response_id)
    job, response, last = found[0]
    for event in events:
        if event.sequence_number <= last:
            raise StoreConflict(f"Event {event.sequence_number} comes after event {last}.")
        last = event.sequence_number
    if events:
        connection.execute(SQL["insert_events"], {"response": response, "last": last, "events": pack(events)})
    if checkpoint is not None:
        connection.execute(SQL["save_checkpoint"], {"job": job, "body": checkpoint})


def append_batches(connection: Connection, batches: Sequence[EventBatch]) -> list[Exception | None]:
    """Append the events of several responses; return for each batch its error, or None if it was written."""
    refusals: list[Exception | None] = []
    for batch in batches:
        try:
            append(connection, batch.response_id, batch.fence, batch.events)
            refusals.append(None)
        except StoreError as error:  # raised before anything of the batch is written
            refusals.append(error)
    return refusals


def pack(events: Sequence[LoggedEvent]) -> bytes:
    """Return events as one piece: a line of JSON, `[[sequence_number, type, bytes], …]`, then their bodies as they are."""
    index = [(event.sequence_number, event.type, len(event.body)) for event in events]
    return b"%b\n%b" % (msgspec.json.encode(index), b"".join([event.body for event in events]))


def unpack(batch: bytes) -> list[LoggedEvent]:
    """Return the events of one piece."""
    index, _, bodies = batch.partition(b"\n")
    events: list[LoggedEvent] = []
    start = 0
    for number, type, size in _index.decode(index):
        events.append(LoggedEvent(number, type, bodies[start : start + size]))
        start += size
    return events


def events(connection: Connection, response_id: str, owner: str, after: int, limit: int) -> list[LoggedEvent]:
    """Return logged events in order."""
    parameters = {"response_id": response_id, "owner": owner, "after": after}
    found: list[LoggedEvent] = []
    with closing(connection.execute(SQL["events"], parameters)) as rows:
        for (batch,) in rows:
            found += [event for event in unpack(batch) if event.sequence_number > after]
            if len(found) >= limit:
                break
    return found[:limit]


def checkpoint(connection: Connection, response_id: str) -> bytes | None:
    """Return the checkpoint of a job."""
    for (body,) in connection.execute(SQL["checkpoint"], {"response_id": response_id}).fetchall():
        return bytes(body)
    return None


def remove(connection: Connection, response_id: str, rowid: int) -> None:
    """Remove all traces of background work on a response."""
    for (job,) in connection.execute(SQL["number"], {"response_id": response_id}).fetchall():
        _remove_job(connection, job)
    connection.execute(SQL["remove_events"], {"response": rowid})


def _remove_job(connection: Connection, job: int) -> None:
    for name in ("remove_request", "remove_checkpoint", "remove"):
        connection.execute(SQL[name], {"job": job})


class SQLiteJobs(PolledJobs):
    """Background work in an SQLite file, shared by processes."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge_events)

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
        claim = Claim(
            worker=worker,
            now=now,
            lease_until=now + lease,
            id=id,
            clean=clean,
            without=owners(without),
            due=due,
            busy=owners(busy),
        )
        if not self._database.read(waiting, claim):
            return None
        return await self._writer.submit(lambda connection: take(connection, claim))

    async def heartbeat(self, response_id: str, fence: int, now: float, lease: float) -> bool:
        return await self._writer.submit(lambda connection: heartbeat(connection, response_id, fence, now + lease))

    async def release(self, response_id: str, fence: int) -> None:
        await self._writer.submit(lambda connection: release(connection, response_id, fence))

    async def finish(self, response_id: str, fence: int, events_until: int | None = None) -> None:
        await self._writer.submit(lambda connection: finish(connection, response_id, fence, events_until))

    async def cancel(self, response_id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: cancel(connection, response_id, owner))

    async def append_events(
        self, response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None = None
    ) -> None:
        await self._writer.submit(lambda connection: append(connection, response_id, fence, events, checkpoint))

    async def append_batches(self, batches: Sequence[EventBatch]) -> Sequence[Exception | None]:
        return await self._writer.submit(lambda connection: append_batches(connection, batches))

    async def events(self, response_id: str, owner: str, after: int = -1, limit: int = 1000) -> Sequence[LoggedEvent]:
        return self._database.read(events, response_id, owner, after, limit)

    async def checkpoint(self, response_id: str) -> bytes | None:
        return self._database.read(checkpoint, response_id)
