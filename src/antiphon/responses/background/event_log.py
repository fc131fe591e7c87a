"""The event log of a background response: written in batches, followed from any number on.

A follower gets an event only after its commit, so that delivered events survive a crash of the server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic

from antiphon.core.stream.resume import TERMINAL
from antiphon.errors import APIError, StoreError
from antiphon.stores.base import FenceError, JobStore, Store
from antiphon.stores.records import EventBatch, LoggedEvent
from antiphon.types.events import Event

logger = logging.getLogger("antiphon.responses.background")

FLUSH_INTERVAL = 0.05  # seconds that a token may wait for others to be committed with it
PER_LOG = 0.001  # the same for each response that is written: it has pages of its own, however little is new
LONGEST_INTERVAL = 0.15
FLUSH_PAUSE = 0.5  # seconds after a commit that failed, as the store was away
AT_ONCE = 500  # events that a follower is given out of memory
LOOK_INTERVAL = 1.0  # seconds after which a follower of another process looks again, told or not
DAY = 86_400.0
WORKING = ("queued", "in_progress")


def logged(events: Sequence[Event], first: int) -> list[LoggedEvent]:
    """Number events as they stand in the log."""
    return [LoggedEvent(first + index, event.type, event.body) for index, event in enumerate(events)]


def kept_until(event_days: float, now: float) -> int | None:
    """Return when the events of a response that ends now are deleted; None: with the response."""
    return int(now + event_days * DAY) if event_days else None


class Beat:
    """Commits the pending events of all logs of this process in one transaction, at intervals."""

    def __init__(self, jobs: JobStore) -> None:
        self.jobs = jobs
        self._waiting: dict[EventLog, None] = {}
        self._task: asyncio.Task[None] | None = None

    def join(self, log: EventLog) -> None:
        """Add a log to the batch: it is committed at once if no commit is under way, else with the next one."""
        self._waiting[log] = None
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def leave(self, log: EventLog) -> None:
        """Remove a log from the batch; it commits its rest itself."""
        self._waiting.pop(log, None)

    async def _run(self) -> None:
        try:
            while self._waiting:
                interval = min(LONGEST_INTERVAL, max(FLUSH_INTERVAL, PER_LOG * len(self._waiting)))
                pause = await self._commit()
                await asyncio.sleep(pause or interval - monotonic() % interval)
        finally:
            self._task = None

    async def _commit(self) -> float:
        """Commit the batch. Returns the seconds until the next commit, 0 for the usual interval."""
        # One that commits something itself at the moment has its turn with the next beat.
        logs = [log for log in self._waiting if not log.writing.locked()]
        if not logs:
            return 0.0
        for log in logs:
            del self._waiting[log]
            await log.writing.acquire()  # nobody has it: this does not wait
        batches = [log.take() for log in logs]
        refusals: Sequence[Exception | None]
        try:
            refusals = await self.jobs.append_batches(batches)
        except Exception as error:
            if not isinstance(error, APIError):
                logger.exception("background responses: storing events failed")
            refusals = [error] * len(logs)
        finally:
            for log in logs:
                log.writing.release()
        pause = 0.0
        for log, batch, refusal in zip(logs, batches, refusals, strict=True):
            log.settle(batch.events, refusal)
            if refusal is not None and not isinstance(refusal, StoreError) and not log.ended:
                self._waiting[log] = None  # the store is away
                pause = FLUSH_PAUSE
        return pause


class EventLog:
    """The event log of a running response: a Sink that commits Events and wakes followers."""

    def __init__(self, beat: Beat, response_id: str, fence: int, first: int) -> None:
        self.first = first
        self.lost = False
        self.ended = False
        self.committed: list[LoggedEvent] = []
        self.writing = asyncio.Lock()
        self._beat = beat
        self._response_id = response_id
        self._fence = fence
        self._next = first  # the number of the first that is pending
        self._pending: list[Event] = []
        self._news = asyncio.Event()

    def send(self, events: Sequence[Event]) -> bool:
        """Take events; they are committed with others within some milliseconds. Returns False when the job is lost."""
        if not self._pending:
            self._beat.join(self)
        self._pending += events
        return not self.lost

    async def drain(self) -> None:
        """Return at once: the log has no limit. Raises FenceError if another worker has taken the job over."""
        if self.lost:
            raise FenceError(self._response_id)

    async def flush(self, checkpoint: bytes | None = None) -> None:
        """Commit the pending events, then publish them to followers. Raises FenceError."""
        async with self.writing:  # a commit under way ends first: its events are neither lost nor written twice
            batch = self.take()
            if not batch.events and checkpoint is None:
                return
            try:
                await self._beat.jobs.append_events(batch.response_id, batch.fence, batch.events, checkpoint)
            except Exception as error:
                self.settle(batch.events, error)
                raise
            self.settle(batch.events, None)

    def take(self) -> EventBatch:
        """Return the pending events. `settle` must follow, while `writing` is held or right after."""
        events = logged(self._pending, self._next)
        self._next += len(events)
        self._pending = []
        return EventBatch(self._response_id, self._fence, events)

    def settle(self, events: Sequence[LoggedEvent], refusal: Exception | None) -> None:
        """Publish committed events to followers; after a failed commit the events stay pending, unless the job is lost."""
        if refusal is None:
            self.committed.extend(events)
            self._wake()
        elif isinstance(refusal, FenceError):
            self.lost = True
        else:
            self._pending[:0] = [Event(event.type, event.body) for event in events]  # nothing is left out
            self._next -= len(events)
            level = logging.DEBUG if isinstance(refusal, APIError) else logging.WARNING  # the store tells of its outage
            logger.log(level, "response %s: storing events failed, will be retried: %s", self._response_id, refusal)

    async def close(self) -> None:
        """Commit the pending events and end the followers. Raises FenceError."""
        self._beat.leave(self)
        await self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Stop without a commit; followers read on in the store."""
        self._beat.leave(self)
        self.ended = True
        self._wake()

    async def more(self, seen: int) -> None:
        """Wait until more than `seen` events are committed, or the log has ended."""
        while len(self.committed) <= seen and not self.ended:
            await self._news.wait()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Follower:
    """Reads a log after event number `after`: from memory if this process writes it, else from the store."""

    def __init__(
        self,
        store: Store,
        response_id: str,
        owner: str,
        after: int,
        log: EventLog | None,
        find: Callable[[], EventLog | None] = lambda: None,
    ) -> None:
        """`find` returns the log if this process writes it by now."""
        self._store = store
        self._response_id = response_id
        self._owner = owner
        self._after = after
        self._log = log
        self._find = find
        self._done = False

    @property
    def seen(self) -> int:
        """The number of the last event that was returned, or the one that reading began behind."""
        return self._after

    async def next(self) -> Sequence[LoggedEvent]:
        """Return the next committed events, waiting for them; empty at the end."""
        while not self._done:
            events = await self._look()
            if events:
                self._after = events[-1].sequence_number
                self._done = events[-1].type in TERMINAL
                return events
        return ()

    async def _look(self) -> Sequence[LoggedEvent]:
        log = self._log = self._log or self._find()
        if log is not None and self._after + 1 >= log.first:
            seen = self._after + 1 - log.first
            await log.more(seen)
            if len(log.committed) > seen:
                return log.committed[seen : seen + AT_ONCE]
            self._log = None  # it ended without us: somebody else writes the rest
        events = await self._store.jobs.events(self._response_id, self._owner, self._after)
        if not events and (log is None or log.ended):  # one that has ended may still be found, and says nothing more
            await self._wait_elsewhere()
        return events

    async def _wait_elsewhere(self) -> None:
        """Wait for another process's events; a response that was deleted, or a number after the last event, is an end too."""
        told = await self._store.jobs.wait_for_events(self._response_id, self._after, LOOK_INTERVAL)
        if told:
            return
        stored = await self._store.responses.get(self._response_id, self._owner)
        self._done = stored is None or (stored.status not in WORKING and await self._log_has_ended())

    async def _log_has_ended(self) -> bool:
        """Tell whether the terminal event is logged and nothing is left to be read.

        It may follow the response's own commit by some milliseconds, and it may have come while this follower waited.
        """
        last, after = "", -1
        while events := await self._store.jobs.events(self._response_id, self._owner, after):
            last, after = events[-1].type, events[-1].sequence_number
        expired = not last  # the log begins before its response ends
        return expired or (last in TERMINAL and after <= self._after)
