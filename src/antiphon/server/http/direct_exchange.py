"""An Exchange that writes straight to uvicorn's transport: no message per write, no copy of the scope, exact disconnects."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import msgspec

from antiphon.errors import APIError
from antiphon.server.http.body import too_large
from antiphon.server.http.exchange import Take, first_of_each
from antiphon.server.http.framing import origin_form
from antiphon.server.http.messages import ClientGone, Header

if TYPE_CHECKING:
    from antiphon.server.http.uvicorn_protocol import DirectProtocol

HIGH_WATER = 64 * 1024
"""Bytes of a body that are taken in before somebody asks for it."""

STALLED = 120.0
"""Seconds in which a client that is sent something reads some of it, or is cut off."""

_REASONS = {status.value: status.phrase.encode() for status in http.HTTPStatus}
_STATUS_LINES = {status: b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b"")) for status in range(100, 600)}
_line_of = b": ".join
_ALL_BEGIN_WITH = b"HTTP/1.1 "

MOST_ZEROS = 8
"""Zeros before the length of a chunk; some readers take no more than 16 digits."""


class DirectExchange(msgspec.Struct, eq=False):
    """One request on a connection of uvicorn's. uvicorn itself looks at `keep_alive` and `response_complete`."""

    _protocol: DirectProtocol
    method: str
    raw_path: bytes
    query_string: bytes
    headers: Sequence[Header]
    fields: Mapping[bytes, bytes]
    client: str
    scheme: str
    root_path: str = ""  # nothing is mounted here, unless `forwarded.Way` says so
    direct_host: bytes | None = None
    owner: str = ""
    answered: bool = False
    response_complete: bool = False
    gone: bool = False
    more_body: bool = True
    keep_alive: bool = True
    old: bool = False  # HTTP/1.0: no chunks
    expects_continue: bool = False
    refusal: APIError | None = None  # all the answer that it will get
    _body: list[bytes] = []
    _buffer: BytesIO | None = None  # a body that is not small: made whole as it comes, without one long copy
    _size: int = 0
    _unread: int = 0  # bytes that are here, and not asked for yet
    _streamed: bool = False  # it is read in parts
    _limit: int = -1  # nobody has asked for the body yet
    _take: Take | None = None
    _failure: APIError | None = None
    _waiter: asyncio.Future[None] | None = None
    _callback: Callable[[], object] | None = None
    _chunked: bool = False
    _probes: int = 0  # bytes of what comes next that were sent before it

    # Request

    def feed(self, data: bytes) -> None:
        """Take in a part of the body; what comes after the answer is thrown away."""
        if self.response_complete or self._failure is not None:
            return
        size = len(data)
        self._size += size
        self._unread += size
        if 0 <= self._limit < self._size:
            self.fail(too_large(self._limit))
            return
        if self._take is not None and not self._taken(size):
            return
        if self._unread > HIGH_WATER:
            self._feed_much(data)
        else:
            self._body.append(data)
        if self._streamed:
            self._wake()

    def _feed_much(self, data: bytes) -> None:
        if self._buffer is None and self._body:
            self._buffer = BytesIO()
            self._buffer.writelines(self._body)
            self._body.clear()
        if self._buffer is not None:
            self._buffer.write(data)
        else:
            self._body.append(data)
        if self._limit < 0 or self._streamed:
            self._protocol.flow.pause_reading()

    def _taken(self, size: int) -> bool:
        assert self._take is not None
        try:
            self._take(size)
        except APIError as error:
            self.fail(error)
            return False
        return True

    def feed_end(self) -> None:
        """Note that the body is complete."""
        self.more_body = False
        self._wake()

    def fail(self, error: APIError) -> None:
        """Let `read_body` raise an error."""
        self._failure = error
        self._drop_body()
        self._wake()

    def leave(self) -> None:
        """Note that the client has gone."""
        self.gone = True
        self._wake()
        callback, self._callback = self._callback, None
        if callback is not None and not self.response_complete:
            callback()

    async def read_body(self, limit: int, take: Take | None = None) -> bytes:
        """Return the body as it came. Raises APIError 413, 408 or what `take` raises, and ClientGone."""
        self._limit = limit
        if take is not None:
            self._take = take
            self._taken(self._size)
        self._protocol.flow.resume_reading()  # what is buffered is asked for; and only who reads sees a client leave
        if self._size > limit:
            self.fail(too_large(limit))
        while self.more_body and not self.gone and self._failure is None:
            await self._more()
        return self._taken_in()

    async def read_part(self, limit: int) -> bytes:
        """Return what of the body has come since the last call, b"" at its end. Raises APIError 413 or 408, and ClientGone."""
        self._limit, self._streamed = limit, True
        if self._size > limit:
            self.fail(too_large(limit))
        while self.more_body and not self._unread and not self.gone and self._failure is None:
            self._protocol.set_deadline(self._protocol.body_timeout)  # it has its time anew
            await self._more()
        part = self._taken_in()
        if self.more_body:
            self._protocol.set_deadline(self._protocol.body_timeout)
            self._protocol.flow.resume_reading()
        return part

    def _taken_in(self) -> bytes:
        """Return what has come of the body, and let go of it. Raises what went wrong with it, and ClientGone."""
        if self._failure is not None:
            raise self._failure
        if self.gone:
            raise ClientGone
        pieces, buffer = self._body, self._buffer
        self._body, self._buffer = [], None  # not held beside the whole: an open stream keeps its request
        self._unread = 0
        if buffer is not None:
            return buffer.getvalue()  # no copy
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _drop_body(self) -> None:
        self._body.clear()
        self._buffer = None

    async def _more(self) -> None:
        if self.expects_continue:
            self.expects_continue = False
            self._protocol.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._protocol.flow.resume_reading()
        self._waiter = self._protocol.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def on_disconnect(self, callback: Callable[[], object]) -> None:
        """Call back when the client goes away."""
        self._callback = callback
        if self.gone:
            self.leave()

    # Answer

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send a whole answer in one write."""
        if self.gone:
            return
        head = self._head(status, headers)
        if self.method == "HEAD":
            body = b""
        if len(body) <= HIGH_WATER:
            self._protocol.write(b"\r\n".join([*head, b"", body]))
        else:
            self._protocol.write(b"\r\n".join([*head, b"", b""]))
            self._protocol.write(body)
        self._complete()

    def begin(self, status: int, headers: Sequence[Header], length: int | None = None) -> DirectExchange:
        """Send the head of a streamed answer, of so many bytes where that is known. Raises ClientGone."""
        if self.gone:
            raise ClientGone
        self._chunked = not self.old and length is None
        if length is not None:
            headers = (*headers, (b"content-length", b"%d" % length))
        elif self.old:
            self.keep_alive = False  # the connection's end is the answer's end
        self._protocol.write(b"\r\n".join([*self._head(status, headers), b"", b""]))
        return self

    def _head(self, status: int, headers: Sequence[Header]) -> list[bytes]:
        """Return the lines of the answer's head, without the bytes that `probe` has sent of it."""
        self.answered = True
        if self.more_body:
            self.keep_alive = False  # the rest of the body is not worth waiting for
        usual = self._protocol.server_state.default_headers
        head = [_STATUS_LINES[status][self._probes :], *map(_line_of, usual), *map(_line_of, headers)]
        self._probes = 0
        if not self.keep_alive:
            head.append(b"connection: close")
        elif self.old:
            head.append(b"connection: keep-alive")
        if self._chunked:
            head.append(b"transfer-encoding: chunked")
        return head

    def write_nowait(self, data: bytes) -> bool:
        """Send bytes. Returns False where the client reads too slowly: `drain` waits for it. Raises ClientGone."""
        if self.gone or self.response_complete:
            raise ClientGone
        size, protocol = len(data), self._protocol
        if self._chunked and 0 < size <= HIGH_WATER:
            protocol.writes.put(protocol.transport, b"%x\r\n%b\r\n" % (size, data))
            if protocol.flow.write_paused:
                protocol.wrote(size)
                return False
            return True
        if size and not self._chunked:
            protocol.write(data)
        elif size:  # an empty chunk would end the answer
            for piece in (b"%x\r\n" % size, data, b"\r\n"):  # in a row they would be a copy
                protocol.write(piece)
        return not protocol.flow.write_paused

    async def drain(self) -> None:
        """Wait while the client reads too slowly; one that reads nothing for a while counts as gone. Raises ClientGone."""
        if self._protocol.flow.write_paused:
            await self._drain()
        if self.gone:
            raise ClientGone

    async def _drain(self) -> None:
        unread = self._protocol.unread()
        while self._protocol.flow.write_paused:
            try:
                async with asyncio.timeout(STALLED):
                    await self._protocol.flow.drain()
            except TimeoutError:
                before, unread = unread, self._protocol.unread()
                if unread >= before:
                    self._protocol.transport.abort()
                    raise ClientGone from None

    async def write(self, data: bytes) -> None:
        """Send bytes. Raises ClientGone."""
        self.write_nowait(data)
        await self.drain()

    async def close(self, last: bytes = b"") -> None:
        """End the answer, after its last bytes."""
        if self.gone or self.response_complete:
            return
        if self.method != "HEAD":
            if self._chunked:
                last = b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last) if last else b"0\r\n\r\n"
            if last:
                self._protocol.write(last)
        self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self._callback = None
        self._drop_body()
        self._protocol.answered(self)

    def probe(self) -> None:
        """Send a byte that does no harm, so that a client which has gone answers it with a reset.

        It is one of those that every answer begins with; in a stream it is a zero before the length of the next chunk.
        """
        if self.response_complete:
            return
        if not self.answered:
            byte = _ALL_BEGIN_WITH[self._probes : self._probes + 1]
        else:
            byte = b"0" if self._chunked and self._probes < MOST_ZEROS else b""
        if byte:
            self._probes += 1
            self._protocol.write(byte)

    def abort(self) -> None:
        """Break the connection off; what was written before still goes out."""
        if not self.response_complete:
            self.response_complete = True
            self._callback = None
            self._protocol.hang_up()

    async def finish(self) -> None:
        """Break off what was begun and not ended."""
        if not self.response_complete:
            self.abort()


def exchange_on(
    protocol: DirectProtocol, method: str, url: bytes, headers: Sequence[Header], fields: Mapping[bytes, bytes]
) -> DirectExchange:
    """Return the Exchange of a request with that head; `fields` are `first_of_each` of its headers."""
    path, query, authority = origin_form(url)
    if authority is not None:
        headers = [header for header in headers if header[0] != b"host"] + [(b"host", authority)]
        fields = first_of_each(headers)
    return DirectExchange(protocol, method, path, query, headers, fields, protocol.peer, protocol.scheme or "http")
