"""WriterThread: the one thread that writes, with group commit.

Waiting writes go into one transaction; one call into the event loop completes all of their futures.
The thread is woken only when it sleeps; while it works, enqueueing costs a list append.
Between two groups, and once a second where there are none, it looks after the file: see `keeper`.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from asyncio import AbstractEventLoop, Future
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from sqlite3 import Connection
from threading import Thread
from time import monotonic
from typing import Any, TypeVar

import msgspec

from antiphon.errors import AntiphonError
from antiphon.stores.condition import unavailable
from antiphon.stores.sqlite.disk.keeper import Keeper

T = TypeVar("T")

GROUP = 200
SCRUB_SECONDS = 1.0  # deleted text is out of the write-ahead log after this time

log = logging.getLogger("antiphon.stores.sqlite.disk")


class Write(msgspec.Struct, frozen=True):
    """A caller's operation and its future. `erases`: it deletes text."""

    operation: Callable[[Connection], Any]
    future: Future[Any]
    erases: bool


class Outcome(msgspec.Struct, frozen=True):
    """Result or exception of a Write."""

    future: Future[Any]
    value: Any
    error: Exception | None


class TornError(AntiphonError):
    """An operation failed after it had written something."""


class WriterThread:
    """Runs operations on the keeper's writing connection."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._closing = False
        self._scrub_at: float | None = None
        self._thread = Thread(target=self._run, name="antiphon-store", daemon=True)
        self._thread.start()

    def submit(self, operation: Callable[[Connection], T], *, erases: bool = False) -> Future[T]:
        """Enqueue; the future is done after the commit.

        An operation may run twice (its transaction is rolled back in between): it touches nothing but the database.
        Its exception is the future's, and undoes what it wrote, but not what its neighbours wrote. Where the file, the
        disk or another program is at fault, it is APIError 503.
        """
        if self._closing:
            raise RuntimeError("The store is closed.")
        future: Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(Write(operation, future, erases))
        return future

    async def close(self) -> None:
        """Run the waiting writes and close the connection."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # In the thread

    def _run(self) -> None:
        open = True
        while open:
            tasks = self._next_tasks()
            if None in tasks:
                open = False
            try:
                self._work([task for task in tasks if task is not None])
                if self._scrub_at is not None and monotonic() >= self._scrub_at:
                    self._scrub()
                self._keeper.look()
            except Exception:  # nobody else would write from then on
                log.exception("store: writer failed")
                _hand_over([Outcome(task.future, None, unavailable()) for task in tasks if task is not None])
        self._scrub()
        self._keeper.connection.close()

    def _next_tasks(self) -> list[Write | None]:
        """Wait for a task (or until it is time to scrub, or to look after the file) and take all that have come."""
        tasks: list[Write | None] = []
        at = self._keeper.look_at if self._scrub_at is None else min(self._scrub_at, self._keeper.look_at)
        with suppress(Empty):
            tasks.append(self._queue.get(timeout=max(0.001, at - monotonic())))
            while len(tasks) < GROUP:
                tasks.append(self._queue.get_nowait())
        return tasks

    def _work(self, tasks: Sequence[Write]) -> None:
        if not tasks:
            return
        outcomes = self._transact(tasks)
        if self._scrub_at is None and any(task.erases for task in tasks):
            self._scrub_at = monotonic() + SCRUB_SECONDS
        _hand_over(outcomes)

    def _transact(self, tasks: Sequence[Write]) -> list[Outcome]:
        connection = self._keeper.connection
        try:
            self._keeper.begin()
        except Exception as error:
            return [Outcome(task.future, None, self._keeper.told(error)) for task in tasks]
        try:
            outcomes = [self._attempt(task) for task in tasks]
            connection.execute("COMMIT")
            return outcomes
        except (TornError, sqlite3.Error) as error:
            if connection.in_transaction:
                with suppress(sqlite3.Error):  # what failed before fails here too; the next BEGIN tells
                    connection.execute("ROLLBACK")
            cause = error.__cause__ if isinstance(error, TornError) else error
            assert isinstance(cause, Exception)
            if len(tasks) == 1:
                return [Outcome(tasks[0].future, None, self._keeper.told(cause))]
        return [outcome for task in tasks for outcome in self._transact([task])]

    def _attempt(self, task: Write) -> Outcome:
        """Run one operation. Raises TornError if it failed after a write."""
        connection = self._keeper.connection
        before = connection.total_changes
        try:
            return Outcome(task.future, task.operation(connection), None)
        except Exception as error:
            if connection.total_changes != before or not connection.in_transaction:
                raise TornError from error
            return Outcome(task.future, None, self._keeper.told(error))

    def _scrub(self) -> None:
        """Checkpoint and truncate the write-ahead log, so that deleted text is gone; a reader can delay that."""
        self._scrub_at = None if self._keeper.truncate() else monotonic() + SCRUB_SECONDS


def _hand_over(outcomes: Sequence[Outcome]) -> None:
    by_loop: defaultdict[AbstractEventLoop, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_loop[outcome.future.get_loop()].append(outcome)
    for loop, its in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, its)


def _settle(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        future = outcome.future
        if future.done():  # its caller was cancelled
            continue
        if outcome.error is None:
            future.set_result(outcome.value)
        else:
            future.set_exception(outcome.error)
