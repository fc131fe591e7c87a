"""The event log of a background response: written in batches, followed from any number on.

A follower sees an event only after its commit: what it has seen survives a crash of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from time import monotonic

from antiphon.core.resume import TERMINAL
from antiphon.errors import APIError
from antiphon.stores.base import FenceError, LoggedEvent, Store
from antiphon.types.events import Event

log = logging.getLogger("antiphon.live")

FLUSH_INTERVAL = 0.05  # seconds that a token may wait for others to be committed with it
FLUSH_PAUSE = 0.5  # seconds after a commit that failed, as the store was away
LOOK_INTERVAL = 1.0  # seconds after which a follower of another process looks again, told or not
WORKING = ("queued", "in_progress")


def logged(events: Sequence[Event], first: int) -> list[LoggedEvent]:
    """Number events as they stand in the log."""
    return [LoggedEvent(first + place, event.type, event.body) for place, event in enumerate(events)]


class EventLog:
    """The log as its writer has it: a Sink that commits, and wakes followers."""

    def __init__(self, store: Store, response_id: str, fence: int, first: int) -> None:
        self.first = first
        self.lost = False
        self.ended = False
        self.committed: list[LoggedEvent] = []
        self._store = store
        self._response_id = response_id
        self._fence = fence
        self._next = first
        self._pending: list[LoggedEvent] = []
        self._writing = asyncio.Lock()
        self._work = asyncio.Event()
        self._news = asyncio.Event()
        self._flusher = asyncio.create_task(self._flush_loop())

    def send(self, events: Sequence[Event]) -> bool:
        """Take events; they are committed with others within some milliseconds. Returns False when the job is lost."""
        self._pending.extend(logged(events, self._next))
        self._next += len(events)
        self._work.set()
        return not self.lost

    async def drain(self) -> None:
        """Never wait: the log has room. Raises FenceError when another worker has taken the job over."""
        if self.lost:
            raise FenceError(self._response_id)

    async def flush(self, checkpoint: bytes | None = None) -> None:
        """Commit what has come, then show it to followers. Raises FenceError."""
        async with self._writing:
            batch, self._pending = self._pending, []
            if not batch and checkpoint is None:
                return
            try:
                await self._store.append_events(self._response_id, self._fence, batch, checkpoint)
            except FenceError:
                self.lost = True
                raise
            except Exception:
                self._pending[:0] = batch  # nothing is left out: the next flush writes it too
                raise
            self.committed.extend(batch)
            self._wake()

    async def close(self) -> None:
        """Commit the rest and let the followers go. Raises FenceError."""
        async with self._writing:  # a commit under way ends first: its events are neither lost nor written twice
            self._flusher.cancel()
        await self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Stop without a further commit; followers look for the rest in the store."""
        self._flusher.cancel()
        self.ended = True
        self._wake()

    async def more(self, seen: int) -> None:
        """Wait until more than `seen` events are committed, or the log has ended."""
        while len(self.committed) <= seen and not self.ended:
            await self._news.wait()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _flush_loop(self) -> None:
        with contextlib.suppress(FenceError):
            while True:
                await self._work.wait()
                self._work.clear()
                await asyncio.sleep(await self._flush_or_wait())

    async def _flush_or_wait(self) -> float:
        """Flush; return how long to wait before the next time. Raises FenceError."""
        try:
            await self.flush()
        except APIError as error:
            log.warning("response %s: its events are not stored yet: %s", self._response_id, error.code)
            self._work.set()
            return FLUSH_PAUSE
        return _until_beat()


def _until_beat() -> float:
    """Return the seconds to the next flush: all logs of a process flush on one beat, so that they share commits."""
    return FLUSH_INTERVAL - monotonic() % FLUSH_INTERVAL


class Follower:
    """Reads a log from behind event `after`: out of memory where this process writes it, else out of the store."""

    def __init__(self, store: Store, response_id: str, owner: str, after: int, log: EventLog | None) -> None:
        self._store = store
        self._response_id = response_id
        self._owner = owner
        self._after = after
        self._log = log
        self._done = False

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
        log = self._log
        if log is not None and self._after + 1 >= log.first:
            seen = self._after + 1 - log.first
            await log.more(seen)
            if len(log.committed) > seen:
                return log.committed[seen:]
            self._log = None  # it ended without us: somebody else writes the rest
        events = await self._store.events(self._response_id, self._owner, self._after)
        if not events and log is None:
            await self._wait_elsewhere()
        return events

    async def _wait_elsewhere(self) -> None:
        """Wait for another process's events; a response that was deleted, or a place behind the last event, is an end too."""
        told = await self._store.wait_for_events(self._response_id, self._after, LOOK_INTERVAL)
        if told:
            return
        stored = await self._store.get(self._response_id, self._owner)
        self._done = stored is None or (stored.status not in WORKING and await self._log_has_ended())

    async def _log_has_ended(self) -> bool:
        """Tell whether the terminal event is logged and nothing is left to be read.

        It may follow the response's own commit by some milliseconds, and it may have come while this follower waited.
        """
        last, after = "", -1
        while events := await self._store.events(self._response_id, self._owner, after):
            last, after = events[-1].type, events[-1].sequence_number
        return last in TERMINAL and after <= self._after
