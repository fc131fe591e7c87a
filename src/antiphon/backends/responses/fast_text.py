"""FastText: further pieces of one text, from a Responses backend's events to the client's frames, past Deltas and Events.

Most events of a stream are such pieces. The same indexes go on to the same part of the same item; what is in any way different
is left to the long way, which also joins the pieces from time to time. Pieces may come as the data of events (`give`), or as
reads of the socket (`take`): HTTP chunks of one event each, whose HTTP and lines need no parser, and their JSON none where they
are like the last ones (`text_template`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from antiphon.backends.responses.decoder import LARGE, TextEvent, text_event
from antiphon.backends.responses.text_template import Layout, TextTemplate
from antiphon.core.deltas import RelayedText
from antiphon.core.fast_path import FastPath, Straight
from antiphon.core.relay.parts import MOST_PIECES

_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_END = b"\n\n\r\n"
"""What a chunk of one event ends with."""

_LF, _CR = b"\n\r"

_MOST_STARTS = 64  # lengths of chunks whose beginnings are kept
_LARGEST = 4096  # bytes of such a chunk
_LEARNS = 2  # events from which a template may be learned
_TRIES = 4  # reads of which nothing is taken, in a row


class FastText:
    """The text that Deltas `like` the last one go on with. `said` counts its characters, of which there may be `room`.

    `pause` is told when the client wants no more for now.
    """

    __slots__ = (
        "_event",
        "_layouts",
        "_learns",
        "_left",
        "_like",
        "_named",
        "_pause",
        "_room",
        "_starts",
        "_straight",
        "_template",
        "_tries",
        "said",
    )

    def __init__(self, like: RelayedText, straight: Straight, room: int, pause: Callable[[], None]) -> None:
        self._like = like
        self._straight = straight
        self._pause = pause
        self._left = MOST_PIECES
        self._room, self.said = room, 0
        self._event: TextEvent | None = None  # the last one, without its text: most are equal to it
        self._tries = _TRIES
        self._starts: dict[int, tuple[bytes, int]] = {}
        self._template: TextTemplate | None = None
        self._learns = _LEARNS
        self._layouts: dict[int, Layout] = {}
        self._named = b"event: %b\ndata: " % like.type.encode()

    @classmethod
    def of(cls, like: RelayedText, path: FastPath, room: int, pause: Callable[[], None]) -> FastText | None:
        """Return None where such a text is not open, or something has to look at its pieces."""
        straight = path.relayed(like) if like.text and not like.logprobs else None
        return cls(like, straight, room, pause) if straight is not None else None

    @property
    def takes_reads(self) -> bool:
        """Tell whether reads of the socket have been of use, or may be."""
        return self._tries > 0

    def give(self, events: Sequence[bytes]) -> tuple[int, bool]:
        """Write the first of some events, by their data, that all go on with the text.

        Return how many, and whether the client wants more.
        """
        texts: list[str] = []
        for data in events:
            text = self._text(data)
            if not text:
                break
            texts.append(text)
        size = sum(map(len, texts))
        if not texts or len(texts) > self._left or self.said + size > self._room:
            return 0, True
        self._left -= len(texts)
        self.said += size
        if len(texts) == 1:
            return 1, self._straight.one(texts[0], _encode(texts[0]))
        return len(texts), self._straight.several(texts, [_encode(text) for text in texts])

    def _text(self, data: bytes) -> str:
        """Return the text of an event that goes on with it, and says nothing else; "" of any other."""
        if len(data) > LARGE:
            return ""
        try:
            event = text_event(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return ""
        text, event.delta = event.delta, ""
        if text is None:
            return ""
        if event != self._event:
            like = self._like
            if event.type != like.type or event.item_id != like.item_id or event.output_index != like.output_index:
                return ""
            part_index = event.content_index if event.summary_index is None else event.summary_index
            if (part_index or 0) != like.part_index or event.logprobs:
                return ""
            self._event = event
        return text

    def take(self, data: bytes) -> int:
        """Take the whole chunks that a read begins with; return how many bytes they are. A shortcut of an HttpResponse."""
        size = len(data)
        layout = self._layouts.get(size)
        if layout is None:
            return self._take_one(data, size)
        begin, start, middle, between, end, after, number, string = layout
        if data[begin] != start or data[middle] != between or data[end] != after:
            return self._take_one(data, size)
        digits = data[number]
        if not digits.isdigit() or digits < b"1":
            return self._take_one(data, size)
        try:
            text = _string(data[string])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return self._take_one(data, size)
        said = self.said + len(text)
        if not text or self._left <= 0 or said > self._room:
            return 0
        self._left -= 1
        self.said = said
        if not self._straight.one(text, _encode(text)):
            self._pause()
        return size

    def _take_one(self, data: bytes, size: int) -> int:
        """Take a read that is laid out like none before it: it is decoded, and those like it need not be."""
        try:
            start, at = self._starts[size]
        except KeyError:
            start, at = self._start(data, size)
        if data[:at] != start or data[-4:] != _END:
            return self._take_several(data)
        payload = data[at:-4]
        try:
            event = text_event(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return 0
        text, event.delta = event.delta, ""
        # Blanks between values may be line ends, which events have none of. A number is found faster than a byte.
        if event != self._event or not text or _LF in payload or _CR in payload:
            return 0
        said = self.said + len(text)
        if self._left <= 0 or said > self._room:
            return 0
        self._left -= 1
        self.said = said
        if not self._straight.one(text, _encode(text)):
            self._pause()
        self._learn(data, payload, start)
        return size

    def _learn(self, data: bytes, payload: bytes, start: bytes) -> None:
        """Learn how reads like this one are laid out."""
        if self._template is None and self._learns > 0:
            self._learns -= 1
            self._template = TextTemplate.of(payload)
        if self._template is not None and (layout := self._template.layout(data, start, _END)) is not None:
            self._layouts[len(data)] = layout

    def _take_several(self, data: bytes) -> int:
        """Take chunks that came with one read."""
        frames = data.split(_END)
        frames.pop()
        payloads: list[bytes] = []
        size = 0
        for frame in frames:
            whole = len(frame) + len(_END)
            start, at = self._starts.get(whole) or self._start(frame, whole)
            if frame[:at] != start:
                break
            payloads.append(frame[at:])
            size += whole
        joined = b"".join(payloads)
        if _LF in joined or _CR in joined:
            return 0
        taken, ready = self.give(payloads)
        if taken < len(payloads):
            size = sum([len(frame) + len(_END) for frame in frames[:taken]])
        if not ready:
            self._pause()
        self._tries = _TRIES if taken else self._tries - 1
        return size

    def _start(self, data: bytes, size: int) -> tuple[bytes, int]:
        """Return what a chunk of so many bytes begins with, up to the JSON, and its length; what never fits if none can."""
        digits = data.find(b"\r")
        if 0 < digits <= 4 and size <= _LARGEST:
            length = b"%x\r\n" % max(0, size - digits - 4)
            for head in (self._named, b"data: "):
                start = length + head
                if data.startswith(start):
                    if len(self._starts) >= _MOST_STARTS:
                        self._starts.clear()
                        self._layouts.clear()
                    self._starts[size] = start, len(start)
                    return start, len(start)
        return b"-", 0
