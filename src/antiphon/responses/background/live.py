"""Background responses: run under a lease, logged event by event, followed, resumed, cancelled.

A run without a worker (its server died or released it) is taken over: from the start if no token had streamed,
from its last tool boundary if none had streamed since, else it ends `failed` with a reason. No model call
that has streamed tokens is repeated, unless the operator wants that (`background_rerun`).

A run whose process died may be what killed it: it is tried once more at most, and alone, with no other run taken over beside
it in the same process. When that process dies too, it ends `failed`: no run takes more than two processes with it.

Of each owner so many run at once. Others wait in the store, held by nobody, so that no death counts for them; whoever has room
begins the oldest whose owner has room. Those with a completion window begin when no other waits and half of the places are free;
from the middle of their window on they are as others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections.abc import Set

import msgspec

from antiphon.access.caller import Caller
from antiphon.access.limits import FREE, Permit
from antiphon.core.json_encoding import to_json
from antiphon.errors import APIError
from antiphon.responses.background.event_log import WORKING, Beat, EventLog, Follower, kept_until, logged
from antiphon.responses.background.job_request import packed
from antiphon.responses.background.run_queue import RunQueue
from antiphon.responses.background.takeover import INTERRUPTED, Takeover
from antiphon.responses.plan import Plan
from antiphon.responses.prepare import Preparer
from antiphon.responses.run import Run
from antiphon.responses.services import Services
from antiphon.responses.stored_response import stored_response
from antiphon.responses.webhooks.delivery import Webhooks
from antiphon.runtime.offload import by_size
from antiphon.runtime.request_memory import HELD, Held
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.runtime.urgency import be_patient
from antiphon.stores.base import FenceError
from antiphon.stores.records import Job, StoredResponse
from antiphon.telemetry.request_record import answers_for, asking

log = logging.getLogger("antiphon.responses.background")

MOST_BETWEEN_BEATS = 2.0  # seconds; a beat also brings the client's wish to cancel
POLL = 1.0
CANCEL_WAIT = 10.0
SUSPECT_WAIT = 60.0  # seconds


class Working:
    """A background response that runs in this process."""

    def __init__(self, run: Run, log: EventLog, job: Job, held: Held) -> None:
        self.run = run
        self.log = log
        self.job = job
        self.held = held
        self.task: asyncio.Task[None] | None = None


class Live:
    """Background responses: those of this process, and access to those of other servers through the store."""

    def __init__(self, services: Services, preparer: Preparer, webhooks: Webhooks) -> None:
        self._webhooks = webhooks
        self._services = services
        self._store = services.store
        self._preparer = preparer
        self._lease = services.config.background_lease
        self._worker = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._beat = Beat(self._store.jobs)
        self._working: dict[str, Working] = {}
        config = services.config
        self._run_queue = RunQueue(
            config.background_running, config.background_per_owner, config.background_queue_per_owner
        )
        self._freed = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None
        self._idle_at = time.monotonic()
        self._takeover = Takeover(services, preparer, webhooks)
        self.lost = 0  # leases, since the start

    @property
    def running(self) -> int:
        """Number of background responses that run in this process."""
        return len(self._working)

    @property
    def taken_over(self) -> int:
        """Number of runs taken over from other workers, since the start."""
        return self._takeover.count

    async def start(self) -> None:
        """Start claiming jobs without a worker, at once and then periodically."""
        self._store.jobs.on_cancel(self._cancel_here)
        self._poller = asyncio.create_task(self._poll())

    async def close(self, grace: float) -> None:
        """Stop, after `grace` seconds at most.

        Runs that have streamed no token by then, or that are made again, are released to other servers; others end `failed`.
        """
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        tasks = [one.task for one in self._working.values() if one.task]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        working = list(self._working.values())
        for one in working:
            if one.run.stream.output_begun and not self._takeover.reruns(one.job):
                one.run.stop(INTERRUPTED)
            elif one.task is not None:
                one.task.cancel()
        await asyncio.gather(*(one.task for one in working if one.task), return_exceptions=True)
        self._run_queue.close()

    # For handlers

    async def submit(self, plan: Plan, body: bytes, permit: Permit = FREE) -> bytes:
        """Store a response as queued and begin to work on it, once there is room; return it as JSON.

        Raises APIError 429 where too many of its owner wait.
        """
        begins = not _patience(plan) and self._run_queue.may_begin(plan.owner)
        try:
            if begins:
                self._run_queue.begin(plan.owner)
            else:
                self._run_queue.check(plan.owner)
            return await self._submit(plan, body, permit, begins)
        except BaseException:
            if begins:
                self._run_queue.end(plan.owner)
            permit.settle(None)
            raise

    async def _submit(self, plan: Plan, body: bytes, permit: Permit, begins: bool) -> bytes:
        run = Run(plan, self._services, permit=permit)
        run.stream.queued()
        events = run.stream.take()
        queued = to_json(plan.response)
        request = await packed(plan, body, self._services.sealer)
        days = self._services.config.store_days
        stored, entry = await by_size(plan.turn.size, stored_response, plan, queued, (), days, self._services.cost)
        job = await self._store.responses.enqueue(
            stored,
            request,
            logged(events, 0),
            worker=self._worker if begins else None,
            lease_until=self._services.clock() + self._lease,
            entry=entry,
            due=plan.response.created_at + _patience(plan),
        )
        if job is None:
            self._run_queue.wait(plan.response.id, plan.owner, permit, asking())
            self._freed.set()  # there may be room meanwhile
        else:
            held = HELD.get()
            self._begin(run, job, len(events), held.hand_over() if held else self._services.rooms.open(plan.owner))
        return queued

    async def follow(self, id: str, owner: str, after: int) -> Follower:
        """Return a reader of a response's events behind number `after`."""

        def find() -> EventLog | None:
            here = self._working.get(id)
            return here.log if here else None

        return Follower(self._store, id, owner, after, find(), find)

    def snapshot(self, id: str, owner: str) -> bytes | None:
        """Return a response that runs here as it is now, or None."""
        one = self._working.get(id)
        if one is None or one.job.owner != owner or one.run.stream.terminal is not None:
            return None
        return one.run.stream.snapshot()

    async def cancel(self, stored: StoredResponse) -> bytes:
        """Cancel a background response, wherever it runs, and return it; one that has ended is returned as it is."""
        here = self._working.get(stored.id)
        if stored.status in WORKING and await self._store.jobs.cancel(stored.id, stored.owner):
            if here is not None:
                here.run.cancel()
            else:
                await self._end_waiting(stored.id)
            deadline = self._services.clock() + CANCEL_WAIT
            while stored.status in WORKING and self._services.clock() < deadline:
                await self._settle(here)
                stored = await self._store.responses.get(stored.id, stored.owner) or stored
        return stored.body

    async def _end_waiting(self, id: str) -> None:
        """End a cancelled response that nobody works on: it need not wait for room."""
        job = await self._store.jobs.claim(self._worker, self._services.clock(), self._lease, id)
        if job is not None:
            await self._take_over(job)

    def _cancel_here(self, id: str) -> None:
        """Cancel a run of this process, asked for here or at another server."""
        one = self._working.get(id)
        if one is not None:
            one.run.cancel()

    async def _settle(self, here: Working | None) -> None:
        if here is not None and here.task is not None:
            await asyncio.wait((here.task,), timeout=CANCEL_WAIT)
        else:
            await asyncio.sleep(0.1)

    async def discard(self, id: str, owner: str) -> None:
        """Stop a response that is about to be deleted."""
        stored = await self._store.responses.get(id, owner)
        if stored is not None and stored.background:
            await self.cancel(stored)

    # Work

    def _begin(self, run: Run, job: Job, first: int, held: Held) -> None:
        job = msgspec.structs.replace(job, request=b"")  # the Plan has it: a large one need not be held twice
        one = Working(run, EventLog(self._beat, job.response_id, job.fence, first), job, held)
        run.hold(job.fence, one.log.flush)
        self._working[job.response_id] = one
        HELD.set(held)
        one.task = asyncio.create_task(self._work(one))

    async def _note_lost(self, job: Job) -> None:
        """Tell that a run is not ours any more: its response was deleted, or another server has taken it over."""
        with contextlib.suppress(APIError):
            if await self._store.responses.get(job.response_id, job.owner) is None:
                log.info("response %s: deleted while it ran", job.response_id)
                return
        self.lost += 1
        log.warning("response %s: taken over by another server", job.response_id)

    async def _work(self, one: Working) -> None:
        id, fence = one.job.response_id, one.job.fence
        options = one.run.plan.request.background_options
        if options is not None and options.window:
            be_patient(one.run.plan.response.created_at + options.window - self._services.clock())
        heart = asyncio.create_task(self._heartbeat(one))
        try:
            await one.run.run(one.log)
            await one.log.close()
            await self._webhooks.notify(f"response.{one.run.stream.response.status}", id, one.job.owner)
            until = kept_until(self._services.config.event_days, self._services.clock())
            await self._store.jobs.finish(id, fence, until)
        except FenceError:
            await self._note_lost(one.job)
        except APIError:  # the store is away, which its own log line tells
            log.warning("response %s: background run ended: the store is unavailable", id)
        except asyncio.CancelledError:
            heart.cancel()
            with contextlib.suppress(FenceError, APIError):
                await self._store.jobs.release(id, fence)
            raise
        except Exception:
            unexpected("response", log, "response %s: background run failed", id)
        finally:
            heart.cancel()
            one.run.abort()
            one.log.abandon()
            self._working.pop(id, None)
            one.held.close()
            self._run_queue.end(one.job.owner)
            self._freed.set()

    async def _heartbeat(self, one: Working) -> None:
        """Keep the lease. Where a store is lost to this server alone, the run stops when another may take it over."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._lease
        while True:
            pause = min(MOST_BETWEEN_BEATS, self._lease / 3)
            await asyncio.sleep(min(pause, max(0.0, until - clock())) if self._store.database.remote else pause)
            sent = clock()
            try:
                async with asyncio.timeout_at(until if self._store.database.remote else None):
                    wish = await self._store.jobs.heartbeat(
                        one.job.response_id, one.job.fence, self._services.clock(), self._lease
                    )
            except FenceError:
                self._lose(one)
                return
            except TimeoutError:
                log.warning(
                    "response %s: background run stopped: lease expired while the store is unavailable",
                    one.job.response_id,
                )
                self._lose(one)
                return
            except APIError:  # the store is away: the lease may be lost meanwhile, the fence will tell
                continue
            until = sent + self._lease
            if wish:
                one.run.cancel()

    def _lose(self, one: Working) -> None:
        """Stop a run whose lease is lost, and its model call."""
        self.lost += 1
        one.log.lost = True
        if one.task is not None:
            one.task.cancel()

    # Take over

    async def _poll(self) -> None:
        while True:
            self._freed.clear()
            try:
                crowded: set[str] = set()
                while job := await self._claim(crowded):
                    if not await self._take_over(job):
                        crowded.add(job.owner)
                await self._run_queue.look(self._store.responses)
            except APIError:
                log.debug("background responses: polling for jobs failed: the store is unavailable")
            except Exception:
                log.exception("background responses: polling for jobs failed")
                # The store may have been away: whoever holds a run renews its lease first, none of them is dead.
                await asyncio.sleep(2 * min(MOST_BETWEEN_BEATS, self._lease / 3))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(POLL, self._lease / 3)):
                    await self._freed.wait()

    async def _claim(self, crowded: Set[str]) -> Job | None:
        """Take a run that nobody holds, of an owner who has room.

        One whose process died is taken where no other background run is made: if it kills this process too, none ends with
        it. A process that is never without one takes it after `SUSPECT_WAIT` all the same.
        """
        if not self._run_queue.room or any(one.job.crashes for one in self._working.values()):
            return None
        now = time.monotonic()
        if not self._working:
            self._idle_at = now
        clean = now - self._idle_at < SUSPECT_WAIT if self._working else False
        without = [*self._run_queue.full(), *crowded]
        return await self._store.jobs.claim(
            self._worker,
            self._services.clock(),
            self._lease,
            clean=clean,
            without=without,
            due=self._run_queue.half_taken,
            busy=self._run_queue.busy(),
        )

    async def _take_over(self, job: Job) -> bool:
        """Go on with a job whose worker is gone, or begin one that was never begun.

        Returns False where it was given back, as its owner's requests hold too much.
        """
        waited = self._run_queue.leave(job.response_id)
        permit, caller = (FREE, Caller(owner=job.owner)) if waited is None else (waited.permit, waited.caller)
        answers_for(caller)
        held = self._services.rooms.open(job.owner)
        HELD.set(held)
        self._run_queue.begin(job.owner)
        try:
            held.take(len(job.request))
            run = await self._takeover.resume(job, permit)
            if run is not None:
                self._begin(run, job, run.stream.sequence_number, held)
        except FenceError:  # it was deleted meanwhile, or its lease has run out and another one has it
            await self._note_lost(job)
        except APIError as error:
            if error.status not in (429, 503):
                raise
            await self._store.jobs.release(job.response_id, job.fence)
            if permit is not FREE:
                self._run_queue.wait(job.response_id, job.owner, permit, caller)
                permit = FREE
            if error.status == 503:  # what is needed is away, or too busy: another time
                raise
            return False
        finally:
            answers_for(None)
            if job.response_id not in self._working:
                permit.settle(None)
                held.close()
                self._run_queue.end(job.owner)
        return True


def _patience(plan: Plan) -> float:
    """Return the seconds for which a response lets others go first."""
    options = plan.request.background_options
    return options.patience if options is not None else 0.0
