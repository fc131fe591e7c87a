"""`/admin/requests`: running and recent requests of this process, without prompts and answers."""

from __future__ import annotations

import time
from collections import deque

import msgspec
from msgspec.structs import replace

from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.telemetry.observers import Observed
from antiphon.types.response import Usage


class Failure(msgspec.Struct, frozen=True):
    """Why a request failed. Its message is the client's: it may quote what the client sent."""

    status: int
    type: str
    code: str


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A running or ended response. Times in seconds after `started_at` (Unix).

    `cache` is what the backend's prompt cache did for a request that continues a conversation: `hit`, or why not.
    `stored`: it can be read by its id, once it has ended.
    `events` are those made so far, about one per token of a streamed response; `status` "abandoned" means that the client left.
    """

    id: str
    model: str
    owner: str
    stream: bool
    background: bool
    started_at: float
    status: str = "in_progress"
    time_to_first_token: float | None = None
    duration: float
    events: int = 0
    stored: bool = True
    usage: Usage | None = None
    error: Failure | None = None
    cache: str | None = None


class RequestList(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/admin/requests`: this process's, the newest first."""

    object: str = "list"
    running: list[RequestRecord]
    data: list[RequestRecord]


class Ring:
    """The last requests of this process; an Observer."""

    def __init__(self, size: int) -> None:
        self._running: dict[Observed, None] = {}
        self._ended: deque[RequestRecord] = deque(maxlen=size)

    def started(self, run: Observed) -> None:
        """Note a start."""
        self._running[run] = None

    def ended(self, run: Observed) -> None:
        """Note the end; the oldest record makes room."""
        del self._running[run]
        record = _record(run)
        if record.status in ("queued", "in_progress"):
            record = replace(record, status="failed" if record.error else "abandoned")
        self._ended.append(record)

    def list(self) -> RequestList:
        """Return all, the newest first."""
        running = [_record(run) for run in self._running]
        return RequestList(running=running[::-1], data=list(self._ended)[::-1])


def _record(run: Observed) -> RequestRecord:
    plan, response, error, spoke = run.plan, run.plan.response, run.error, run.spoke
    return RequestRecord(
        id=response.id,
        model=response.model,
        owner=plan.owner,
        stream=bool(plan.request.stream),
        background=response.background,
        started_at=run.began_at,
        status=response.status,
        time_to_first_token=spoke - run.began if spoke else None,
        duration=time.perf_counter() - run.began,
        events=run.events_made,
        stored=plan.stored,
        usage=response.usage,
        error=None if error is None else Failure(error.status, error.type, error.code),
        cache=run.cache.outcome if run.cache is not None else None,
    )


class Admin:
    """The handler of `/admin/requests`."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    async def requests(self, request: Request) -> Reply:
        """GET /admin/requests."""
        return json_reply(self._ring.list(), headers=((b"cache-control", b"no-store"),))
