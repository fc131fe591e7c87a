"""Requests to the server under test: everything that comes back is bounded in size and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from antiphon.conformance.base import NonConforming, NotOffered, ServerUnderTest
from antiphon.conformance.event_stream import EventReader, ReadEvent
from antiphon.core.json_encoding import to_json
from antiphon.core.request.json_text import check_json
from antiphon.errors import BackendError, InvalidRequest
from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient, HttpResponse, Timeouts
from antiphon.net.proxies import proxy_for

Json = dict[str, Any]

MOST_BYTES = 8 * 1024 * 1024
"""Bytes of an answer."""
MOST_EVENTS = 20_000
"""Events of a stream, and messages of a connection."""
MOST_MESSAGE = 1024 * 1024
"""Bytes of a message of a WebSocket connection."""


class CheckRequest(msgspec.Struct, frozen=True):
    """A request: `path` stands below the base URL; `body` is JSON or a form, `kind` its media type."""

    method: str
    path: str
    body: bytes = b""
    kind: str = "application/json"


class Answered(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    kind: str
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says; None where it is no JSON, or too much of it."""
        return decoded(self.body)


class Streamed(msgspec.Struct, frozen=True):
    """The events of a stream. `done`: it ended with `[DONE]`."""

    status: int
    kind: str
    events: list[ReadEvent]
    done: bool


def decoded(text: bytes) -> Any:
    """Return what JSON says; None for what is none, and for what is too deep or too much."""
    try:
        return msgspec.json.decode(check_json(text))
    except (msgspec.MsgspecError, InvalidRequest, ValueError, RecursionError):
        return None


class Socket:
    """A WebSocket connection to `/responses`."""

    def __init__(self, connection: ClientConnection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def send(self, message: Json) -> None:
        """Send a message."""
        await self._connection.send(to_json(message).decode())

    async def receive(self) -> Json:
        """Return the next message. Raises NonConforming where none comes, or one that is no JSON object."""
        try:
            async with asyncio.timeout(self._timeout):
                text = await self._connection.recv()
        except TimeoutError:
            raise NonConforming(f"no message within {self._timeout:.0f} s") from None
        except WebSocketException as error:
            raise NonConforming(f"the connection ended: {error}") from None
        message = decoded(text.encode() if isinstance(text, str) else text)
        if not isinstance(message, dict):
            raise NonConforming("a message is no JSON object")
        return message


class _DirectConnect(connect):
    """Follows no redirect: it would carry the key to another server."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Return the refusal as it is."""
        return exc


class Wire:
    """Sends requests to one server."""

    def __init__(self, target: ServerUnderTest) -> None:
        self.address = parse_url(target.url)
        self.target = target
        headers = {"authorization": f"Bearer {target.key}"} if target.key else {}
        self._messages = b"anthropic-version: 2023-06-01\r\n"
        if target.key.isascii() and target.key.isprintable():
            self._messages += f"x-api-key: {target.key}\r\n".encode() if target.key else b""
        times = Timeouts(connect=10.0, first_byte=target.timeout, idle=target.timeout)
        proxy = proxy_for(self.address)
        self._client = HttpClient(
            self.address, headers=headers, timeouts=times, max_idle=2, max_answer=MOST_BYTES, proxy=proxy
        )

    async def send(self, asked: CheckRequest) -> Answered:
        """Return the whole answer. Raises NonConforming where none comes."""
        try:
            async with asyncio.timeout(self.target.timeout):
                response = await self._begin(asked)
                body = await response.read_all(MOST_BYTES)
        except TimeoutError:
            raise NonConforming(f"no whole answer within {self.target.timeout:.0f} s") from None
        except BackendError as error:
            raise NonConforming(_words(error)) from None
        return Answered(response.status, _kind(response), body)

    async def stream(self, asked: CheckRequest, most: int = MOST_EVENTS) -> Streamed:
        """Return the events of a stream; after `most` of them the connection is closed. Raises NonConforming."""
        reader = EventReader()
        events: list[ReadEvent] = []
        try:
            async with asyncio.timeout(self.target.timeout):
                response = await self._begin(asked)
                kind = _kind(response)
                if response.status != 200 or kind != "text/event-stream":
                    body = await response.read_all(MOST_BYTES)
                    return Streamed(response.status, kind, [ReadEvent("", body)], False)
                size = 0
                try:
                    while len(events) < most and (data := await response.read()):
                        size += len(data)
                        if size > MOST_BYTES:
                            raise NonConforming(f"a stream of more than {MOST_BYTES} bytes")
                        events += reader.feed(data)
                finally:
                    response.abort()
        except TimeoutError:
            raise NonConforming(f"the stream does not end within {self.target.timeout:.0f} s") from None
        except BackendError as error:
            raise NonConforming(_words(error)) from None
        if len(events) >= MOST_EVENTS:
            raise NonConforming(f"a stream of more than {MOST_EVENTS} events")
        done = bool(events) and events[-1].data == b"[DONE]"
        return Streamed(200, kind, [event for event in events if event.data != b"[DONE]"][:most], done)

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[Socket]:
        """Open a WebSocket connection until the block ends. Raises NotOffered where the server refuses it."""
        scheme = "wss" if self.address.tls else "ws"
        url = f"{scheme}://{self.address.named()}{self.address.target('/responses')}"
        headers = {"authorization": f"Bearer {self.target.key}"} if self.target.key else {}
        try:
            connection = await _DirectConnect(
                url,
                additional_headers=headers,
                max_size=MOST_MESSAGE,
                open_timeout=10.0,
                close_timeout=2.0,
                ssl=True if self.address.tls else None,
            )
        except (OSError, WebSocketException, TimeoutError) as error:
            raise NotOffered(f"GET /responses as a WebSocket: {error or 'no answer'}") from None
        async with connection:
            yield Socket(connection, self.target.timeout)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _begin(self, asked: CheckRequest) -> HttpResponse:
        path = self.address.target(asked.path)
        more = self._messages if asked.path.startswith("/messages") else b""
        return await self._client.send(asked.method, path, asked.body, more, asked.kind.encode("ascii"))


def _kind(response: HttpResponse) -> str:
    return response.header(b"content-type").decode("latin-1").partition(";")[0].strip().lower()


def _words(error: BackendError) -> str:
    return error.message.replace("The backend's", "the").replace("The backend", "the server")
