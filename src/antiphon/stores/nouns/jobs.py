"""JobStore: what a database does with background work: jobs, their leases, event logs and checkpoints."""

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
    ) -> Job | None:
        """Take a job that nobody holds (queued, given back, or its lease ran out), with `id` that response's, or None.

        Clean ones come first, of whose holders none fell silent, the oldest of them; with `clean` no others.
        Those of the owners in `without` are passed over.
        The job's `fence` and `attempts` are raised by one, and `crashes` where its lease ran out. `lease` is in seconds.
        """
        ...

    async def release(self, response_id: str, fence: int) -> None:
        """Give a job back, for whoever claims it next. Raises FenceError if the lease was lost."""
        ...

    async def heartbeat(self, response_id: str, fence: int, now: float, lease: float) -> bool:
        """Extend a lease; returns whether the client asked for cancellation. Raises FenceError if it was lost."""
        ...

    async def finish(self, response_id: str, fence: int) -> None:
        """Remove a job: its response is terminal. Raises FenceError if the lease was lost."""
        ...

    async def cancel(self, response_id: str, owner: str) -> bool:
        """Note the client's wish to cancel; False where there is no such job."""
        ...

    def on_cancel(self, tell: Callable[[str], None]) -> None:
        """Call back with a response's id once any server notes a wish to cancel, where the store can tell at once.

        Where it cannot, the next heartbeat does. Called within the event loop.
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

        True tells that it has; False, that nothing is known: look whether the response is still there.
        """
        ...

    async def checkpoint(self, response_id: str) -> bytes | None:
        """Return the latest checkpoint."""
        ...


POLL_INTERVAL = 0.2  # seconds between looks at what another process writes


class PolledJobs:
    """What a JobStore does that hears nothing of other processes: its callers look again after a while."""

    def on_cancel(self, tell: Callable[[str], None]) -> None:
        """Do nothing: heartbeats tell."""

    async def wait_for_events(self, response_id: str, after: int, seconds: float) -> bool:
        """Wait for a while, knowing nothing."""
        await asyncio.sleep(min(seconds, POLL_INTERVAL))
        return False
