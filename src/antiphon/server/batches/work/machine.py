"""Batches: the batches of this process: claimed by leases, worked on, given back. Another one takes up what a dead one left.

At any moment a process may die: an answer is one commit, and goes into the output file once. A request whose answer was not
kept is asked again; when that ends a process too, it is not asked a third time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from antiphon.errors import APIError
from antiphon.runtime.request_memory import Rooms
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.runtime.urgency import PATIENT
from antiphon.server.batches.work.answering import LineTerms
from antiphon.server.batches.work.base import BatchFront, Renew, Told
from antiphon.server.batches.work.worker import BatchHeart, BatchWorker, LinesMissing
from antiphon.stores.base import FenceError
from antiphon.stores.batch_records import BatchLease, StoredBatch
from antiphon.telemetry.prometheus import Samples

log = logging.getLogger("antiphon.server.batches.work")

POLL = 1.0
MOST_BETWEEN_BEATS = 2.0  # seconds; a beat also brings the client's wish to cancel
MOST_HELD = 16  # batches that a process works on
HELD_OF_OWNER = 4
AFTER_ERROR = 5.0  # seconds


class Batches:
    """The batches of one process. Belongs to one event loop; `close` gives back what it holds."""

    def __init__(
        self, terms: LineTerms, fronts: Mapping[str, BatchFront], renew: Renew, told: Told, rooms: Rooms
    ) -> None:
        self._terms = terms
        self._fronts = fronts
        self._renew = renew
        self._told = told
        self._rooms = rooms
        self._worker = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._working: dict[str, BatchWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._new = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._ended: Counter[str] = Counter()

    async def start(self) -> None:
        """Begin to claim batches."""
        self._poller = asyncio.create_task(self._poll())

    def wake(self, id: str = "") -> None:
        """Look for batches at once: one was made, or the batch `id` was cancelled."""
        self._new.set()
        if id in self._working:
            self._working[id].cancel_lines()

    async def close(self) -> None:
        """Stop; batches at work are left to other servers, or to the next start: what was asked is asked again."""
        tasks = [task for task in (self._poller, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def samples(self) -> Iterable[Samples]:
        """Return the families of `/metrics` as they are now."""
        yield Samples("antiphon_batches_running", "Batches that this process works on.", (), {(): len(self._working)})
        yield Samples(
            "antiphon_batches_total",
            "Batches that have ended in this process, by how.",
            ("status",),
            {(status,): number for status, number in self._ended.items()},
        )

    # Work

    async def _poll(self) -> None:
        while True:
            self._new.clear()
            pause = POLL
            try:
                while len(self._working) < MOST_HELD and (lease := await self._claim()):
                    self._begin(lease)
            except APIError:
                log.debug("batches: the store is unavailable")
            except Exception:
                unexpected("batch", log, "batches: looking for work failed")
                pause = AFTER_ERROR
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._new.wait()

    async def _claim(self) -> BatchLease | None:
        bounds, now = self._terms.bounds, self._terms.clock()
        return await self._terms.store.batches.claim(self._worker, now, bounds.lease, self._crowded())

    def _crowded(self) -> Sequence[str]:
        """Return the owners of whom no more batches are worked on here."""
        held = Counter(worker.lease.batch.owner for worker in self._working.values())
        return [owner for owner, number in held.items() if number >= HELD_OF_OWNER]

    def _begin(self, lease: BatchLease) -> None:
        front = self._fronts[lease.batch.front]
        terms = msgspec.structs.replace(self._terms, front=front)
        worker = BatchWorker(terms, self._renew, self._ending, self._rooms, lease)
        self._working[lease.batch.id] = worker
        task = asyncio.create_task(self._work(worker, terms))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ending(self, event: str, batch: StoredBatch) -> None:
        self._ended[event.removeprefix("batch.")] += 1
        await self._told(event, batch)

    async def _work(self, worker: BatchWorker, terms: LineTerms) -> None:
        PATIENT.set(True)
        id = worker.lease.batch.id
        work = asyncio.create_task(worker.run())
        heart = BatchHeart(worker, work, terms, remote=terms.store.database.remote)
        beats = asyncio.create_task(heart.beat(min(MOST_BETWEEN_BEATS, terms.bounds.lease / 3)))
        pause = 0.0
        try:
            await asyncio.wait((work,))
            await work
            return
        except FenceError:
            log.warning("batch %s: taken over by another server, or deleted", id)
            return
        except LinesMissing:
            pass
        except APIError as error:  # the store is away, which its own log line tells
            log.warning("batch %s: paused, retried later: %s", id, error)
            pause = AFTER_ERROR
        except asyncio.CancelledError:
            if heart.lost:
                log.warning("batch %s: taken over by another server", id)
                return
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await self._release(worker)
            raise
        except Exception:
            unexpected("batch", log, "batch %s: failed, is tried again later", id)
            pause = AFTER_ERROR
        finally:
            beats.cancel()
            self._working.pop(id, None)
            self._new.set()
        try:
            await asyncio.sleep(pause)
        finally:
            await self._release(worker)
            self._new.set()

    async def _release(self, worker: BatchWorker) -> None:
        with contextlib.suppress(FenceError, APIError):
            await self._terms.store.batches.release(worker.lease)
