"""MemoryJobs: background work and its event log."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.errors import StoreConflict, StoreError
from antiphon.stores.base import FenceError
from antiphon.stores.condition import Census
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.nouns.jobs import PolledJobs
from antiphon.stores.records import EventBatch, Job, LoggedEvent, StoredResponse


class KeptJob(msgspec.Struct):
    """A job, its response's time of creation, when it is due, and its lease; None: no worker holds it."""

    job: Job
    created_at: int
    due: float
    lease_until: float | None = None
    checkpoint: bytes | None = None


class KeptLog(msgspec.Struct):
    """The events of a response; they stay when its job has ended, until they expire."""

    owner: str
    events: list[LoggedEvent]
    expires_at: int | None = None


def _suspect(kept: KeptJob) -> bool:
    """Tell whether a holder of a free job lost its lease without releasing it."""
    return kept.lease_until is not None or kept.job.crashes > 0


class MemoryJobs(PolledJobs):
    """Background work in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._jobs: dict[str, KeptJob] = {}
        self._logs: dict[str, KeptLog] = {}
        database.waits(self._waiting)
        database.expires(self._purge)

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
        free = [
            kept
            for kept in self._jobs.values()
            if (kept.lease_until is None or kept.lease_until <= now)
            and id in (None, kept.job.response_id)
            and kept.job.owner not in without
            and not (clean and _suspect(kept))
            and (kept.due <= now or not (due or kept.job.owner in busy))
        ]
        for kept in sorted(free, key=lambda kept: (kept.due > now, _suspect(kept), kept.due)):
            job, silent = kept.job, kept.lease_until is not None
            kept.lease_until = now + lease
            kept.job = msgspec.structs.replace(
                job, fence=job.fence + 1, attempts=job.attempts + 1, crashes=job.crashes + silent
            )
            return kept.job
        return None

    async def release(self, response_id: str, fence: int) -> None:
        self.held(response_id, fence).lease_until = None

    async def heartbeat(self, response_id: str, fence: int, now: float, lease: float) -> bool:
        kept = self.held(response_id, fence)
        kept.lease_until = now + lease
        return kept.job.cancelled

    async def finish(self, response_id: str, fence: int, events_until: int | None = None) -> None:
        self.held(response_id, fence)
        del self._jobs[response_id]
        if response_id in self._logs:
            self._logs[response_id].expires_at = events_until

    async def cancel(self, response_id: str, owner: str) -> bool:
        kept = self._jobs.get(response_id)
        if kept is None or kept.job.owner != owner:
            return False
        kept.job = msgspec.structs.replace(kept.job, cancelled=True)
        return True

    async def append_events(
        self, response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None = None
    ) -> None:
        kept = self.held(response_id, fence)
        self._log(response_id, kept.job.owner, events)
        if checkpoint is not None:
            kept.checkpoint = checkpoint

    async def append_batches(self, batches: Sequence[EventBatch]) -> Sequence[Exception | None]:
        refusals: list[Exception | None] = []
        for batch in batches:
            try:
                await self.append_events(batch.response_id, batch.fence, batch.events)
                refusals.append(None)
            except StoreError as error:
                refusals.append(error)
        return refusals

    async def events(self, response_id: str, owner: str, after: int = -1, limit: int = 1000) -> Sequence[LoggedEvent]:
        log = self._logs.get(response_id)
        if log is None or log.owner != owner:
            return []
        return [event for event in log.events if event.sequence_number > after][:limit]

    async def checkpoint(self, response_id: str) -> bytes | None:
        kept = self._jobs.get(response_id)
        return None if kept is None else kept.checkpoint

    # For responses, whose writes touch jobs

    def held(self, response_id: str, fence: int) -> KeptJob:
        """Return a job. Raises FenceError if the lease was lost."""
        kept = self._jobs.get(response_id)
        if kept is None or kept.job.fence != fence:
            raise FenceError(response_id)
        return kept

    def __contains__(self, response_id: str) -> bool:
        return response_id in self._jobs

    def insert(
        self,
        response: StoredResponse,
        request: bytes,
        events: Sequence[LoggedEvent],
        lease_until: float | None,
        due: float,
    ) -> Job:
        """Insert a job with its first events, claimed where there is a lease."""
        self._log(response.id, response.owner, events)
        times = 0 if lease_until is None else 1
        job = Job(response_id=response.id, owner=response.owner, request=request, fence=times, attempts=times)
        self._jobs[response.id] = KeptJob(job, response.created_at, due, lease_until)
        return job

    def remove(self, response_id: str) -> None:
        """Remove all traces of background work on a response."""
        self._jobs.pop(response_id, None)
        self._logs.pop(response_id, None)

    def _log(self, response_id: str, owner: str, events: Sequence[LoggedEvent]) -> None:
        log = self._logs.get(response_id) or KeptLog(owner, [])
        last = log.events[-1].sequence_number if log.events else -1
        for event in events:
            if event.sequence_number <= last:
                raise StoreConflict(f"Event {event.sequence_number} comes after event {last}.")
            last = event.sequence_number
        self._logs[response_id] = KeptLog(owner, [*log.events, *events])

    def _purge(self, now: int) -> int:
        gone = [id for id, log in self._logs.items() if log.expires_at is not None and log.expires_at <= now]
        for id in gone:
            del self._logs[id]
        return len(gone)

    def _waiting(self, now: float) -> Census:
        running = sum(kept.lease_until is not None and kept.lease_until > now for kept in self._jobs.values())
        oldest = max([now - kept.created_at for kept in self._jobs.values()], default=0.0)
        return Census(jobs_queued=len(self._jobs) - running, jobs_running=running, oldest_job=oldest)
