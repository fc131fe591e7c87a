"""The answer of a backend as it arrives: its head, and its body in pieces."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
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

    `headers` have lower-case names. `read` returns all bytes that are there now; b"" is the end. `pour` hands them on from
    within the connection's own callback: waking a task for each token would cost more than to translate it.
    """

    __slots__ = (
        "_connection",
        "_discard",
        "_error",
        "_inflate",
        "_pieces",
        "_take",
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
        self._take: Callable[[bytes], bool] | None = None
        self._waiter: asyncio.Future[bool] | None = None
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
        return self._arrived() or await self.read()

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hand the body to `take` as it arrives. Returns True at its end, False once `take` wants no more for now.

        Raises BackendError, and what `take` raises.
        """
        if self._pieces and not self._give(take):
            return False
        if self._error is not None:
            raise self._error
        if self.complete or self._discard:
            return True
        self._take = take
        self._waiter = self._connection.loop.create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = self._take = None

    def _give(self, take: Callable[[bytes], bool]) -> bool:
        data = self._arrived()
        return not data or take(data)

    def _arrived(self) -> bytes:
        """Return what has arrived, b"" if that is only the beginning of something packed. Raises BackendError."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.size = 0
        self._connection.drained(self)
        return data if self._inflate is None else self._inflate(data)

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
        """Keep a piece; `tell` follows when all that has arrived is kept."""
        if not self._discard:
            self._pieces.append(data)
            self.size += len(data)

    def finish(self) -> None:
        self.complete = True
        self.tell()

    def fail(self, error: Exception) -> None:
        """End with an error; what has arrived can still be read."""
        self._error = error
        if not self.head.done():
            self.head.set_exception(error)
        self.tell()

    def tell(self) -> None:
        """Hand on what has arrived, or wake its reader."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._take is None:
            waiter.set_result(True)
            return
        try:
            wanted = not self._pieces or self._give(self._take)
        except Exception as error:
            waiter.set_exception(error)
            return
        if not wanted:
            waiter.set_result(False)
        elif self._error is not None:
            waiter.set_exception(self._error)
        elif self.complete or self._discard:
            waiter.set_result(True)


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
