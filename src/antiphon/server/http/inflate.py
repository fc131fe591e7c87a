"""Unpacking within bounds: the cost is linear in what goes in and what comes out, whatever was packed.

The input is fed in steps, because the libraries copy what a member leaves over: with the whole rest at hand, many small
members would cost the square of their number.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Protocol, TypeAlias

from antiphon.errors import AntiphonError

Unpack: TypeAlias = Callable[[bytes, int], bytes]
"""Packed bytes, limit → their text. Raises NoRoom above `limit` bytes, and one of `BROKEN` for broken data."""

MOST_MEMBERS = 128
"""Members of a gzip file, frames of zstd. Packers that work in parallel make one for each processor."""

MOST_SECONDS = 10.0
"""Seconds of CPU time for one body; 64 MiB take less than one."""

STEP = 64 * 1024
"""Bytes that go in at once."""

STEP_OUT = 1024 * 1024
"""Bytes that come out at once, at most."""


class NoRoom(AntiphonError):
    """The text is longer than the limit."""


class Unpackable(AntiphonError):
    """The data keep to their format, but not to the bounds; the message says which."""


class Corrupt(AntiphonError):
    """The data are not of their format, as brotli and zstd find it: both are imported when something comes that they packed."""


BROKEN = (zlib.error, Corrupt, EOFError)
"""What is raised for broken data."""


class PackedMember(Protocol):
    """One member of a packed file."""

    def feed(self, data: memoryview, most: int) -> bytes:
        """Take in data, return at most `most` bytes of text."""
        ...

    @property
    def pending(self) -> bool:
        """Tell whether more text may come out before more data go in."""
        ...

    @property
    def eof(self) -> bool:
        """Tell whether the member has ended."""
        ...

    @property
    def unused(self) -> int:
        """How many of the bytes that were fed last stand behind the member's end."""
        ...


class _Unpacked:
    """What has come out so far."""

    def __init__(self, limit: int) -> None:
        self._parts = BytesIO()
        self._limit = limit
        self._until = time.thread_time() + MOST_SECONDS
        self.size = 0

    @property
    def most(self) -> int:
        """Bytes that may come out next: one more than there is room for, to see that there is not."""
        return min(STEP_OUT, self._limit - self.size + 1)

    def add(self, part: bytes) -> None:
        """Take in a part. Raises NoRoom, and Unpackable after too long a time."""
        self.size += len(part)
        if self.size > self._limit:
            raise NoRoom
        if time.thread_time() > self._until:
            raise Unpackable(f"it takes more than {MOST_SECONDS:g} seconds to unpack")
        self._parts.write(part)

    def whole(self) -> bytes:
        """Return all of it."""
        return self._parts.getvalue()  # no copy


def _members(body: bytes, limit: int, make: Callable[[], PackedMember], padding: bytes = b"") -> bytes:
    """Unpack all members; `padding` may stand behind each."""
    view, text, offset, count = memoryview(body), _Unpacked(limit), 0, 0
    while offset < len(view) or not count:
        before = text.size
        offset = _past(view, _member(view, offset, make(), text), padding)
        count += 1
        if count > 1 and text.size == before:
            raise Unpackable("one of its members is empty")
        if count == MOST_MEMBERS and offset < len(view):
            raise Unpackable(f"it has more than {MOST_MEMBERS} members")
    return text.whole()


def _member(view: memoryview, offset: int, member: PackedMember, text: _Unpacked) -> int:
    """Unpack the member that begins at `offset`, return where it ends. Raises EOFError where its end is missing."""
    while not member.eof:
        data = view[offset : offset + STEP]
        if not data:
            raise EOFError
        offset += len(data)
        text.add(member.feed(data, text.most))
        while member.pending:
            text.add(member.feed(view[:0], text.most))
    return offset - member.unused


def _past(view: memoryview, offset: int, padding: bytes) -> int:
    """Return where the padding ends that begins at `offset`."""
    while padding and offset < len(view):
        step = bytes(view[offset : offset + STEP])
        rest = step.lstrip(padding)
        offset += len(step) - len(rest)
        if rest:
            break
    return offset


class _Deflated:
    """A member of zlib's kinds."""

    def __init__(self, wbits: int) -> None:
        self._inflater = zlib.decompressobj(wbits=wbits)
        self._full = False

    def feed(self, data: memoryview, most: int) -> bytes:
        part = self._inflater.decompress(data or self._inflater.unconsumed_tail, most)
        self._full = len(part) == most
        return part

    @property
    def pending(self) -> bool:
        return not self.eof and (self._full or bool(self._inflater.unconsumed_tail))

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused(self) -> int:
        return len(self._inflater.unused_data)


class _ZstdFrame:
    """A frame of zstd's."""

    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        self._frame, self._error = zstd.ZstdDecompressor(), zstd.ZstdError

    def feed(self, data: memoryview, most: int) -> bytes:
        try:
            return self._frame.decompress(data, most)
        except self._error as error:
            raise Corrupt(str(error)) from None

    @property
    def pending(self) -> bool:
        return not self.eof and not self._frame.needs_input

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused(self) -> int:
        return len(self._frame.unused_data)


class _BrotliStream:
    """A stream of brotli's; there is no other behind it."""

    def __init__(self) -> None:
        import brotli

        self._stream, self._error = brotli.Decompressor(), brotli.error
        self._gave = False

    def feed(self, data: memoryview, most: int) -> bytes:
        try:
            part: bytes = self._stream.process(data, output_buffer_limit=most)
        except self._error as error:
            raise Corrupt(str(error)) from None
        self._gave = bool(part)
        return part

    @property
    def pending(self) -> bool:
        return not self.eof and self._gave  # `can_accept_more_data` is true a step too early

    @property
    def eof(self) -> bool:
        ended: bool = self._stream.is_finished()
        return ended

    @property
    def unused(self) -> int:
        return 0


def _gzip(body: bytes, limit: int) -> bytes:
    """Unpack gzip; a file of several members is their texts in a row (RFC 1952, 2.2)."""
    return _members(body, limit, lambda: _Deflated(31), padding=b"\0")


def _deflate(body: bytes, limit: int) -> bytes:
    """Unpack deflate: with zlib's head as RFC 9110 has it, or raw, as some clients send it."""
    zlib_head = len(body) > 1 and body[0] & 15 == 8 and (body[0] * 256 + body[1]) % 31 == 0
    text = _Unpacked(limit)
    _member(memoryview(body), 0, _Deflated(15 if zlib_head else -15), text)
    return text.whole()


def _brotli(body: bytes, limit: int) -> bytes:
    text = _Unpacked(limit)
    _member(memoryview(body), 0, _BrotliStream(), text)
    return text.whole()


def _zstd(body: bytes, limit: int) -> bytes:
    """Unpack zstd; several frames in a row are one text (RFC 8878, 3)."""
    return _members(body, limit, _ZstdFrame)


UNPACK: dict[str, Unpack] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
