"""Server-sent events, both directions: framing of our Events, parsing of a backend's bytes (HTML standard, 9.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from antiphon.errors import BackendError

DONE = b"data: [DONE]\n\n"
EVENT_LIMIT = 4 * 1024 * 1024
"""Bytes of one event, and of what may stand between two: comments, blank lines. To pass one on takes up to 10 ms per MiB."""

MOST_SAID = 1_500_000
"""Characters that one answer of a model may say: five events at its end repeat them, at up to 28 ms per million."""

LARGE_EVENT = 64 * 1024
"""Bytes from which an event is looked at before it is read; smaller ones cannot hold much."""

_SMALL = 1024  # bytes of which all are looked at in less time than two are searched for

MOST_LINES = 100_000
"""Lines of one event."""

_BEGINNINGS = (b"\xe2\x80", b"\xe2", b"\xc2")
_BOM = b"\xef\xbb\xbf"
_PASSED_OVER = (b":", b"event:", b"id:", b"retry:")
_STRAY = re.compile(rb"\n(?:[^:\neir]|(?!event:|id:|retry:)[eir])")
_SILENT_LINE = re.compile(rb"\n(?::|event:|id:|retry:)[^\n]*")
_BARE = (b"", b"event", b"id", b"retry", b"data")


class Framed(Protocol):
    """What is framed: an event's type and its JSON."""

    @property
    def type(self) -> str:
        """Its type."""
        ...

    @property
    def body(self) -> bytes:
        """Its JSON."""
        ...


def encode(events: Iterable[Framed]) -> bytes:
    """Return the frames of some Events as one piece, ready for one write."""
    frames = [b"event: %b\ndata: %b\n\n" % (event.type.encode(), event.body) for event in events]
    piece = frames[0] if len(frames) == 1 else b"".join(frames)
    return piece if len(piece) < _SMALL and piece.isascii() else unbroken(piece)


def head_of(type: str, json: bytes) -> bytes:
    """Return the beginning of a frame, up to where an event's JSON begins that way."""
    return b"event: %b\ndata: %b" % (type.encode(), json)


def unbroken(data: bytes) -> bytes:
    """Escape the line ends of Unicode inside of JSON: many clients split a stream where Python's `splitlines` does.

    U+2028, U+2029, U+0085; the others of `splitlines` are control characters, which JSON escapes anyway.
    """
    if 0xE2 in data:  # a number is found eight times faster than a byte, and twenty times faster than several
        data = data.replace(b"\xe2\x80\xa8", rb"\u2028").replace(b"\xe2\x80\xa9", rb"\u2029")
    return data.replace(b"\xc2\x85", rb"\u0085") if 0xC2 in data else data


class UnbrokenLines:
    """Does the same with a stream that comes in pieces: a character that is cut in two waits for its other half."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on; of the end of the stream (b"") what was held."""
        if data.isascii() and not self._held:
            return data
        held, self._held = self._held, b""
        whole = held + data
        if data:
            cut = next((beginning for beginning in _BEGINNINGS if whole.endswith(beginning)), b"")
            whole, self._held = whole[: len(whole) - len(cut)], cut
        return unbroken(whole)


def pieces(events: Sequence[Framed]) -> list[bytes]:
    """Return the frames of some Events as one piece or, where they are large, as pieces that need no copy of the bodies."""
    if sum([len(event.body) for event in events]) <= LARGE_EVENT:
        return [encode(events)]
    found: list[bytes] = []
    for event in events:
        body = event.body if event.body.isascii() else unbroken(event.body)
        found += (b"event: %b\ndata: " % event.type.encode(), body, b"\n\n")
    return found


def _named(lines: list[bytes]) -> list[bytes]:
    """Return the data of events of two lines each, name and data, as servers of the Responses API write them; else nothing."""
    if len(lines) == 4:
        _, data, blank, end = lines
        return [data[6:]] if data[:6] == b"data: " and len(data) > 6 and not (blank or end) else []
    found = [data[6:] for data in lines[1::3] if data[:6] == b"data: " and len(data) > 6]
    names = [name for name in lines[:-1:3] if name[:6] == b"event:"]
    if len(lines) != 3 * len(found) + 1 or len(names) != len(found) or any(lines[2::3]):
        return []
    return found


