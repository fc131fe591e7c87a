"""uvicorn's HTTP protocol with another request cycle: DirectExchange instead of ASGI messages.

What it adds: a limit on heads (431), a deadline for heads and bodies (408), requests in a row that don't stop the
reading of the connection (so a disconnect is always seen), answers that reach clients which are still sending or have
closed their writing side, refusals of malformed framing at once (`framing.py`).
What it uses of uvicorn 0.54 is listed in tests/server/http/test_uvicorn_pins.py.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from antiphon.errors import APIError
from antiphon.net.socket_writes import writes_of
from antiphon.server.asgi import AntiphonApp
from antiphon.server.http import framing
from antiphon.server.http.asgi_exchange import too_slow
from antiphon.server.http.direct_exchange import STALLED, DirectExchange, exchange_on
from antiphon.server.http.exchange import first_of_each
from antiphon.server.http.half_closed import HalfClosed
from antiphon.server.ws.uvicorn_protocol import GracefulWebSocket

KEEP_ALIVE = 75.0  # seconds that an idle connection stays open: longer than clients keep theirs in their pools
LINGER = 2.0  # seconds for a client that is still sending to notice that it has been answered
MOST_PIPELINED = 16
TICK = 5.0  # seconds between two looks at a connection's deadline, at most: cheaper than a timer per request


class DirectProtocol(HttpToolsProtocol):
    """One connection. `cycle` is the request being answered; later ones wait in line."""

    __slots__ = (  # with uvicorn's 28 they would be more than 30, so that each connection's dict had keys of its own: 2 kB
        *"_antiphon _deadline _deaf _fault _framing _half_closed _head_in _in_head _in_line _owner _parsing".split(),
        *"_piece _received _tick _timer _wants_websocket body_timeout peer writes".split(),
    )

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
        self._in_line: list[DirectExchange] = []  # a deque of nothing takes 0.6 kB
        self._parsing: DirectExchange | None = None
        self._wants_websocket = False
        self._in_head = True
        self.url = b""
        self._received = 0  # bytes since the last complete head
        self._piece = 0  # bytes that are being parsed
        self._head_in = 0  # bytes of the pieces in which the head at hand came: it has no more
        self._framing = 0  # bytes since the last head that are not the body's
        self._fault: APIError | None = None  # of a head that asks for an upgrade
        self._half_closed: HalfClosed | None = None
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self.body_timeout = self._antiphon.body_timeout
        self._tick = min(TICK, self.body_timeout / 4)
        self._deaf = False  # the last answer is out: what still comes is thrown away
        self._owner: str | None = None  # whose answer waits for its client
        self.cycle: DirectExchange | None = None  # type: ignore[assignment]

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self.set_deadline(KEEP_ALIVE)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        self._let_go()
        running, waiting, self._in_line = self.cycle, self._in_line, []
        self._all_read()
        self.flow.resume_writing()
        self.transport.close()
        for exchange in (running, *waiting):
            if exchange is not None:
                exchange.leave()
        self.cycle = self._parsing = None

    def shutdown(self) -> None:
        """Close when the running answers are complete, at once where there are none."""
        if self.cycle is None or self.cycle.response_complete:
            self.hang_up()
            return
        for exchange in (self.cycle, *self._in_line):
            exchange.keep_alive = False

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection open for the answers that are due: the client may have closed its writing side only."""
        if self.cycle is None or self.cycle.response_complete or self._parsing is not None:
            self.hang_up()
            return False
        (self._in_line[-1] if self._in_line else self.cycle).keep_alive = False
        if self.scheme == "https":
            return False  # TLS has no half-closed connections
        self._half_closed = HalfClosed(self.transport, self._probe, self.transport.abort)
        return True

    def _probe(self) -> None:
        if self.cycle is not None:
            self.cycle.probe()

    def data_received(self, data: bytes) -> None:
        rest: bytes | memoryview | None = data
        while rest and not self._deaf:
            rest = self._feed(rest)

    def _feed(self, data: bytes | memoryview) -> memoryview | None:
        """Parse; return what is to be parsed next."""
        self._piece = size = len(data)
        if self._in_head:
            if not self._received:
                self.set_deadline(self.body_timeout)
            self._received += size
            self._head_in += size
        else:
            self._framing += size
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._upgrade(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._break(framing.invalid_http(str(error)[:100].lower()))
        else:
            if self._received:
                self._check_head(data)
            elif self._framing > framing.MAX_FRAMING and not self._in_head:
                self._break(framing.invalid_http("its trailers or chunk extensions are too large"))
        return None

    def _check_head(self, data: bytes | memoryview) -> None:
        """Refuse a head that has not ended, and is too large or will never end."""
        if self._received > framing.MAX_HEAD:
            self._refuse(framing.head_too_large())
        elif framing.lacks_version(self.url, self.parser.get_http_version(), data):
            self._refuse(framing.invalid_http("its request line names no version"))

    def _upgrade(self, rest: memoryview) -> memoryview | None:
        """Hand over to WebSocket; any other upgrade is passed over. Return what is to be parsed next.

        The parser takes the body for another protocol's bytes. Java's client offers h2c with its first request, whatever
        its method: it is read again without the offer.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        fault, self._fault = self._fault, None
        if fault is None and method == b"CONNECT":
            fault = APIError(405, "This is not a proxy.", code="method_not_allowed", headers={"allow": "GET, POST"})
        if fault is None and self._wants_websocket:
            fault = framing.handshake_fault(method, version, self.headers)
        if fault is not None:
            self._refuse(fault)
            return None
        if self._wants_websocket:
            self._become_websocket(bytes(rest))
            return None
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(framing.without_upgrade(method, self.url, version, self.headers))
        return rest

    def _become_websocket(self, rest: bytes) -> None:
        self.writes.flush()
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an upgrade behind an unanswered request: nobody does that in earnest
            return
        self._deaf = True
        self._let_go()
        self.connections.discard(self)
        socket = GracefulWebSocket(config=self.config, server_state=self.server_state, app_state=self.app_state)
        socket.connection_made(self.transport)
        self.transport.set_protocol(socket)
        socket.begin(self.url, self.headers, rest)

    def _break(self, error: APIError) -> None:
        """Refuse a request whose head was good and whose body is not, or what is no request."""
        exchange, self._parsing = self._parsing, None
        if exchange is None:
            self._refuse(error)
            return
        self._deadline, self._deaf = math.inf, True
        exchange.keep_alive = False
        exchange.fail(error)

    def _refuse(self, error: APIError) -> None:
        """Answer something that is no request, behind the answers that are still due, and hang up."""
        self._answer_only(exchange_on(self, "GET", b"", [], {}), error)

    def _answer_only(self, exchange: DirectExchange, error: APIError) -> None:
        exchange.keep_alive = False
        exchange.refusal = error
        self._deadline, self._deaf = math.inf, True
        self._enter(exchange)

    # Parser

    def on_message_begin(self) -> None:
        self.url, self.headers = b"", []
        self._in_head, self._wants_websocket, self._head_in = True, False, self._piece

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer is no header (RFC 9110, 6.5.1); nobody here wants one
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, url, headers = self.parser, self.url, self.headers
        self._in_head = False
        self._received = self._framing = 0
        version, fields = parser.get_http_version(), first_of_each(headers)
        if self._head_in > framing.MAX_HEAD and framing.size_of(url, headers) > framing.MAX_HEAD:
            fault: APIError | None = framing.head_too_large()
        else:
            fault = framing.head_fault(version, url, headers, fields)
        if parser.should_upgrade():
            self._wants_websocket, self._fault = self._should_upgrade(), fault
            return
        exchange = exchange_on(self, parser.get_method().decode("ascii"), url, headers, fields)
        if fault is not None:
            self._answer_only(exchange, fault)
            return
        exchange.keep_alive = parser.should_keep_alive()
        if version == "1.0":
            exchange.old = True
        elif b"expect" in fields:
            exchange.expects_continue = fields[b"expect"].lower() == b"100-continue"
        self._parsing = exchange
        self._enter(exchange)

    def on_body(self, body: bytes) -> None:
        if self._framing:
            self._framing = max(0, self._framing - framing.SMALLEST_SHARE * len(body))
        if self._parsing is not None:
            self._parsing.feed(body)

    def on_message_complete(self) -> None:
        self._in_head, self._deadline = True, math.inf
        if self._parsing is not None:
            self._parsing.feed_end()
            self._parsing = None

    # Answers

    def _enter(self, exchange: DirectExchange) -> None:
        """Begin to answer a request, or let it wait for those before it."""
        if self.cycle is None or (self.cycle.response_complete and not self.flow.write_paused):
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
        if not exchange.keep_alive:
            self.flow.resume_reading()
            self._end_after(exchange)
        elif self.flow.write_paused:
            self.set_deadline(STALLED)  # who does not read its answer is not read, and gets no other one
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Begin with what waits in line, or wait for more."""
        self.flow.resume_reading()
        if self._in_line:
            self._start(self._in_line.pop(0))
        elif not self._received:
            self.set_deadline(KEEP_ALIVE)

    def write(self, data: bytes) -> None:
        """Write bytes within this turn of the event loop."""
        self.writes.put(self.transport, data)
        if self.flow.write_paused:
            self.wrote(len(data))

    def wrote(self, size: int) -> None:
        """Count bytes that wait, as their client reads too slowly."""
        if self._owner is None:
            self._owner = self.cycle.owner if self.cycle is not None else ""
        self._antiphon.unread.wrote(self._owner, self, size)

    def pause_writing(self) -> None:
        """Note that the client reads more slowly than it is written to."""
        super().pause_writing()
        self.wrote(0)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        super().resume_writing()
        self._all_read()
        cycle = self.cycle
        if cycle is not None and cycle.response_complete and cycle.keep_alive and not self.transport.is_closing():
            self._deadline = math.inf
            self._go_on()

    def _all_read(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            self._antiphon.unread.left(owner, self)

    def unread(self) -> int:
        """Return the bytes that wait for the client to read."""
        return self.transport.get_write_buffer_size()

    def cut_off(self) -> None:
        """Break the connection off at once, with what waits."""
        self.transport.abort()

    def hang_up(self) -> None:
        """Close, behind what was written; who does not read that for a while is cut off."""
        self.writes.flush()
        self.transport.close()
        if self.unread():
            self.loop.call_later(STALLED, self._read_or_abort, self.unread())
        elif self.scheme == "https":  # many clients do not answer the end of TLS, which would be waited for
            self.loop.call_later(LINGER, self.transport.abort)

    def _read_or_abort(self, before: int) -> None:
        unread = self.unread()
        if 0 < unread < before:
            self.loop.call_later(STALLED, self._read_or_abort, unread)
        elif unread:
            self.transport.abort()

    def _end_after(self, exchange: DirectExchange) -> None:
        """Close; a client that is still sending is heard out for a moment, else a reset would swallow the answer."""
        if not exchange.more_body:
            self.hang_up()
            return
        self._deaf = True
        self.writes.flush()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER, self.hang_up)

    def _let_go(self) -> None:
        """Drop what refers back to this object: nobody is to wait for the garbage collector."""
        self.parser = None  # type: ignore[assignment]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._half_closed is not None:
            self._half_closed.cancel()
            self._half_closed = None
        self._deadline = math.inf

    def set_deadline(self, seconds: float) -> None:
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
        if self.flow.write_paused and self.cycle is not None and self.cycle.response_complete:
            self.hang_up()
        elif self._parsing is not None:
            self._parsing.fail(too_slow())
        elif self._received:
            self._refuse(too_slow())
        else:
            self.hang_up()
