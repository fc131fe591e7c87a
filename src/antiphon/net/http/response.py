"""HTTP answer as it arrives: head, then body in pieces."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Protocol

import msgspec

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

    def alive(self) -> None:
        """Give the backend more time: a part of its answer has come."""
        ...


WHOLE_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer that is read whole."""
UNPACKED_AT_ONCE = 8 * 1024 * 1024
"""Bytes that one read may unpack to: more would hold up everybody else."""


def too_large() -> BackendError:
    return BackendError(502, "The backend's answer is too large.")


def broke_off() -> BackendError:
    return BackendError(502, "The backend's answer ended early.", retriable=True)


def timed_out() -> BackendError:
    return BackendError(504, "The backend did not answer in time.", code="backend_timeout", retriable=True)


class HttpResponse(msgspec.Struct, eq=False):
    """An answer: its head, and its body as it arrives.

    `headers` have lower-case names. `read` returns all bytes that are there now; b"" is the end. `pour` hands them on from
    within the connection's own callback: waking a task for each token would cost more than to translate it.
    """

    _connection: Carrier
    head: asyncio.Future[None]
    alive: Callable[[], None]  # gives the backend more time
    _most: int = WHOLE_LIMIT
    status: int = 0
    headers: dict[bytes, bytes] = {}
    complete: bool = False
    size: int = 0
    counts_itself: bool = False  # the reader tells by `alive` what is a part of the answer, and no mere sign of life
    _pieces: list[bytes] = []
    shortcut: Callable[[bytes], int] | None = None
    """Takes what is read from the socket as it is, and returns how many bytes of it: whole pieces of a chunked body. Only where a
    piece has just ended, and until it leaves something over: the rest, and what follows, comes by `pour` again."""
    _discard: bool = False
    _error: Exception | None = None
    _take: Callable[[bytes], bool] | None = None
    _waiter: asyncio.Future[bool] | None = None
    _inflate: Inflate | None = None

    @property
    def awaited(self) -> bool:
        """Tell whether somebody waits for more of it."""
        return self._waiter is not None or not self.head.done()

    def header(self, name: bytes) -> bytes:
        """Return the value of a header by its lower-case name, b"" if it did not come."""
        return self.headers.get(name, b"")

    async def read(self) -> bytes:
        """Return all bytes of the body that have arrived, waiting for the first; b"" at its end. Raises BackendError."""
        data: list[bytes] = []

        def take(some: bytes) -> bool:
            data.append(some)
            return False

        await self.pour(take)
        return data[0] if data else b""

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hand the body to `take` as it arrives. Returns True at its end, False once `take` wants no more for now.

        Raises BackendError, and what `take` raises.
        """
        if self.complete and not (self._inflate or self._error or self._discard):
            pieces, self._pieces, self.size = self._pieces, [], 0  # nothing is left to wait for
            return not pieces or take(b"".join(pieces))
        self._take = take
        waiter: asyncio.Future[bool] = self._connection.loop.create_future()
        self._waiter = waiter
        try:
            if self._pieces:
                pieces, self._pieces, self.size = self._pieces, [], 0
                self._connection.drained(self)
                self.body(pieces)
            if not waiter.done():
                if self._error is not None:
                    raise self._error
                if self.complete or self._discard:
                    return True
            return await waiter
        finally:
            self._waiter = self._take = self.shortcut = None

    async def read_all(self, limit: int = WHOLE_LIMIT) -> bytes:
        """Return the whole body. Raises BackendError, also where it is larger than `limit` bytes."""
        limit = min(limit, self._most)
        if self.complete and self.size <= limit and not (self._inflate or self._error or self._discard):
            whole, self._pieces = self._pieces, []  # it has come with its head
            return whole[0] if len(whole) == 1 else b"".join(whole)
        pieces: list[bytes] = []
        size = 0

        def take(data: bytes) -> bool:
            nonlocal size
            pieces.append(data)
            size += len(data)
            return size <= limit

        if not await self.pour(take):
            self.abort()
            raise too_large()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

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

    def pause(self) -> None:
        """End the `pour` at hand as a reader does that wants no more for now. To be called by the shortcut."""
        self.shortcut = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(False)

    # What the connection calls

    def give_up(self, error: Exception) -> None:
        """End the `pour` at hand with an error of its reader."""
        self.shortcut = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def accept(self) -> None:
        """Take note that the head is whole."""
        encoding = self.headers.get(b"content-encoding")
        if encoding and encoding.lower() != b"identity":
            self._inflate = Inflate(encoding.lower(), self._most)
        if not self.head.done():
            self.head.set_result(None)

    def body(self, pieces: list[bytes]) -> int:
        """Take over what has arrived, and hand it on where somebody waits for it. Returns how many bytes still wait."""
        waiter = self._waiter
        if waiter is not None and self._take is not None and not waiter.done():
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            try:
                if self._inflate is not None:
                    data = self._inflate(data)
                if data and not self._take(data):
                    waiter.set_result(False)
            except Exception as error:
                waiter.set_exception(error)
            return 0
        if not self._discard:
            self._pieces += pieces
            self.size += sum(map(len, pieces))
        pieces.clear()
        return self.size

    def finish(self, pieces: list[bytes]) -> None:
        """Take note that the body is whole, with its last pieces."""
        self.complete = True
        if pieces:
            self.body(pieces)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def fail(self, error: Exception) -> None:
        """End with an error; what has arrived can still be read."""
        self._error = error
        if not self.head.done():
            self.head.set_exception(error)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class Inflate:
    """Decompresses a body that was sent compressed although `identity` was requested; at most `most` bytes, in small pieces."""

    def __init__(self, encoding: bytes, most: int) -> None:
        if encoding not in (b"gzip", b"x-gzip", b"deflate"):
            raise BackendError(502, "The backend's answer has an unsupported content encoding.")
        self._raw_allowed = encoding == b"deflate"
        self._left = most
        self._stream = zlib.decompressobj(47)

    def __call__(self, data: bytes) -> bytes:
        """Return what can be unpacked so far. Raises BackendError where the data is damaged, or a bomb."""
        raw_allowed, self._raw_allowed = self._raw_allowed, False
        try:
            unpacked = self._stream.decompress(data, min(UNPACKED_AT_ONCE, max(self._left, 0) + 1))
            self._left -= len(unpacked)
            if self._stream.unconsumed_tail or self._left < 0:
                raise too_large()
            return unpacked
        except zlib.error:
            if raw_allowed:
                # Some servers send bare deflate data, without zlib's frame around it.
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
                return self(data)
            raise BackendError(502, "The backend's answer cannot be decompressed.") from None
