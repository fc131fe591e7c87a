"""The answer of a backend as it arrives: its head, and its body in pieces."""

from __future__ import annotations

import asyncio
import zlib
from typing import Protocol

from antiphon.errors import BackendError


class Carrier(Protocol):
    """The connection that an answer comes on."""

    loop: asyncio.AbstractEventLoop

    def close(self, error: Exception | None = None) -> None:
        """Close at once; the answer fails with the error."""
        ...

    def drained(self, response: HttpResponse) -> None:
        """Go on reading after the reader has caught up."""
        ...

    def linger(self, response: HttpResponse) -> None:
        """Give an answer that nobody reads any more a moment to end."""
        ...


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
        "_discard",
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

    def __init__(self, connection: Carrier, head: asyncio.Future[None]) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.head = head
        self.size = 0
        self.complete = False
        self._connection = connection
        self._pieces: list[bytes] = []
        self._discard = False
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
            if self.complete or self._discard:
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

    def release(self) -> None:
        """Take the answer as whole: what still comes is passed over, so that the connection can carry the next request.

        It is closed if the end does not come soon. Idempotent.
        """
        if not (self.complete or self._discard or self._error):
            self._discard = True
            self._pieces.clear()
            self._connection.linger(self)

    # What the connection calls

    def accept(self) -> None:
        """Take note that the head is whole."""
        encoding = self.header(b"content-encoding").lower()
        if encoding and encoding != b"identity":
            self._inflate = Inflate(encoding)
        if not self.head.done():
            self.head.set_result(None)

    def body(self, data: bytes) -> None:
        if self._discard:
            return
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
