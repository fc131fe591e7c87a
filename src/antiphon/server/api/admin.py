"""`/admin/requests`: running and recent requests of this server's workers, without prompts and answers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType

import msgspec
from msgspec.structs import replace

from antiphon.core.json_encoding import to_json
from antiphon.errors import APIError
from antiphon.runtime.offload import by_size
from antiphon.server.http.messages import ClientGone, Reply, Request, json_reply
from antiphon.telemetry.observers import UNENDED, Observed, RequestRecord, failure_of, record_of
from antiphon.types.response import Usage


class RequestList(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `/admin/requests`: those of all workers of this server, the newest first."""

    object: str = "list"
    running: list[RequestRecord]
    data: list[RequestRecord]


_LEFT = (ClientGone, asyncio.CancelledError)


class RelayedCall:
    """A request for an answer that is passed on as it is, and so makes no Response: listed from its beginning to its end.

    Whoever passes it on sets what it learns: `usage`; `incomplete`, where the answer was cut off; `abandoned`, where its
    client left; `events`; an `error` behind a head that was sent.
    """

    def __init__(self, ring: Ring, id: str, model: str, owner: str, *, stream: bool) -> None:
        self.usage: Usage | None = None
        self.incomplete = self.abandoned = False
        self.events = 0
        self.error: APIError | None = None
        self._ring = ring
        self._asked = id, model, owner, stream
        self._began_at, self._began, self._spoke = time.time(), time.perf_counter(), 0.0

    def speaks(self) -> None:
        """Note that the answer has begun."""
        self._spoke = self._spoke or time.perf_counter()

    def record(self, status: str = "in_progress") -> RequestRecord:
        """Return it as it is listed."""
        id, model, owner, stream = self._asked
        return RequestRecord(
            id=id,
            model=model,
            owner=owner,
            stream=stream,
            background=False,
            started_at=self._began_at,
            status=status,
            time_to_first_token=self._spoke - self._began if self._spoke else None,
            duration=time.perf_counter() - self._began,
            events=self.events,
            stored=False,
            usage=self.usage,
            error=failure_of(self.error) if self.error is not None else None,
        )

    def __enter__(self) -> RelayedCall:
        self._ring.relays[self] = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, APIError):
            self.error = error
        if self.error is not None or (error is not None and not isinstance(error, _LEFT)):
            status = "failed"
        elif error is not None or self.abandoned:
            status = "abandoned"
        else:
            status = "incomplete" if self.incomplete else "completed"
        del self._ring.relays[self]
        self._ring.add(self.record(status))


class Ring:
    """The last requests of this process, an observer. `running` are its Responses at hand, `relays` what makes none."""

    def __init__(self, size: int) -> None:
        self.relays: dict[RelayedCall, None] = {}
        self.running: dict[Observed, None] = {}
        self._ended: deque[RequestRecord] = deque(maxlen=size)

    def started(self, run: Observed) -> None:
        """Note a start."""
        self.running[run] = None

    def ended(self, run: Observed, record: RequestRecord) -> None:
        """Note the end; the oldest record makes room."""
        del self.running[run]
        if record.status in UNENDED:
            record = replace(record, status="failed" if record.error else "abandoned")
        self._ended.append(record)

    def add(self, record: RequestRecord) -> None:
        """Note the end of a request that made no Response."""
        self._ended.append(record)

    def relayed(self, request: Request, model: str, *, stream: bool) -> RelayedCall:
        """Return a request that is about to be passed on."""
        return RelayedCall(self, request.request_id, model, request.owner, stream=stream)

    def list(self) -> RequestList:
        """Return all, the newest first."""
        running = [record_of(run) for run in self.running] + [call.record() for call in self.relays]
        running.sort(key=lambda one: one.started_at, reverse=True)
        return RequestList(running=running, data=list(self._ended)[::-1])


Ask = Callable[[bytes], Awaitable[Sequence[bytes]]]
"""Asks the other workers of this server."""

REQUESTS = b"requests"
"""The question that another worker answers with its list."""
_list = msgspec.json.Decoder(RequestList)


class Admin:
    """The handler of `/admin/requests`; `ask` reaches the other workers."""

    def __init__(self, ring: Ring, ask: Ask | None = None) -> None:
        self._ring = ring
        self._ask = ask

    async def requests(self, request: Request) -> Reply:
        """GET /admin/requests."""
        lists = [self._ring.list()]
        for answer in await self._ask(REQUESTS) if self._ask is not None else ():
            lists.append(await by_size(len(answer), _list.decode, answer))
        found = RequestList(
            running=sorted((one for some in lists for one in some.running), key=_start, reverse=True),
            data=sorted((one for some in lists for one in some.data), key=_end, reverse=True),
        )
        return json_reply(found if len(lists) > 1 else lists[0], headers=((b"cache-control", b"no-store"),))

    async def answer(self, question: bytes) -> bytes:
        """Answer another worker: the requests of this process."""
        return to_json(self._ring.list())


def _start(record: RequestRecord) -> float:
    return record.started_at


def _end(record: RequestRecord) -> float:
    return record.started_at + record.duration
