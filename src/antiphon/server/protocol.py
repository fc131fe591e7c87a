"""uvicorn's HTTP protocol with another request cycle: DirectExchange instead of ASGI messages.

What it adds: a limit on heads (431), a deadline for heads and bodies (408), requests in a row that don't stop the
reading of the connection (so a disconnect is always seen), answers that reach clients which are still sending.
What it uses of uvicorn 0.54 is listed in tests/server/test_uvicorn_pins.py.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from antiphon.errors import APIError, InvalidRequest
from antiphon.server.asgi import AntiphonApp
from antiphon.server.asgi_exchange import too_slow
from antiphon.server.direct import DirectExchange
from antiphon.writes import writes_of

MAX_HEAD = 64 * 1024
"""Bytes of a request line and its headers. Codex sends up to 8 kB, cookies of a shared domain more."""

KEEP_ALIVE = 75.0
"""Seconds that an idle connection stays open: longer than client libraries keep theirs in their pools."""

LINGER = 2.0
"""Seconds for a client that is still sending to notice that it has been answered."""

MOST_PIPELINED = 16
TICK = 5.0


class DirectProtocol(HttpToolsProtocol):
    """One connection. `cycle` is the request being answered; later ones wait in line."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config.app, AntiphonApp)
        self._antiphon = config.app
        self.writes = writes_of(self.loop)
        self._in_line: deque[DirectExchange] = deque()
        self._parsing: DirectExchange | None = None
        self._wants_websocket = False
        self._in_head = True
        self._received = 0  # bytes since the last complete head
        self._parsed = 0  # bytes of the head at hand
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._tick = min(TICK, self._antiphon.body_timeout / 4)
        self._deaf = False  # the last answer is out: what still comes is thrown away
        self.cycle: DirectExchange | None = None  # type: ignore[assignment]

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline(KEEP_ALIVE)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        running, waiting = self.cycle, list(self._in_line)
        self._in_line.clear()
        self.flow.resume_writing()
        self.transport.close()
        if running is not None:
            running.leave()
        for exchange in waiting:
            exchange.leave()

    def shutdown(self) -> None:
        """Close when the running answers are complete, at once where there are none."""
        if self.cycle is None or self.cycle.response_complete:
            self.hang_up()
            return
        for exchange in (self.cycle, *self._in_line):
            exchange.keep_alive = False

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._in_head:
            if not self._received:
                self._set_deadline(self._antiphon.body_timeout)
            self._received += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data, upgrade)
        except httptools.HttpParserError:
            self._refuse(InvalidRequest("This is not a valid HTTP request.", code="invalid_http"))
        else:
            if self._in_head and self._received > MAX_HEAD:
                self._refuse(head_too_large())

    def _upgrade(self, data: bytes, upgrade: httptools.HttpParserUpgrade) -> None:
        """Hand over to WebSocket; any other upgrade is passed over.

        The parser takes the body for another protocol's bytes. Java's client offers h2c with its first request, whatever
        its method: it is read again without the offer.
        """
        if self._wants_websocket:
            self._become_websocket()
            return
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._refuse(
                APIError(405, "This is not a proxy.", code="method_not_allowed", headers={"allow": "GET, POST"})
            )
            return
        head = [b"%b %b HTTP/%b\r\n" % (method, self.url, version)]
        head += [b"%b: %b\r\n" % header for header in self.headers if header[0] not in (b"upgrade", b"http2-settings")]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"".join([*head, b"\r\n", data[upgrade.args[0] :]]))

    def _become_websocket(self) -> None:
        self.writes.flush()
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an upgrade behind an unanswered request: nobody does that in earnest
            return
        self._deadline = math.inf
        self.scope = {"method": "GET", "headers": self.headers}  # type: ignore[typeddict-item]
        self.handle_websocket_upgrade()

    def _refuse(self, error: APIError) -> None:
        """Answer something that is no request, behind the answers that are still due, and hang up."""
        exchange = DirectExchange(self, "GET", b"", [])
        exchange.keep_alive = False
        exchange.refusal = error
        self._enter(exchange)
        self._deaf = True

    # Parser

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._wants_websocket = False
        self._in_head = True
        self._parsed = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._parsed += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        self._parsed += len(name) + len(value)

    def on_headers_complete(self) -> None:
        parser = self.parser
        self._in_head = False
        self._received = 0
        too_large = self._parsed > MAX_HEAD
        if parser.should_upgrade() and not too_large:
            self._wants_websocket = self._should_upgrade()
            return
        exchange = DirectExchange(self, parser.get_method().decode("ascii"), self.url, self.headers)
        exchange.old = parser.get_http_version() == "1.0"
        exchange.keep_alive = parser.should_keep_alive() and not too_large
        exchange.expects_continue = self.expect_100_continue
        if too_large:
            exchange.refusal = head_too_large()
        self._parsing = exchange
        self._enter(exchange)

    def on_body(self, body: bytes) -> None:
        if self._parsing is not None:
            self._parsing.feed(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._deadline = math.inf
        if self._parsing is not None:
            self._parsing.feed_end()
            self._parsing = None

    # Answers

    def _enter(self, exchange: DirectExchange) -> None:
        """Begin to answer a request, or let it wait for those before it."""
        if self.cycle is None or self.cycle.response_complete:
            self._start(exchange)
            return
        self._in_line.append(exchange)
        if len(self._in_line) >= MOST_PIPELINED:
            self.flow.pause_reading()

    def _start(self, exchange: DirectExchange) -> None:
        self.cycle = exchange
        app = self._antiphon
        answer = app.refuse(exchange, exchange.refusal) if exchange.refusal else app.respond(exchange)
        task = self.loop.create_task(answer)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def answered(self, exchange: DirectExchange) -> None:
        """Go on to the next request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if not exchange.keep_alive:
            self._end_after(exchange)
        elif self._in_line:
            self._start(self._in_line.popleft())
        elif not self._received:
            self._set_deadline(KEEP_ALIVE)

    def write(self, data: bytes) -> None:
        """Write bytes within this turn of the event loop."""
        self.writes.put(self.transport, data)

    def hang_up(self) -> None:
        """Close, behind what was written."""
        self.writes.flush()
        self.transport.close()

    def _end_after(self, exchange: DirectExchange) -> None:
        """Close; a client that is still sending is heard out for a moment, else a reset would swallow the answer."""
        if not exchange.more_body:
            self.hang_up()
            return
        self._deaf = True
        self.writes.flush()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.close)

    # Deadlines: one slow tick per connection is cheaper than a timer per request

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick, self._on_tick)

    def _on_tick(self) -> None:
        self._timer = None
        if self._deadline == math.inf or self.transport.is_closing():
            return
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_later(self._tick, self._on_tick)
            return
        self._deadline = math.inf
        if self._parsing is not None:
            self._parsing.fail(too_slow())
        elif self._received:
            self._refuse(too_slow())
        else:
            self.hang_up()


def head_too_large() -> APIError:
    """Return the 431."""
    return APIError(431, f"The request's headers are larger than {MAX_HEAD} bytes.", code="headers_too_large")
