"""uvicorn's WebSocket protocol with an own handshake, shutdown and limits.

The handshake is parsed and checked before. Running responses are not cut off when the server stops. Clients that do not
read are disconnected, and a connection's memory is freed at once, without the garbage collector.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import unquote

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from antiphon.server.http.framing import handshake_head, origin_form
from antiphon.server.http.messages import Header
from antiphon.server.ws.asgi_socket import STOPPING

MOST_FRAGMENTS = 4096
"""Frames of one message. Clients send one, or one for each 16 kB and more."""

SLICE = 4096
"""Bytes that are parsed at once: 700 empty frames, or one that unpacks to `websocket_max_message`."""

SHARE = 0.005
"""Seconds that one connection may take in a turn of the event loop; the rest of what it sent waits for the next."""

LAST_WRITE = 5.0
"""Seconds for what is written last to go out to a client that is closed, and for that client to close, too."""


class GracefulWebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    _url = b"/"
    _headers: Sequence[Header] = ()
    _backlog = b""
    _lingering = False

    def begin(self, url: bytes, headers: Sequence[Header], rest: bytes) -> None:
        """Open the connection with a handshake that is in order; `rest` is what came behind it."""
        self._url, self._headers = url, headers
        super().data_received(handshake_head(headers))
        if rest:
            self.data_received(rest)

    def handle_connect(self, event: Request) -> None:
        """Pass the request head to the application, whose task starts later."""
        super().handle_connect(event)
        path, query, authority = origin_form(self._url)
        headers = list(self._headers)
        if authority is not None:
            headers = [header for header in headers if header[0] != b"host"] + [(b"host", authority)]
        self.scope["raw_path"], self.scope["path"] = path, unquote(path.decode("latin-1"))
        self.scope["query_string"], self.scope["headers"] = query, headers

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, in small steps."""
        if self._lingering:
            return
        if self._backlog or not self.handshake_complete:
            self._backlog += data
            if len(self._backlog) > SLICE:
                self.transport.pause_reading()
        elif len(data) <= SLICE:
            super().data_received(data)
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        end = time.perf_counter() + SHARE
        for begin in range(0, len(data), SLICE):
            if self._lingering or self.transport.is_closing():
                return
            if begin and time.perf_counter() > end:
                self._backlog = data[begin:]
                self.transport.pause_reading()
                self.loop.call_soon(self._go_on)
                return
            super().data_received(data[begin : begin + SLICE])

    def start_keepalive(self) -> None:
        """Parse what came before the handshake was answered: only an open connection can be told of an error."""
        super().start_keepalive()
        if self._backlog:
            self.transport.pause_reading()
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        data, self._backlog = self._backlog, b""
        if self.transport.is_closing():
            return
        self._parse(data)
        if not (self._backlog or self.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """Return the next event; more is read once those before it, and what waits to be parsed, are taken."""
        event = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            if not self._backlog:
                self.transport.resume_reading()
        return event

    def connection_lost(self, exc: Exception | None) -> None:
        """Break the cycle of the WebSocket library's objects: the parser is a generator that refers to its owner."""
        super().connection_lost(exc)
        self.conn.parser.close()

    def keepalive_timeout(self) -> None:
        """Close the connection of a client that answers no ping: what it does not read is not kept."""
        super().keepalive_timeout()
        self.loop.call_later(LAST_WRITE, self.transport.abort)

    def handle_cont(self, event: Frame) -> None:
        """Receive a fragment of a message; their number is limited, because empty ones have no size."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self._fail(1008, "too many fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a message over as bytes: it is JSON, and read as such."""
        if self.curr_msg_data_type == "text":
            self.curr_msg_data_type = "bytes"
            data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
            try:
                str(data, "utf-8")
            except UnicodeDecodeError:
                self.frames = []
                self._fail(1007, "a text message is not UTF-8")
                return
            self.frames = [bytes(data)]
        super().send_receive_event_to_app()

    def _fail(self, code: int, reason: str) -> None:
        if not self.close_sent:
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """Tell the client of its error (RFC 6455, 7.1.7), and throw away what it sends until it closes, too.

        To close a socket that has something unread resets the connection: a client that still writes never sees why.
        """
        self._lingering = True
        close = self.conn.close_sent
        if not self.close_sent and close is not None:
            self.close_sent = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(LAST_WRITE, self.transport.abort)
        self._backlog, self.read_paused = b"", False
        self.transport.resume_reading()

    def shutdown(self) -> None:
        """Tell the handler that the server stops; it closes when it is done."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait(cast(Any, {"type": STOPPING}))
        else:
            super().shutdown()
