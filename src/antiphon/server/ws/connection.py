"""WebSocket mode: turns over one connection at `/v1/responses` (OpenAI's guide "WebSocket mode"; Open Responses, "WebSocket").

A message is a JSON event of the client's: `response.create` with the fields of CreateResponse, or `response.steer`. Turns of a
lane (`stream_id`) follow one another, lanes run side by side. Responses with `store: false` are remembered until the
connection closes. An error does not close the connection.
"""

from __future__ import annotations

import asyncio
import logging
import re

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.json_text import check_json
from antiphon.errors import APIError, InvalidRequest
from antiphon.responses.prepare import Preparer
from antiphon.responses.services import Services
from antiphon.runtime.offload import by_size
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.server.api.routing_hints import request_hints
from antiphon.server.http.messages import ClientGone, ServerStopping
from antiphon.server.http.response_head import server_error
from antiphon.server.ws.budget import Budget, Budgets
from antiphon.server.ws.lane import Lane, LaneSink, Outbox, WebSocket
from antiphon.server.ws.memory import ConnectionMemory
from antiphon.server.ws.steering import RunningLane, Steering, SteerRefused

log = logging.getLogger("antiphon.server.ws")

MOST_LANES = 16
LONGEST_STREAM_ID = 256

LIMIT_REACHED = APIError(
    400,
    "This WebSocket connection has reached its time limit. Open a new connection to continue.",
    code="websocket_connection_limit_reached",
)

STOPPING = APIError(503, "The server is shutting down. Open a new connection to continue.", code="server_shutdown")


class Envelope(msgspec.Struct):
    """Type and lane of a client event."""

    type: str
    stream_id: str | None = None
    generate: bool | None = None


_envelope = msgspec.json.Decoder(Envelope)
_fields = msgspec.json.Decoder(dict[str, Raw])
_LANE = re.compile(rb'"stream_id"\s*:\s*"([^"\\]{0,256})"')
_not_of_the_request = ("type", "stream_id", "generate", "stream", "stream_options", "background")


class Connection:
    """One WebSocket connection."""

    def __init__(self, services: Services, preparer: Preparer, socket: WebSocket, budget: Budget) -> None:
        self.services = services
        self.preparer = preparer
        self.hints = request_hints(socket)
        self.owner = socket.owner
        self.request_id = socket.request_id
        self.caller = socket.caller
        self.outbox = Outbox(socket, budget)
        self.budget = budget
        self.memory = ConnectionMemory(services.store.responses, services.config.websocket_memory, budget)
        self.steering = Steering(services, budget)
        self.socket = socket
        self._lanes: dict[str | None, Lane] = {}

    async def serve(self) -> None:
        """Serve the connection until the client leaves or the connection's time limit is reached."""
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
            self._lanes.clear()  # they refer back to this object
            self.budget.close()

    def stop(self, error: APIError) -> None:
        """End all running responses: the server stops."""
        for lane in self._lanes.values():
            if lane.run is not None:
                lane.run.stop(error)

    async def _read(self) -> None:
        while True:
            await asyncio.sleep(0)  # many small messages may be there already
            await self.outbox.room()  # who reads nothing is not read
            message = await self.socket.receive()
            try:
                self._take(*await by_size(len(message), _opened, message))
            except APIError as error:
                LaneSink(self.outbox, await by_size(len(message), _stream_id, message)).error(error)
            except Exception:
                unexpected("websocket", log, "request %s: WebSocket message failed", self.request_id)
                LaneSink(self.outbox, await by_size(len(message), _stream_id, message)).error(server_error())

    def _take(self, envelope: Envelope, body: bytes) -> None:
        if envelope.type == "response.create":
            self._lane(envelope.stream_id).put(body, envelope.generate is not False)
        elif envelope.type == "response.steer":
            self._steer(body)
        else:
            raise InvalidRequest(f"Unknown event type: '{envelope.type[:100]}'.", param="type")

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
            raise InvalidRequest(
                f"Too many lanes: at most {MOST_LANES} values of 'stream_id' are allowed per connection.",
                param="stream_id",
            )
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
        await asyncio.gather(*(lane.until_idle() for lane in self._lanes.values()))
        LaneSink(self.outbox, None).error(error)
        try:
            await self.outbox.flush()
            await self.socket.close(code)
        except ClientGone:
            return


def _opened(message: bytes) -> tuple[Envelope, bytes]:
    """Return a message's envelope and text; for a `response.create` the body of its request. Raises InvalidRequest."""
    message = check_json(message)
    try:
        envelope = _envelope.decode(message)
        fields = _fields.decode(message)
    except RecursionError:
        raise InvalidRequest("The message is nested too deeply.", code="invalid_json") from None
    except (msgspec.DecodeError, ValueError):
        raise InvalidRequest(
            "Invalid message: must be a JSON object with a 'type'.", param="type", code="invalid_json"
        ) from None
    if envelope.stream_id is not None and len(envelope.stream_id) > LONGEST_STREAM_ID:
        raise InvalidRequest(f"Invalid 'stream_id': must be at most {LONGEST_STREAM_ID} characters.", param="stream_id")
    if envelope.type != "response.create":
        return envelope, message
    body = {name: value for name, value in fields.items() if name not in _not_of_the_request}
    return envelope, to_json({**body, "stream": True})


def _stream_id(message: bytes) -> str | None:
    """Return the lane that a message names, also one that cannot be decoded as a whole; None where it names none."""
    try:
        name = _envelope.decode(message).stream_id
    except (msgspec.DecodeError, ValueError, RecursionError):
        found = _LANE.search(message)
        name = found[1].decode("utf-8", "replace") if found else None
    return name if name is not None and len(name) <= LONGEST_STREAM_ID else None


class WebSockets:
    """The handler of WebSocket mode, and all its connections."""

    def __init__(self, services: Services, preparer: Preparer) -> None:
        self._services = services
        self._preparer = preparer
        self._connections: set[Connection] = set()
        config = services.config
        self._budgets = Budgets(config.websocket_queue, config.websocket_owner_bytes)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection."""
        connection = Connection(self._services, self._preparer, socket, self._budgets.open(socket.owner))
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)

    @property
    def open(self) -> int:
        """Number of open connections."""
        return len(self._connections)

    def stop(self, error: APIError) -> None:
        """End all running responses of all connections."""
        for connection in list(self._connections):
            connection.stop(error)
