"""Lanes of a WebSocket connection: requests answered one after another, and the queue of events to the client."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from antiphon.access.caller import Caller
from antiphon.core.json_encoding import to_json
from antiphon.core.turn import Hints
from antiphon.errors import APIError
from antiphon.responses.prepare import Prepared, Preparer
from antiphon.responses.run import Run
from antiphon.responses.services import Services
from antiphon.runtime.request_memory import HELD
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.server.http.messages import ClientGone
from antiphon.server.ws.budget import Budget
from antiphon.server.ws.memory import ConnectionMemory
from antiphon.server.ws.steering import Steering
from antiphon.telemetry.request_record import answers_for
from antiphon.types.events import Event
from antiphon.types.request import prewarms

log = logging.getLogger("antiphon.server.ws")

MOST_WAITING = 64
HIGH_WATER = 1024  # events that wait for a slow client before its turn waits too
HIGH_WATER_BYTES = 1024 * 1024  # the same in bytes


class _Continued(msgspec.Struct):
    previous_response_id: str | None = None


_continued = msgspec.json.Decoder(_Continued)


def continued(body: bytes) -> str:
    """Return the id of the response that a request continues from, "" where it names none."""
    try:
        return _continued.decode(body).previous_response_id or ""
    except (ValueError, RecursionError):
        return ""


class WebSocket(Protocol):
    """One accepted connection."""

    owner: str
    request_id: str
    caller: Callable[[], Awaitable[Caller]]

    def header(self, name: bytes) -> bytes | None:
        """Return a header of the handshake by its lower-case name."""
        ...

    async def receive(self) -> bytes:
        """Return the next message. Raises ClientGone, and ServerStopping once."""
        ...

    async def send(self, message: bytes) -> None:
        """Send a text message, waiting while the client reads too slowly. Raises ClientGone."""
        ...

    async def close(self, code: int = 1000) -> None:
        """Close the connection."""
        ...


class Outbox:
    """Queue of messages to the client, from all lanes, in order."""

    def __init__(self, socket: WebSocket, budget: Budget) -> None:
        self._socket = socket
        self._budget = budget
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def put(self, message: bytes) -> None:
        """Queue a message."""
        self._waiting.append(message)
        self._size += len(message)
        self._budget.wait(len(message))
        self._news.set()
        if len(self._waiting) > HIGH_WATER or self._size > HIGH_WATER_BYTES:
            self._room.clear()

    @property
    def ready(self) -> bool:
        """Tell whether there is room."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait while too much is queued."""
        await self._room.wait()

    async def run(self) -> None:
        """Send queued messages until the connection ends. Raises ClientGone."""
        while True:
            await self._news.wait()
            await self.flush()

    async def flush(self) -> None:
        """Send all that is queued."""
        self._news.clear()
        while self._waiting:
            message = self._waiting.popleft()
            try:
                await self._socket.send(message)
            finally:
                self._size -= len(message)
                self._budget.wait(-len(message))
        self._room.set()


class LaneSink:
    """Sends the Events of a lane's responses; each names the lane if the client named it."""

    def __init__(self, outbox: Outbox, stream_id: str | None) -> None:
        self._outbox = outbox
        self._tail = b',"stream_id":%b}' % to_json(stream_id) if stream_id is not None else b""

    def send(self, events: Sequence[Event]) -> bool:
        """Queue the events, a message each."""
        tail = self._tail
        for event in events:
            self._outbox.put(event.body[:-1] + tail if tail else event.body)
        return self._outbox.ready

    def error(self, error: APIError) -> None:
        """Queue an error that ends no response."""
        inner = {"type": error.type, "code": error.code, "message": error.message, "param": error.param}
        flat = {"type": "error", "status": error.status, "error": inner}
        self.send([Event("error", to_json({**flat, "sequence_number": 0}))])

    async def drain(self) -> None:
        """Wait while the client reads too slowly."""
        await self._outbox.room()


class LaneHost(Protocol):
    """The connection, as its lanes see it."""

    services: Services
    preparer: Preparer
    hints: Hints
    owner: str
    request_id: str
    caller: Callable[[], Awaitable[Caller]]
    outbox: Outbox
    budget: Budget
    memory: ConnectionMemory
    steering: Steering


class Lane:
    """A lane: its requests are answered one after another."""

    def __init__(self, connection: LaneHost, stream_id: str | None) -> None:
        self.sink = LaneSink(connection.outbox, stream_id)
        self.run: Run | None = None
        self._connection = connection
        self._turns: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue(MOST_WAITING)
        self._rest = asyncio.Event()
        self._rest.set()
        self.task = asyncio.create_task(self._work())

    def put(self, body: bytes, generate: bool) -> None:
        """Queue a request. Raises APIError 429 if too many requests or bytes are queued."""
        if self._turns.full():
            raise APIError(429, "Too many requests are waiting on this lane.", code="rate_limit_exceeded")
        self._connection.budget.reserve(len(body))
        self._turns.put_nowait((body, generate))
        self._rest.clear()

    @property
    def idle(self) -> bool:
        """Tell whether the lane is idle."""
        return self._rest.is_set()

    async def until_idle(self) -> None:
        """Wait until the lane is idle."""
        await self._rest.wait()

    async def _work(self) -> None:
        """Answer requests until the lane is cancelled. That is not raised: its traceback would keep the lane alive."""
        with contextlib.suppress(asyncio.CancelledError):
            await self._make_turns()

    async def _make_turns(self) -> None:
        while True:
            await self.sink.drain()  # the turn before has been read, but for what an Outbox holds
            body, generate = await self._turns.get()
            size = len(body)
            held = self._connection.services.rooms.open(self._connection.owner)
            HELD.set(held)
            try:
                held.take(size)
                await self._turn(body, generate)
            except APIError as error:
                self.sink.error(error)
            except ClientGone:
                self._rest.set()
                return
            except Exception:
                unexpected("turn", log, "request %s: WebSocket response failed", self._connection.request_id)
                self.sink.error(APIError(500, "The server had an error.", code="server_error"))
            finally:
                held.close()
                self.run = None
                answers_for(None)
                body = b""  # not held while the lane waits for its next turn
                self._connection.budget.release(size)
                if self._turns.empty():
                    self._rest.set()

    async def _turn(self, body: bytes, generate: bool) -> None:
        """Make a response and, where the client steered it, its successors."""
        connection = self._connection
        next_body: bytes | None = connection.steering.joined(body)
        while next_body is not None:
            try:
                caller = await connection.caller()  # again: a connection can outlive its key
                answers_for(caller)
                prepared = await connection.preparer.prepare(
                    next_body, caller, connection.hints, history=connection.memory
                )
                run = await self._respond(prepared, generate)
            except APIError:
                connection.memory.evict(continued(next_body))
                raise
            connection.memory.keep(prepared.plan, run)
            if run.error is not None and prepared.plan.response.previous_response_id is not None:
                connection.memory.evict(prepared.plan.response.previous_response_id)
            next_body = connection.steering.successor(next_body, run, self.sink)

    async def _respond(self, prepared: Prepared, generate: bool) -> Run:
        run = self.run = self._connection.preparer.run(prepared)
        try:
            if generate or prewarms(prepared.plan.request):
                await run.open(self._connection.services.config.head_hold)
                await run.run(self.sink)
            else:
                await run.warm_up(self.sink)
        finally:
            run.abort()
        return run
