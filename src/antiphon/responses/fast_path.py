"""EventPath: the end of the fast path (`backends.base`) at the client: pieces of an open text → frames of its delta events.

They are numbered, and kept by their Writer, as if each had come as a Delta. What has to see Deltas or Events switches it off:
`Turns.fast_path`, sinks without `frames`, streams around a backend's that pass no `offer` on.
"""

from __future__ import annotations

from collections.abc import Callable

from antiphon.core.deltas import RelayedText
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.writers import Growing
from antiphon.core.text import sse

MOST_EVENTS = 2_000_000
"""Events of one response: they are kept for a background one."""


One = Callable[[str, bytes], bool]
Several = Callable[[list[str], list[bytes]], bool]


class DeltaFrames:
    """Frames of the delta events of a text that is open. `one` and `several` write them."""

    __slots__ = ("one", "several")

    def __init__(self, emitter: Emitter, growing: Growing, write: Callable[[bytes], bool]) -> None:
        head = sse.head_of(growing.type, growing.head)
        append, extend, unbroken = growing.pieces.append, growing.pieces.extend, sse.unbroken

        # Closures, as they are called for each token: they find their variables in half the time.
        def one(text: str, string: bytes) -> bool:
            number = emitter.sequence_number
            emitter.sequence_number = number + 1
            append(text)
            data = b'%b%b,"sequence_number":%d}\n\n' % (head, string, number)
            return write(data if data.isascii() else unbroken(data))

        def several(texts: list[str], strings: list[bytes]) -> bool:
            first = emitter.sequence_number
            emitter.sequence_number = first + len(texts)
            extend(texts)
            frames = [b'%b%b,"sequence_number":%d}\n\n' % (head, string, n) for n, string in enumerate(strings, first)]
            data = b"".join(frames)
            return write(data if data.isascii() else unbroken(data))

        self.one, self.several = (one, several) if not growing.tail else _unnumbered(emitter, growing, head, write)


def _unnumbered(emitter: Emitter, growing: Growing, head: bytes, write: Callable[[bytes], bool]) -> tuple[One, Several]:
    """Return the same for events without numbers; the emitter counts what is said."""
    append, extend, unbroken = growing.pieces.append, growing.pieces.extend, sse.unbroken
    tail = growing.tail + b"\n\n"
    between = tail + head

    def one(text: str, string: bytes) -> bool:
        emitter.sequence_number += 1
        emitter.said += len(string) - 2
        append(text)
        data = head + string + tail
        return write(data if data.isascii() else unbroken(data))

    def several(texts: list[str], strings: list[bytes]) -> bool:
        emitter.sequence_number += len(texts)
        extend(texts)
        joined = between.join(strings)
        emitter.said += len(joined) - len(between) * (len(strings) - 1) - 2 * len(strings)
        data = head + joined + tail
        return write(data if data.isascii() else unbroken(data))

    return one, several


class EventPath:
    """The FastPath of a ResponseStream whose Writers tell what grows, and whose frames `write` sends to the client."""

    __slots__ = ("_frames", "_growing", "_stream", "_write")

    def __init__(self, stream: ResponseStream, write: Callable[[bytes], bool]) -> None:
        self._stream = stream
        self._write = write
        self._growing: Growing | None = None
        self._frames: DeltaFrames | None = None

    def text(self) -> DeltaFrames | None:
        """Return what writes more of the answer's text, if some is open."""
        return self._of(self._stream.items.growing())

    def thoughts(self) -> DeltaFrames | None:
        """Return what writes more of the model's thoughts, if some are open."""
        return self._of(self._stream.items.growing_thoughts())

    def arguments(self, key: str) -> DeltaFrames | None:
        """Return what writes more of a call's arguments, if it is open."""
        return self._of(self._stream.items.growing(key))

    def relayed(self, like: RelayedText) -> DeltaFrames | None:
        """Return what writes more of another server's text, if it is open."""
        return self._of(self._stream.relayed_text(like))

    def _of(self, growing: Growing | None) -> DeltaFrames | None:
        if growing is None or self._stream.sequence_number > MOST_EVENTS - sse.MOST_SAID:
            return None
        if self._growing is None or growing.pieces is not self._growing.pieces:
            self._growing = growing
            self._frames = DeltaFrames(self._stream.emitter, growing, self._write)
        return self._frames
