"""WebSocket mode: turns over one connection at `/v1/responses` (OpenAI's guide "WebSocket mode"; Open Responses, "WebSocket").

A message is a JSON event of the client's: `response.create` with the fields of CreateResponse, or `response.steer`. Turns of a lane
(`stream_id`) follow one another, lanes run side by side. What was made with `store: false` is remembered for as long as the
connection lives. An error leaves the connection alive.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Raw

from antiphon.core.emitter import to_json
from antiphon.engine import Run
from antiphon.errors import APIError, InvalidRequest
from antiphon.intake import Intake, Plan
from antiphon.server.http import ClientGone, ServerStopping
from antiphon.server.ws_memory import ConnectionMemory
from antiphon.server.ws_steer import RunningLane, Steering, SteerRefused
from antiphon.services import Services
from antiphon.types.events import Event

log = logging.getLogger("antiphon.websocket")

MOST_LANES = 16
MOST_WAITING = 64
HIGH_WATER = 1024  # events that wait for a slow client before its turn waits too

LIMIT_REACHED = APIError(
    400,
    "This WebSocket connection has reached its time limit. Open a new one to go on.",
    code="websocket_connection_limit_reached",
)

STOPPING = APIError(503, "The server is shutting down. Open a new connection to go on.", code="server_shutdown")


class WebSocket(Protocol):
    """One accepted connection."""

    owner: str

    async def receive(self) -> bytes:
        """Return the next message. Raises ClientGone, and ServerStopping once."""
        ...

    async def send(self, message: bytes) -> None:
        """Send a text message, waiting while the client reads too slowly. Raises ClientGone."""
        ...

    async def close(self, code: int = 1000) -> None:
        """Close the connection."""
        ...


class Envelope(msgspec.Struct):
    """What tells client events apart."""

    type: str
    stream_id: str | None = None
    generate: bool | None = None


_envelope = msgspec.json.Decoder(Envelope)
_fields = msgspec.json.Decoder(dict[str, Raw])
_not_of_the_request = ("type", "stream_id", "generate", "stream", "stream_options", "background")


class Outbox:
    """Messages on their way to the client, in order, from all lanes."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def put(self, message: bytes) -> None:
        """Queue a message."""
        self._waiting.append(message)
        self._news.set()
        if len(self._waiting) > HIGH_WATER:
            self._room.clear()

    async def room(self) -> None:
        """Wait while too much is queued."""
        await self._room.wait()

    async def run(self) -> None:
        """Send what comes, until the connection ends. Raises ClientGone."""
        while True:
            await self._news.wait()
            await self.flush()

    async def flush(self) -> None:
        """Send all that is queued."""
        self._news.clear()
        while self._waiting:
            await self._socket.send(self._waiting.popleft())
        self._room.set()


class LaneSink:
    """Takes the Events of a lane's turn; names the lane in each where the client named it."""

    def __init__(self, outbox: Outbox, stream_id: str | None) -> None:
        self._outbox = outbox
        self._tail = b',"stream_id":%b}' % to_json(stream_id) if stream_id is not None else b""

    def send(self, events: Sequence[Event]) -> None:
        """Queue the events, a message each."""
        tail = self._tail
        for event in events:
            self._outbox.put(event.body[:-1] + tail if tail else event.body)

    def error(self, error: APIError) -> None:
        """Queue an error that ends no response."""
        inner = {"type": error.type, "code": error.code, "message": error.message, "param": error.param}
        flat = {"type": "error", "status": error.status, "error": inner}
        self.send([Event("error", to_json({**flat, "sequence_number": 0}))])

    async def drain(self) -> None:
        """Wait while the client reads too slowly."""
        await self._outbox.room()


class Lane:
    """Turns that follow one another."""

    def __init__(self, connection: Connection, stream_id: str | None) -> None:
        self.sink = LaneSink(connection.outbox, stream_id)
        self.run: Run | None = None
        self._connection = connection
        self._turns: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue(MOST_WAITING)
        self.task = asyncio.create_task(self._work())

    def put(self, body: bytes, generate: bool) -> None:
        """Queue a turn."""
        try:
            self._turns.put_nowait((body, generate))
        except asyncio.QueueFull:
            self.sink.error(APIError(429, "Too many turns are waiting on this lane.", code="rate_limit_exceeded"))

    @property
    def idle(self) -> bool:
        """Tell whether nothing runs or waits here."""
        return self.run is None and self._turns.empty()

    async def _work(self) -> None:
        while True:
            body, generate = await self._turns.get()
            try:
                await self._turn(body, generate)
            except APIError as error:
                self.sink.error(error)
            except ClientGone:
                return
            except Exception:
                log.exception("a turn failed")
                self.sink.error(APIError(500, "The server had an error.", code="server_error"))
            finally:
                self.run = None

    async def _turn(self, body: bytes, generate: bool) -> None:
        """Make a response and, where the client steered it, its successors."""
        connection = self._connection
        next_body: bytes | None = connection.steering.joined(body)
        while next_body is not None:
            plan = await connection.intake.plan(next_body, connection.owner, connection.memory)
            run = await self._respond(plan, generate)
            connection.memory.keep(plan, run)
            next_body = connection.steering.successor(next_body, run, self.sink)

    async def _respond(self, plan: Plan, generate: bool) -> Run:
        run = self.run = Run(plan, self._connection.services)
        try:
            if generate:
                await run.open(self._connection.services.config.head_hold)
                await run.run(self.sink)
            else:
                await run.warm_up(self.sink)
        finally:
            run.abort()
        return run


