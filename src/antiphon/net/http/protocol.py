"""One HTTP/1.1 connection to a backend, on an asyncio protocol and httptools."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import islice
from typing import Any, cast

import httptools
import msgspec

from antiphon.errors import AntiphonError, BackendError
from antiphon.net.http.response import HttpResponse, broke_off, timed_out, too_large
from antiphon.net.socket_writes import writes_of
from antiphon.net.tls import tls_fault

log = logging.getLogger("antiphon.net.http")

HEAD_LIMIT = 64 * 1024
"""Bytes of a head with all that may come before it (1xx), and of what may stand between two pieces of a body."""
HEADERS_LIMIT = 256
ANSWER_LIMIT = 256 * 1024 * 1024
UNREAD_LIMIT = 256 * 1024
LARGE_READ = 4096
"""Bytes; one who floods us fills what is read at once."""
FAIR_SHARE = 64 * 1024
"""Bytes that one connection may bring in one turn of the event loop, before others have theirs."""
LINGER_SECONDS = 1.0


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: to connect, to the first byte of a body, and of silence in the middle of it."""

    connect: float = 10.0
    first_byte: float = 600.0
    idle: float = 300.0


class StaleConnection(AntiphonError):
    """A kept connection was closed before any byte of the answer: the request may be sent again."""


