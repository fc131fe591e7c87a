"""JobStore: the operations on jobs of background responses, their leases, event logs and checkpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from antiphon.stores.records import EventBatch, Job, LoggedEvent


class JobStore(Protocol):
    """Jobs of background responses and the logs of their events. `responses.enqueue` inserts them."""

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
        """Claim a job that no worker holds (queued, released, or its lease expired), with `id` that response's, or return None.

        Jobs that are due come first; among them, and among the others, those without crashes; among these the one that is due
        first. With `clean` no job with crashes is claimed, with `due` none before it is due, nor one of the owners in `busy`.
        Those of the owners in `without` are passed over.
        The job's `fence` and `attempts` are raised by one, and `crashes` where its lease ran out. `lease` is in seconds.
        """
        ...

    async def release(self, response_id: str, fence: int) -> None:
        """Release a job, so that any worker can claim it. Raises FenceError if the lease was lost."""
        ...

    async def heartbeat(self, response_id: str, fence: int, now: float, lease: float) -> bool:
        """Extend a lease; returns whether the client asked for cancellation. Raises FenceError if it was lost."""
        ...

    async def finish(self, response_id: str, fence: int, events_until: int | None = None) -> None:
        """Remove a job: its response is terminal. Raises FenceError if the lease was lost.

        Its events are deleted at `events_until` (Unix time); None: with the response.
        """
        ...

    async def cancel(self, response_id: str, owner: str) -> bool:
        """Mark a job as cancelled by its client; False if there is no such job."""
        ...

    def on_cancel(self, tell: Callable[[str], None]) -> None:
        """Register a callback, called with the response's id when any server cancels a job, if the store can notify.

        Otherwise the next heartbeat reports it. The callback runs on the event loop.
        """
        ...

    async def append_events(
        self, response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None = None
    ) -> None:
        """Append to a background response's event log, with numbers that rise.

        `checkpoint` (JSON) replaces the state from which it can be taken up again; it goes with the job.
        Raises FenceError if the lease was lost, StoreConflict where a number is not above those logged.
        """
        ...

    async def append_batches(self, batches: Sequence[EventBatch]) -> Sequence[Exception | None]:
        """Append to several logs at once. Returns what `append_events` would have raised for each, None where it went well."""
        ...

    async def events(self, response_id: str, owner: str, after: int = -1, limit: int = 1000) -> Sequence[LoggedEvent]:
        """Return logged events with a number above `after`, in order."""
        ...

    async def wait_for_events(self, response_id: str, after: int, seconds: float) -> bool:
        """Wait until another server may have logged events above `after`, some `seconds` at most.

        Returns True if it has logged some; False if unknown: check whether the response still exists.
        """
        ...

    async def checkpoint(self, response_id: str) -> bytes | None:
        """Return the latest checkpoint."""
        ...


POLL_INTERVAL = 0.2  # seconds between looks at what another process writes


class PolledJobs:
    """Part of a JobStore without notifications between processes: callers poll."""

    def on_cancel(self, tell: Callable[[str], None]) -> None:
        """Do nothing: cancels are reported by heartbeats."""

    async def wait_for_events(self, response_id: str, after: int, seconds: float) -> bool:
        """Sleep, and return False."""
        await asyncio.sleep(min(seconds, POLL_INTERVAL))
        return False
