"""One HTTP/1.1 connection to a backend, on an asyncio protocol and httptools; and the answer that is read from it."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable
from typing import Any, cast

import httptools
import msgspec

from antiphon.errors import BackendError

log = logging.getLogger("antiphon.backends")

HEAD_LIMIT = 64 * 1024
UNREAD_LIMIT = 256 * 1024


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: to connect, to the first byte of a body, and of silence in the middle of it."""

    connect: float = 10.0
    first_byte: float = 600.0
    idle: float = 300.0


class StaleConnection(Exception):
    """A kept connection was closed before any byte of the answer: the request may be sent again."""


def broke_off() -> BackendError:
    return BackendError(502, "The backend broke off in the middle of its answer.", retriable=True)


def timed_out() -> BackendError:
    return BackendError(504, "The backend did not answer in time.", code="backend_timeout", retriable=True)


class HttpResponse:
    """An answer: its head, and its body as it arrives.

    `headers` have lower-case names. `read` returns all bytes that are there now; b"" is the end.
    """

    __slots__ = (
        "_connection",
        "_error",
        "_inflate",
        "_pieces",
        "_waiter",
        "complete",
        "head",
        "headers",
        "size",
        "status",
    )

    def __init__(self, connection: Connection, head: asyncio.Future[None]) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.head = head
        self.size = 0
        self.complete = False
        self._connection = connection
        self._pieces: list[bytes] = []
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._inflate: Inflate | None = None

    def header(self, name: bytes) -> bytes:
        """Return the value of a header by its lower-case name, b"" if it did not come."""
        return next((value for key, value in self.headers if key == name), b"")

    async def read(self) -> bytes:
        """Return all bytes of the body that have arrived, waiting for the first; b"" at its end. Raises BackendError."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.size = 0
        self._connection.drained(self)
        return data if self._inflate is None else await self._inflated(data)

    async def _inflated(self, data: bytes) -> bytes:
        assert self._inflate is not None
        return self._inflate(data) or await self.read()

    async def read_all(self, limit: int = 64 * 1024 * 1024) -> bytes:
        """Return the whole body. Raises BackendError, also where it is larger than `limit` bytes."""
        data = await self.read()
        if self.complete and not self._pieces and self._error is None:
            return data
        pieces = [data]
        size = len(data)
        while data := await self.read():
            pieces.append(data)
            size += len(data)
            if size > limit:
                self.abort()
                raise BackendError(502, "The backend's answer is too large.")
        return b"".join(pieces)

    def abort(self) -> None:
        """Close the connection at once, unless the answer is whole. Idempotent."""
        if not self.complete and self._error is None:
            self._connection.close(broke_off())

    # What the connection calls

    def accept(self) -> None:
        """Take note that the head is whole."""
        encoding = self.header(b"content-encoding").lower()
        if encoding and encoding != b"identity":
            self._inflate = Inflate(encoding)
        if not self.head.done():
            self.head.set_result(None)

    def body(self, data: bytes) -> None:
        self._pieces.append(data)
        self.size += len(data)
        self._wake()

    def finish(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """End with an error; what has arrived can still be read."""
        self._error = error
        if not self.head.done():
            self.head.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Inflate:
    """Unpacks a body that came packed although we asked for `identity`."""

    def __init__(self, encoding: bytes) -> None:
        if encoding not in (b"gzip", b"x-gzip", b"deflate"):
            raise BackendError(502, "The backend's answer is packed in a way that is not understood.")
        self._raw_allowed = encoding == b"deflate"
        self._stream = zlib.decompressobj(47)

    def __call__(self, data: bytes) -> bytes:
        """Return what can be unpacked so far. Raises BackendError where the data is damaged."""
        raw_allowed, self._raw_allowed = self._raw_allowed, False
        try:
            return self._stream.decompress(data)
        except zlib.error:
            if raw_allowed:
                # Some servers send bare deflate data, without zlib's frame around it.
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
                return self(data)
            raise BackendError(502, "The backend's answer is damaged.") from None


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time.

    `released` is called with it when it can carry another one, and with `closed` when it is gone.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        released: Callable[[Connection], None],
        closed: Callable[[Connection], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._period = min(timeouts.first_byte, timeouts.idle)
        self._released = released
        self._closed = closed
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._response: HttpResponse | None = None
        self._used = False
        self._silent = True
        self._paused = False
        self._keep = False
        self._head_size = 0
        self._framed = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # Requests

    def send(self, request: bytes) -> HttpResponse:
        """Write a request; the answer's `head` is done when the status is known, or raises BackendError or StaleConnection."""
        transport = self._transport
        response = HttpResponse(self, self.loop.create_future())
        if transport is None or transport.is_closing():
            response.head.set_exception(StaleConnection())
            return response
        self._response = response
        self._silent = True
        self._head_size = 0
        self._framed = False
        self._deadline = self.loop.time() + self._timeouts.first_byte
        if self._timer is None:
            self._timer = self.loop.call_later(self._period, self._tick)
        transport.write(request)
        return response

    def close(self, error: Exception | None = None) -> None:
        """Close at once; an answer in the making fails with the error."""
        response, self._response = self._response, None
        if response is not None and not response.complete:
            response.fail(error or broke_off())
        if self._transport is not None:
            self._transport.abort()

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def drained(self, response: HttpResponse) -> None:
        """Go on reading after the reader has caught up."""
        if self._paused and response is self._response and self._transport is not None:
            self._paused = False
            self._deadline = self.loop.time() + self._timeouts.idle
            self._transport.resume_reading()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:
            self.close()  # an idle connection has nothing to say
            return
        self._silent = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, BackendError) as error:
            self._refuse(error)
            return
        if response.complete:
            self._end()
            return
        if not response.status:
            self._head_size += len(data)
            if self._head_size > HEAD_LIMIT:
                self.close(BackendError(502, "The head of the backend's answer is too large."))
        elif response.size:
            self._deadline = self.loop.time() + self._timeouts.idle
            if response.size > UNREAD_LIMIT and not self._paused:
                self._pause()

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._parser = None  # it holds our methods: without this the two would wait for the garbage collector
        self._closed(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        response, self._response = self._response, None
        if response is None or response.complete:
            return
        if self._silent and self._used:
            response.fail(StaleConnection())
        elif response.status and not self._framed and error is None:
            response.finish()  # a body without a length ends with the connection
        else:
            response.fail(broke_off())

    def _refuse(self, error: Exception) -> None:
        """Give up on an answer that is not HTTP as we know it."""
        if not isinstance(error, BackendError):
            cause = error.__context__ if isinstance(error.__context__, BackendError) else None
            log.warning("a backend's answer is not valid HTTP: %s", error)
            error = cause or BackendError(502, "The backend's answer is not valid HTTP.")
        self.close(error)

    def _end(self) -> None:
        """Hand the connection back if it can carry another request."""
        self._response = None
        self._used = True
        transport = self._transport
        assert transport is not None
        if self._paused:
            self._paused = False
            transport.resume_reading()
        if self._keep and not transport.get_write_buffer_size():
            self._released(self)
        else:
            transport.abort()

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        response = self._response
        if response is None or response.complete:
            self._keep = False  # a second answer that nobody asked for
        else:
            response.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        response = self._response
        if response is None or response.complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            response.headers.clear()  # 100 Continue and its kind: the answer is still to come
            return
        response.status = status
        names = [name for name, _ in response.headers]
        self._framed = b"content-length" in names or b"transfer-encoding" in names
        response.accept()

    def on_body(self, data: bytes) -> None:
        response = self._response
        if response is not None and not response.complete:
            response.body(data)

    def on_message_complete(self) -> None:
        response = self._response
        if response is not None and response.status and not response.complete:
            self._keep = self._parser.should_keep_alive()
            response.finish()

    # Time

    def _tick(self) -> None:
        """Look whether the backend is late. One timer serves all reads and requests of the connection."""
        self._timer = None
        if self._response is None:
            return
        now = self.loop.time()
        if self._paused:
            self._deadline = now + self._timeouts.idle
        if now >= self._deadline:
            self.close(timed_out())
        else:
            self._timer = self.loop.call_later(min(self._deadline - now, self._period), self._tick)