class SSEParser:
    """Cuts bytes into the `data` of events. Feed it any pieces; what is not yet complete waits.

    Comments, `event`, `id` and `retry` lines are passed over: chat completions and Responses carry all in `data`. Lines that
    are none of these (JSON or a page instead of events) are kept in `stray`, for whoever has to tell what they say.
    """

    __slots__ = ("_held", "_most", "_stray_size", "stray")

    def __init__(self, most: int | None = None) -> None:
        """`most`: bytes of an event, if not EVENT_LIMIT."""
        self._most = EVENT_LIMIT if most is None else most
        self.stray: list[bytes] = []
        self._stray_size = 0
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that are complete now. Raises BackendError for an event without an end."""
        if not self._held and data.startswith(b"data: ") and data.endswith(b"\n\n") and data.find(b"\r") < 0:
            # Whole events of one `data` line each, as the known servers write them: one split does. `find`, as `in` takes ten
            # times as long: it raises and catches an error first.
            payloads = data[6:-2].split(b"\n\ndata: ")
            if b"".join(payloads).find(b"\n") < 0 and b"" not in payloads:  # to count the lines takes ten times as long
                return payloads
        if not self._held and data[:6] == b"event:" and data[-2:] == b"\n\n" and data.find(b"\r") < 0:
            named = _named(data.split(b"\n"))
            if named:
                return named
        # What holds no blank line is only kept: an event of many lines is looked at once, not with every piece.
        seam = bytes(self._held[-2:]) + data
        if seam.find(b"\n\n") < 0 and seam.find(b"\n\r") < 0 and seam.find(b"\r\r") < 0:
            self._hold(data)
            return []
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
        tail = b""
        if data.find(b"\r") >= 0:
            # A trailing CR may be half of a CRLF: it waits for the next piece.
            data, tail = (data[:-1], b"\r") if data.endswith(b"\r") else (data, b"")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            end = 0
        if end < len(data) or tail:
            self._hold(data[end:] + tail)
        return self._payloads(data, end)

    @property
    def waiting(self) -> bool:
        """Tell whether a part of an event is there."""
        return bool(self._held)

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > self._most:
            raise BackendError(502, "An event of the backend's stream is too large.")

    def close(self) -> list[bytes]:
        """Return the data of a last event whose blank line never came (some servers leave it out)."""
        held = bytes(self._held).rstrip(b"\r\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._held.clear()
        payload = self._payload(held)
        return [payload] if payload else []

    def _payload(self, block: bytes) -> bytes:
        if block.startswith(b"data: ") and b"\n" not in block:
            return block[6:]
        if block.count(b"\n") > MOST_LINES:
            raise BackendError(502, "An event of the backend's stream has too many lines.")
        data: list[bytes] = []
        for line in block.removeprefix(_BOM).split(b"\n"):
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line.startswith(_PASSED_OVER) and line not in _BARE:
                self._keep(line)
        return b"\n".join(data)

    def _keep(self, line: bytes) -> None:
        self.stray.append(line)
        self._stray_size += len(line)
        if self._stray_size > EVENT_LIMIT:
            raise BackendError(502, "The backend sent too much that is not an event.")

    def _payloads(self, data: bytes, end: int) -> list[bytes]:
        """Return the data of the events that stand before `end`; comments and the like cost no look at each of them."""
        found: list[bytes] = []
        start = 0
        while (at := data.find(b"data:", start, end)) >= 0:
            before = data.rfind(b"\n\n", start, at) + 2
            if before > 1:
                self._pass_over(data[start:before])
                start = before
            stop = data.find(b"\n\n", at, end)
            payload = self._payload(data[start:stop])
            start = stop + 2
            if payload:
                found.append(payload)
        if start < end:
            self._pass_over(data[start:end])
        return found

    def _pass_over(self, blocks: bytes) -> None:
        """Look at blocks without data: what is no part of the format is kept, as one piece."""
        lines = b"\n" + blocks.removeprefix(_BOM)
        if _STRAY.search(lines):
            self._keep(_SILENT_LINE.sub(b"", lines).strip(b"\n"))