class Connection:
    """One WebSocket connection."""

    def __init__(self, services: Services, intake: Intake, socket: WebSocket) -> None:
        self.services = services
        self.intake = intake
        self.owner = socket.owner
        self.outbox = Outbox(socket)
        self.memory = ConnectionMemory(services.store)
        self.steering = Steering(services)
        self._socket = socket
        self._lanes: dict[str | None, Lane] = {}

    async def serve(self) -> None:
        """Serve the connection until the client leaves or its time is over."""
        writer = asyncio.create_task(self.outbox.run())
        try:
            async with asyncio.timeout(self.services.config.websocket_minutes * 60):
                await self._read()
        except ClientGone:
            pass
        except TimeoutError:
            await self._say_goodbye(LIMIT_REACHED)
        except ServerStopping:
            await self._say_goodbye(STOPPING, 1012)
        finally:
            tasks = [writer, *(lane.task for lane in self._lanes.values())]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self, error: APIError) -> None:
        """End all running responses: the server stops."""
        for lane in self._lanes.values():
            if lane.run is not None:
                lane.run.stop(error)

    async def _read(self) -> None:
        while True:
            message = await self._socket.receive()
            try:
                self._take(message)
            except APIError as error:
                LaneSink(self.outbox, None).error(error)

    def _take(self, message: bytes) -> None:
        try:
            envelope = _envelope.decode(message)
            fields = _fields.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise InvalidRequest(
                "A message is a JSON object with a 'type'.", param="type", code="invalid_json"
            ) from None
        if envelope.type == "response.create":
            self._create(envelope, fields)
        elif envelope.type == "response.steer":
            self._steer(message)
        else:
            raise InvalidRequest(f"Unknown event type: '{envelope.type}'.", param="type")

    def _create(self, envelope: Envelope, fields: dict[str, Raw]) -> None:
        body = {name: value for name, value in fields.items() if name not in _not_of_the_request}
        lane = self._lane(envelope.stream_id)
        lane.put(to_json({**body, "stream": True}), envelope.generate is not False)

    def _lane(self, stream_id: str | None) -> Lane:
        lane = self._lanes.get(stream_id)
        if lane is None:
            self._make_room(stream_id)
            lane = self._lanes[stream_id] = Lane(self, stream_id)
        return lane

    def _make_room(self, stream_id: str | None) -> None:
        if len(self._lanes) < MOST_LANES:
            return
        idle = next((key for key, lane in self._lanes.items() if lane.idle), stream_id)
        if idle == stream_id:
            raise InvalidRequest(f"A connection has at most {MOST_LANES} lanes.", param="stream_id")
        self._lanes.pop(idle).task.cancel()

    def _steer(self, message: bytes) -> None:
        running: dict[str, RunningLane] = {
            lane.run.plan.response.id: lane for lane in self._lanes.values() if lane.run is not None
        }
        try:
            self.steering.take(message, running)
        except SteerRefused as refused:
            (refused.sink or LaneSink(self.outbox, None)).send([refused.event])

    async def _say_goodbye(self, error: APIError, code: int = 1000) -> None:
        """Let running turns end, then tell why the connection closes."""
        await asyncio.gather(*(self._until_idle(lane) for lane in self._lanes.values()))
        LaneSink(self.outbox, None).error(error)
        try:
            await self.outbox.flush()
            await self._socket.close(code)
        except ClientGone:
            return

    async def _until_idle(self, lane: Lane) -> None:
        while not lane.idle and not lane.task.done():
            await asyncio.sleep(0.05)


class WebSockets:
    """The handler of WebSocket mode, and all its connections."""

    def __init__(self, services: Services, intake: Intake) -> None:
        self._services = services
        self._intake = intake
        self._connections: set[Connection] = set()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection."""
        connection = Connection(self._services, self._intake, socket)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)

    def stop(self, error: APIError) -> None:
        """End all running responses of all connections."""
        for connection in list(self._connections):
            connection.stop(error)
