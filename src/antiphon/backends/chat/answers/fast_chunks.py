"""FastChunks: HTTP chunks of one event each, whose events differ in one string alone: from the socket's bytes to the string.

The steady state of known servers. What differs in any way is left to the long way: HTTP parser, events, chunks, Deltas.
It runs for each token: what looks odd here (tuples, slices instead of `startswith`) saves a tenth of it each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from antiphon.core.fast_path import Straight

_string = msgspec.json.Decoder(str)
_strings = msgspec.json.Decoder(list[str])
_encoder = msgspec.json.Encoder()
_MOST_STARTS = 64  # lengths of chunks whose beginnings are kept
_LARGEST = 4096  # bytes of such a chunk
_TRIES = 4  # times that nothing is taken, in a row
_QUOTE = b'"'
_BACKSLASH = 0x5C  # a number is found faster than a byte


class FastChunks:
    """Its `take` is a shortcut of an HttpResponse (`net.http.response`).

    `begin` names what the chunks have in common and who gets the strings. `size` is the number of bytes that were taken,
    `texts` what was in them since the last `settle`.
    """

    __slots__ = (
        "_after",
        "_before",
        "_end",
        "_end_size",
        "_marks",
        "_most",
        "_one",
        "_pause",
        "_several",
        "_starts",
        "_tries",
        "size",
        "texts",
    )

    def __init__(self, pause: Callable[[], None]) -> None:
        """`pause` is told when the client wants no more for now."""
        self._pause = pause
        self._tries = _TRIES
        self._before = self._after = self._end = b""
        self._starts: dict[int, tuple[bytes, int]] = {}
        self._end_size = self._most = self.size = 0
        self.texts: list[str] = []

    def begin(self, before: bytes, after: bytes, straight: Straight, room: int, marks: frozenset[str]) -> None:
        """Be ready for events whose data is a string between `before` and `after`, which both hold one of its quotes.

        It takes no more than `room` bytes, and no text with one of the `marks`.
        """
        if (before, after) != (self._before, self._after):
            self._before, self._after = before, after
            self._end = after + b"\n\n\r\n"
            self._end_size = len(self._end)
            self._starts = {}
        self._one, self._several = straight.one, straight.several
        self._most, self._marks = self.size + room, marks

    def settle(self) -> bool:
        """Let go of the texts, which were taken note of; tell whether further tries are worth it."""
        self._tries = _TRIES if self.texts else self._tries - 1
        self.texts = []
        return self._tries > 0

    def take(self, data: bytes) -> int:
        """Take the whole chunks that the data begins with; return how many bytes they are."""
        size = len(data)
        behind = size - self._end_size
        try:
            start, at = self._starts[behind]
        except KeyError:
            start, at = self._start(behind)
        if data[:at] != start or data[behind:] != self._end:
            return self._take_several(data)
        string = data[at - 1 : behind + 1]
        try:
            text = _string.decode(string)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._take_several(data)
        if not text or self.size + size > self._most or (self._marks and not self._marks.isdisjoint(text)):
            return 0
        if _BACKSLASH in string:  # it may be escaped in another way than ours
            string = _encoder.encode(text)
        self.size += size
        self.texts.append(text)
        if not self._one(text, string):
            self._pause()
        return size

    def _take_several(self, data: bytes) -> int:
        end = self._end
        frames = data.split(end)
        frames.pop()
        size = 0
        strings: list[bytes] = []
        for frame in frames:
            start, at = self._starts.get(len(frame)) or self._start(len(frame))
            if frame[:at] != start:
                break
            strings.append(frame[at - 1 :] + _QUOTE)
            size += len(frame) + len(end)
        ready = self._give(strings, size)
        if ready is None:
            return 0
        self.size += size
        if not ready:
            self._pause()
        return size

    def take_events(self, events: Sequence[bytes]) -> tuple[int, bool]:
        """Take the first of some events, cut out of their chunks; return how many, and whether the client wants more."""
        before, after = self._before, self._after
        begin, end = len(before), -len(after)
        strings: list[bytes] = []
        for event in events:
            if event[:begin] != before or event[end:] != after:
                break
            strings.append(event[begin - 1 : end + 1])
        ready = self._give(strings, sum(map(len, events[: len(strings)])))
        return (0, True) if ready is None else (len(strings), ready)

    def _give(self, strings: list[bytes], size: int) -> bool | None:
        """Give strings to the client, of chunks with so many bytes; None where one of them has to go the long way."""
        joined = b",".join(strings)
        try:
            texts = _strings.decode(b"[%b]" % joined)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if not texts or len(texts) != len(strings) or "" in texts or self.size + size > self._most:
            return None
        if self._marks and not self._marks.isdisjoint("".join(texts)):
            return None
        if _BACKSLASH in joined:
            strings = [_encoder.encode(text) for text in texts]
        self.texts += texts
        return self._several(texts, strings)

    def _start(self, length: int) -> tuple[bytes, int]:
        """Return what a chunk begins with whose string ends after so many bytes, and its size; what never fits if none can."""
        for digits in (3, 2, 4, 1, 5):  # most have three
            size = b"%x" % max(0, length - digits - 2 + self._end_size - 2)
            if len(size) == digits:
                start = b"%b\r\ndata: %b" % (size, self._before)
                break
        else:
            start = b"-" * (length + 1)
        if len(self._starts) >= _MOST_STARTS:
            self._starts.clear()
        if length <= _LARGEST:
            self._starts[length] = start, len(start)
        return start, len(start)
