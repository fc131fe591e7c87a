"""BatchWorker: one batch that this process holds, from where it stands to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from msgspec.structs import replace

from antiphon.core.json_encoding import to_json
from antiphon.errors import AntiphonError, APIError
from antiphon.runtime.request_memory import HELD, Rooms
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.server.batches.work.answering import LineRuns, LineTerms
from antiphon.server.batches.work.base import (
    ENDED,
    BatchDetails,
    BatchProgress,
    Renew,
    Told,
    details_of,
    progress_of,
)
from antiphon.server.batches.work.checking import InputCheck
from antiphon.server.batches.work.output import write_outputs
from antiphon.stores.base import FenceError
from antiphon.stores.batch_records import BatchLease, StoredBatch

log = logging.getLogger("antiphon.server.batches.work")

MOST_CRASHES = 2  # servers that died while they checked a file, before it is given up
RENEWED = 30.0  # seconds after which the key of a batch is looked at again
DAY = 86_400


class LinesMissing(AntiphonError):
    """Lines were begun whose answers nobody waits for: the batch is to be claimed anew."""


class BatchWorker:
    """Works on a batch under a lease. `run` ends when nothing is left to do; cancelled, it leaves the batch to others."""

    def __init__(self, terms: LineTerms, renew: Renew, told: Told, rooms: Rooms, lease: BatchLease) -> None:
        self.lease = lease
        self._terms = terms
        self._store = terms.store
        self._renew = renew
        self._told = told
        self._rooms = rooms
        self._details: BatchDetails = details_of(lease.batch)
        self._progress: BatchProgress = progress_of(lease.batch)
        self._status = lease.batch.status
        self._runs: LineRuns | None = None

    async def run(self) -> None:
        """Bring the batch to its end. Raises FenceError, LinesMissing, and APIError where the store is away."""
        HELD.set(self._rooms.open(self.lease.batch.owner))
        while True:
            match self._status:
                case "validating":
                    await self._check()
                case "in_progress":
                    await self._answer()
                case "finalizing" | "cancelling":
                    await self._end()
                case _:
                    await self._settle()
                    return

    def cancel_lines(self) -> None:
        """Take note that a client cancels the batch."""
        if self._runs is not None:
            self._runs.stop()

    # Its stages

    async def _check(self) -> None:
        batch, details, bounds = self.lease.batch, self._details, self._terms.bounds
        check = InputCheck(
            self._terms.front, details.endpoint, bounds, lambda lines: self._store.batches.add_lines(self.lease, lines)
        )
        file = await self._store.files.get(details.input_file_id, batch.owner, self._terms.clock())
        if self.lease.crashes > MOST_CRASHES:
            check.fail("server_error", f"To read the file ended the server {self.lease.crashes} times.")
        elif file is None:
            check.fail("file_not_found", "The input file was deleted, or has expired.")
        elif file.size > bounds.size:
            check.fail("file_too_large", f"The input file has more than {bounds.size} bytes.")
        else:
            await self._store.batches.clear_lines(self.lease)
            await self._read(check)
        now = int(self._terms.clock())
        self._progress = replace(self._progress, model=check.model, errors=check.errors)
        if check.errors:
            self._progress = replace(self._progress, ended_at=now)
            await self._advance("validating", "failed", total=0)
        else:
            self._progress = replace(self._progress, in_progress_at=now)
            await self._advance("validating", "in_progress", total=check.total)

    async def _read(self, check: InputCheck) -> None:
        at = 0
        while not check.hopeless:
            piece = await self._store.files.content(
                self._details.input_file_id, self.lease.batch.owner, self._terms.clock(), at
            )
            if piece is None:
                check.fail("file_not_found", "The input file was deleted, or has expired.")
                return
            if not piece:
                await check.finish()
                return
            await check.feed(piece)
            at += len(piece)

    async def _answer(self) -> None:
        self._runs = runs = LineRuns(self._terms, self.lease, self._details)
        await self._renew_key(runs)
        renewing = asyncio.create_task(self._renew_forever(runs))
        try:
            await runs.run()
        finally:
            self._runs = None
            renewing.cancel()
        batch = await self._now()
        if batch.status == "cancelling":
            self._status = batch.status
            return
        counts = batch.counts
        expired = self._terms.clock() >= batch.expires_at
        missing = counts.completed + counts.failed < counts.total
        if missing and not expired:
            raise LinesMissing(batch.id)
        self._progress = replace(
            self._progress,
            ending="expired" if missing else "completed",
            finalizing_at=int(self._terms.clock()),
        )
        await self._advance("in_progress", "finalizing")

    async def _end(self) -> None:
        status = self._status
        ending = "cancelled" if status == "cancelling" else self._progress.ending
        made, failed = await write_outputs(
            self._store, self.lease, self._details, self._terms.front, ending, self._terms.clock
        )
        self._progress = replace(
            self._progress,
            ending=ending,
            ended_at=int(self._terms.clock()),
            output_file_id=self._details.output_file_id if made else None,
            error_file_id=self._details.error_file_id if failed else None,
        )
        await self._advance(status, ending)

    async def _settle(self) -> None:
        """Tell of the end, and forget the lines. Who dies in between tells it once more, as the same event."""
        await self._told(f"batch.{self._status}", self.lease.batch)
        await self._store.batches.settle(self.lease)

    async def _advance(self, expected: str, status: str, total: int | None = None) -> None:
        """Set the status, or take over the one that a client has set meanwhile."""
        days = self._terms.bounds.store_days
        keep_until = int(self._terms.clock() + days * DAY) if status in ENDED and days else None
        done = await self._store.batches.advance(
            self.lease, expected, status, to_json(self._progress), total=total, keep_until=keep_until
        )
        self._status = status if done else (await self._now()).status

    async def _now(self) -> StoredBatch:
        batch = await self._store.batches.get(self.lease.batch.id, self.lease.batch.owner)
        if batch is None:  # it was deleted
            raise FenceError(self.lease.batch.id)
        return batch

    async def _renew_forever(self, runs: LineRuns) -> None:
        while True:
            await asyncio.sleep(RENEWED)
            await self._renew_key(runs)

    async def _renew_key(self, runs: LineRuns) -> None:
        """Ask whether the batch's key still may, and what."""
        try:
            runs.caller, runs.refused = await self._renew(self._details.caller), None
        except APIError as error:
            if error.status == 401:
                runs.refused = error
        except Exception:
            unexpected("batch", log, "batch %s: looking for its key failed", self.lease.batch.id)


class BatchHeart:
    """Keeps the lease of a worker, and tells it of a client's wish to cancel. `lost` tells that another worker has the batch."""

    def __init__(self, worker: BatchWorker, task: asyncio.Task[None], terms: LineTerms, *, remote: bool) -> None:
        self._worker = worker
        self._task = task
        self._terms = terms
        self._remote = remote
        self.lost = False

    async def beat(self, pause: float) -> None:
        """Extend the lease every `pause` seconds, until the worker has ended or the lease is lost."""
        lease = self._terms.bounds.lease
        until = time.monotonic() + lease
        while not self._task.done():
            await asyncio.wait((self._task,), timeout=pause)
            sent = time.monotonic()
            try:
                with contextlib.suppress(APIError):  # the store is away: the fence will tell
                    async with asyncio.timeout(max(0.0, until - sent) if self._remote else None):
                        status = await self._terms.store.batches.heartbeat(
                            self._worker.lease, self._terms.clock(), lease
                        )
                    until = sent + lease
                    if status == "cancelling":
                        self._worker.cancel_lines()
            except (FenceError, TimeoutError):
                self.lost = not self._task.done()
                self._task.cancel()
                return