class HttpConnection(asyncio.Protocol):
    """A connection that carries one request at a time.

    `released` is called with it when it can carry another one, and with `closed` when it is gone. `most` is the largest
    answer in bytes, packed or not.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        released: Callable[[HttpConnection], None],
        closed: Callable[[HttpConnection], None],
        most: int = ANSWER_LIMIT,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._writes = writes_of(self.loop)
        self._timeouts = timeouts
        self._period = min(timeouts.first_byte, timeouts.idle)
        self._released = released
        self._closed = closed
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._head: dict[bytes, bytes] = {}
        # What the parser calls with each piece of a body and each header. Of headers of one name the first counts.
        self.on_body = self._pieces.append
        self.on_header = self._head.setdefault
        self._parser: Any = httptools.HttpResponseParser(self)
        self._response: HttpResponse | None = None
        self._used = False
        self._silent = True
        self._paused = False
        self._keep = False
        self._most = most
        self._size = 0  # bytes of the answer so far
        self._between = 0  # those since the last piece of its body
        self._turn = 0.0  # the loop's time, the same for all that is read in one of its turns
        self._share = 0  # bytes in this turn
        self._waits = False
        self._backlog = b""  # what has been read and is looked at in the next turn
        self._framed = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._lingering: asyncio.TimerHandle | None = None

    # Requests

    def send(self, request: bytes) -> HttpResponse:
        """Write a request; the answer's `head` is done when the status is known, or raises BackendError or StaleConnection."""
        transport = self._transport
        response = HttpResponse(self, self.loop.create_future(), self.alive, self._most)
        if transport is None or transport.is_closing():
            response.head.set_exception(StaleConnection())
            return response
        self._response = response
        self._silent = True
        self._size = self._between = 0
        self._framed = False
        self._deadline = self.loop.time() + self._timeouts.first_byte
        if self._timer is None:
            self._timer = self.loop.call_later(self._period, self._tick)
        self._writes.put(transport, request)
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

    def linger(self, response: HttpResponse) -> None:
        """Give an answer that nobody reads any more a moment to end."""
        if response is self._response:
            self._lingering = self.loop.call_later(LINGER_SECONDS, self.close)
            self.drained(response)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:
            self.close()  # an idle connection has nothing to say
            return
        if self._backlog or len(data) > FAIR_SHARE:
            data = self._backlog + data
            data, self._backlog = data[:FAIR_SHARE], data[FAIR_SHARE:]
            self._wait()
        self._silent = False
        shortcut = response.shortcut
        if shortcut is not None:
            try:
                taken = shortcut(data)
            except Exception as error:
                response.give_up(error)
                return
            self._size += taken
            if taken == len(data):
                self._deadline = self.loop.time() + self._timeouts.idle
                if taken > LARGE_READ:
                    self._be_fair(taken)
                return
            response.shortcut = None
            data = data[taken:]
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, BackendError) as error:
            self._refuse(error)
            return
        if response.complete:
            self._end()
            return
        size = len(data)
        self._size += size
        if size > LARGE_READ:
            self._be_fair(size)
        if self._pieces:
            self._between = 0
            if not response.counts_itself:
                self._progress(self._pieces)
            last = self._pieces[-1]
            if response.body(self._pieces) > UNREAD_LIMIT and not self._paused:
                self._pause()
            if response.shortcut is not None and not data.endswith(b"%x\r\n%b\r\n" % (len(last), last)):
                response.shortcut = None  # the parser is in the middle of a chunk
        else:
            self._between += size
            if self._between > HEAD_LIMIT:
                what = "A trailer or chunk" if response.status else "The head"
                self.close(BackendError(502, f"{what} of the backend's answer is too large."))
        if self._size > self._most:
            self.close(too_large())

    def _be_fair(self, size: int) -> None:
        """Stop reading for the rest of this turn, once the connection has had its share: loops read on while there is more."""
        now = self.loop.time()
        if now != self._turn:
            self._turn, self._share = now, 0
        self._share += size
        if self._share > FAIR_SHARE:
            self._wait()

    def _wait(self) -> None:
        if not self._waits and self._transport is not None and not self._transport.is_closing():
            self._waits = True
            self._transport.pause_reading()
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._waits = False
        if self._backlog:
            data, self._backlog = self._backlog, b""
            self.data_received(data)
        if self._transport is not None and not (self._paused or self._waits or self._transport.is_closing()):
            self._transport.resume_reading()

    def _progress(self, pieces: list[bytes]) -> None:
        """Give the backend more time, unless all that it sends are the blanks and comments that keep a call waiting."""
        if any(not (piece.isspace() or (piece.startswith(b":") and b"data" not in piece)) for piece in pieces):
            self.alive()

    def alive(self) -> None:
        """Give the backend more time: a part of its answer has come."""
        self._deadline = self.loop.time() + self._timeouts.idle

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        while self._backlog and self._response is not None:
            self._go_on()  # what came before the end counts
        self._transport = None
        self._parser = None  # it holds our methods: without this the two would wait for the garbage collector
        self._closed(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._calm()
        response, self._response = self._response, None
        if response is None or response.complete:
            return
        if self._silent and self._used:
            response.fail(StaleConnection())
        elif response.status and not self._framed and error is None:
            response.finish(self._pieces)  # a body without a length ends with the connection
        elif fault := tls_fault(error):  # with TLS 1.3 a certificate that is missing is told behind the handshake
            log.warning("HTTP client: %s %s", fault, error)
            response.fail(BackendError(502, fault, retriable=True))
        else:
            response.fail(broke_off())

    def _refuse(self, error: Exception) -> None:
        """Give up on an answer that is not HTTP as we know it; what came before it can still be read."""
        if self._response is not None and not self._response.complete:
            self._response.body(self._pieces)
        if not isinstance(error, BackendError):
            cause = error.__context__ if isinstance(error.__context__, BackendError) else None
            if cause is None:
                log.warning("HTTP client: answer is not valid HTTP: %s", error)
            error = cause or BackendError(502, "The backend's answer is not valid HTTP.")
        self.close(error)

    def _end(self) -> None:
        """Hand the connection back if it can carry another request."""
        if self._backlog or self._pieces:
            self._keep = False  # more than was asked for
        self._backlog = b""
        self._pieces.clear()
        self._head.clear()  # with trailers, which mean nothing here
        self._response = None
        self._used = True
        self._calm()
        transport = self._transport
        assert transport is not None
        if self._paused:
            self._paused = False
            transport.resume_reading()
        if self._keep and not transport.get_write_buffer_size():
            self._released(self)
        else:
            transport.abort()

    def _calm(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    # httptools

    def on_message_begin(self) -> None:
        if self._response is None or self._response.complete:
            self._keep = False  # a second answer that nobody asked for: it must not become that of the next request

    def on_headers_complete(self) -> None:
        response = self._response
        if response is None or response.complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._head.clear()  # 100 Continue and its kind: the answer is still to come
            return
        response.status = status
        headers = response.headers
        for name in islice(self._head, HEADERS_LIMIT):
            headers.setdefault(name.lower(), self._head[name])
        self._framed = b"content-length" in headers or b"transfer-encoding" in headers
        response.accept()

    def on_message_complete(self) -> None:
        response = self._response
        if response is not None and response.status and not response.complete:
            self._keep = self._parser.should_keep_alive()
            response.finish(self._pieces)

    # Time

    def _tick(self) -> None:
        """Look whether the backend is late. One timer serves all reads and requests of the connection."""
        self._timer = None
        if self._response is None:
            return
        now = self.loop.time()
        if self._paused or not self._response.awaited:
            self._deadline = max(self._deadline, now + self._timeouts.idle)  # it is the reader who is slow
        if now >= self._deadline:
            self.close(timed_out())
        else:
            self._timer = self.loop.call_later(min(self._deadline - now, self._period), self._tick)
