"""The checking processes of a server, and the queue before them.

A process is started when it is first needed, and again after one has ended. An owner has one CheckTask running at a time, and the
owners take turns: one whose schemas are heavy delays its own requests, and those of others by one CheckTask's time at most while
there are as many processes as such owners.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from hashlib import blake2b
from typing import Literal

import msgspec

from antiphon.errors import APIError
from antiphon.runtime.checker.protocol import CheckTask, Verdict
from antiphon.runtime.checker.worker import CheckWorker, WorkerDied, WorkerUnusable, start

log = logging.getLogger("antiphon.runtime.checker")

MIB = 1024 * 1024
MOST_WAITING = 256  # CheckTasks of all owners
MOST_WAITING_OF_OWNER = 64
LONGEST_WAIT = 30.0  # seconds in the queue
REMEMBERED = 1024  # verdicts on schemas
CHECK_FACTOR = 2  # an answer's check may have to compile the schema again: it has this much more time
DIED = "Checking it takes more memory or depth than is allowed."


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a check may take: `seconds` for a schema and twice that for an answer, bytes of memory, schema and answer."""

    processes: int = 2
    seconds: float = 2.0
    memory: int = 256 * MIB
    schema: int = MIB
    answer: int = 8 * MIB


class _QueuedCheck(msgspec.Struct, eq=False):
    task: CheckTask
    seconds: float
    done: asyncio.Future[Verdict]
    started: bool = False

    def give_up(self) -> None:
        """Tell whoever waits that it takes too long, where the CheckTask has not begun."""
        if not self.started and not self.done.done():
            self.done.set_exception(_busy())


def _busy() -> APIError:
    return APIError(
        503, "Too many JSON Schemas are waiting to be checked.", code="checker_busy", headers={"retry-after": "1"}
    )


class Checker:
    """Looks at schemas and answers in processes of their own. Belongs to one event loop; `close` ends the processes."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - frozen
        self.bounds = bounds
        self._waiting: OrderedDict[str, deque[_QueuedCheck]] = OrderedDict()
        self._count = 0
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._idle: list[CheckWorker] = []
        self._known: OrderedDict[tuple[str, bytes], Verdict] = OrderedDict()
        self._closed = False

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that wait for work."""
        return [worker.pid for worker in self._idle]

    async def schema(self, schema: bytes, owner: str, *, compile: bool) -> Verdict:
        """Look at a schema, and compile it where answers are to be held against it. Raises APIError (503)."""
        if len(schema) > self.bounds.schema:
            return _refusal(f"The schema has {len(schema)} bytes; at most {self.bounds.schema} are allowed.")
        kind: Literal["compile", "inspect"] = "compile" if compile else "inspect"
        key = (kind, blake2b(schema, digest_size=16).digest())
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        verdict = await self._do(CheckTask(kind=kind, schema=schema, seconds=0.0), owner, self.bounds.seconds)
        if verdict.outcome != "unchecked":  # what a busy machine or a short memory said may be different next time
            self._known[key] = verdict
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return verdict

    async def answer(self, text: str, schema: bytes, owner: str) -> Verdict:
        """Hold an answer against a schema. Raises APIError (503)."""
        if len(text) > self.bounds.answer:
            return Verdict(
                outcome="unchecked",
                reason=f"It has {len(text)} characters; at most {self.bounds.answer} are checked.",
            )
        task = CheckTask(kind="check", schema=schema, text=_encodable(text), seconds=0.0)
        return await self._do(task, owner, CHECK_FACTOR * self.bounds.seconds)

    async def close(self) -> None:
        """End all processes; what still waits is told that the server stops."""
        self._closed = True
        for queue in self._waiting.values():
            for entry in queue:
                entry.done.cancel()
        self._waiting.clear()
        running, self._busy = list(self._busy.values()), {}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        idle, self._idle = self._idle, []
        await asyncio.gather(*(worker.kill() for worker in idle))

    # The queue

    async def _do(self, task: CheckTask, owner: str, seconds: float) -> Verdict:
        queue = self._waiting.setdefault(owner, deque())
        if self._closed or self._count >= MOST_WAITING or len(queue) >= MOST_WAITING_OF_OWNER:
            if not queue:
                del self._waiting[owner]
            raise _busy()
        loop = asyncio.get_running_loop()
        entry = _QueuedCheck(task, seconds, loop.create_future())
        queue.append(entry)
        self._count += 1
        self._dispatch()
        if entry.started:
            return await entry.done
        timer = loop.call_later(LONGEST_WAIT, entry.give_up)
        try:
            return await entry.done
        finally:
            timer.cancel()

    def _dispatch(self) -> None:
        """Start as many CheckTasks as there are processes for, of the owners whose turn it is."""
        for owner in list(self._waiting):
            if len(self._busy) >= self.bounds.processes:
                return
            if owner in self._busy:
                continue
            entry = self._next(owner)
            if entry is not None:
                self._busy[owner] = asyncio.create_task(self._run(owner, entry))

    def _next(self, owner: str) -> _QueuedCheck | None:
        """Take an owner's oldest CheckTask that somebody still waits for; the owner goes to the end of the line."""
        queue = self._waiting.pop(owner)
        found = None
        while queue and found is None:
            entry = queue.popleft()
            self._count -= 1
            if not entry.done.done():
                entry.started = True
                found = entry
        if queue:
            self._waiting[owner] = queue
        return found

    async def _run(self, owner: str, entry: _QueuedCheck) -> None:
        try:
            verdict = await self._ask(entry)
            if not entry.done.done():
                entry.done.set_result(verdict)
        except WorkerUnusable as error:
            log.error("JSON Schema checker: cannot be used: %s", error)
            if not entry.done.done():
                entry.done.set_exception(
                    APIError(503, "JSON Schemas cannot be checked at present.", code="checker_unavailable")
                )
        except asyncio.CancelledError:
            entry.done.cancel()
            raise
        finally:
            if self._busy.pop(owner, None) is not None:
                if owner in self._waiting:
                    self._waiting.move_to_end(owner)  # all others come first
                self._dispatch()

    async def _ask(self, entry: _QueuedCheck, *, fresh: bool = False) -> Verdict:
        worker = await start(self.bounds.memory) if fresh else await self._worker()
        try:
            verdict = await worker.ask(entry.task, entry.seconds)
        except TimeoutError:
            log.warning("JSON Schema checker: a check took more than %g s; its process was killed", entry.seconds)
            return Verdict(outcome="unchecked", reason=f"Checking it takes more than {entry.seconds:g} seconds.")
        except WorkerDied as error:
            log.warning("JSON Schema checker: process died: %s", error)
            if not worker.fresh:  # something else that it did before may be why
                return await self._ask(entry, fresh=True)
            return Verdict(outcome="unchecked", reason=DIED)
        if not verdict.last:
            self._idle.append(worker)
        return msgspec.structs.replace(verdict, last=False)

    async def _worker(self) -> CheckWorker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            worker.abandon()
        return await start(self.bounds.memory)


def _refusal(reason: str) -> Verdict:
    return Verdict(outcome="fault", reason=reason)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
