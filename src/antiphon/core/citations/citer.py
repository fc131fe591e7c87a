"""Citer: markers in a model's answer → what the client sees, and annotations, while the answer streams.

`【3】` or `【3†…】`, also `[^3]`: of a web page, the marker becomes a link, `([host](url))`, which the annotation spans; of a
file, and without `links` of a page too, it is removed, and the annotation says where it stood. Unknown numbers vanish. Links
to `sandbox:PATH` stay, and are annotated where the text ends. Positions count code points of the text so far. A Citer does
no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import asdict

from antiphon.core.citations.sources import NumberedSource, Sources, WebSource, percent_encoded
from antiphon.core.deltas import (
    AnnotationDelta,
    CallStart,
    Delta,
    OpaqueDelta,
    PictureDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from antiphon.core.json_encoding import to_json

LONGEST_MARKER = 40
"""Characters that may be held back until it is known whether they are a marker."""

LONGEST_TARGET = 512
"""Characters of a link to a file of a container."""

_BETWEEN = (CallStart, OpaqueDelta, PictureDelta)
"""Deltas that end a text, as thoughts and refusals do: what comes after them is in another part or item."""

_OPENING = re.compile(r"【|\[(?=\^|\Z)")
_HOST = re.compile(r"[a-z]{1,8}://([^/?#@:\s]{1,256})", re.IGNORECASE)
_SANDBOX = "sandbox:"
_ENDS = frozenset(")]>\"' \t\r\n")
_NO_HOST = dict.fromkeys(map(ord, '[]()"\\<>'))


class Citer:
    """Reads the answers of one response; `sources` grows while its tools are called."""

    __slots__ = (
        "_held",
        "_keeps",
        "_length",
        "_links",
        "_logprobs",
        "_out",
        "_pieces",
        "_sources",
        "_spaced",
        "_waiting",
    )

    def __init__(self, sources: Sources, *, links: bool = True) -> None:
        self._sources = sources
        self._links = links
        self._out: list[Delta] = []
        self._pieces: list[str] = []
        self._logprobs: list[bytes] = []
        self._waiting: list[Delta] = []
        self.begin()

    def begin(self) -> None:
        """Begin another text: the next part, or the answer of the next model call."""
        self._held = ""
        self._length = 0
        self._spaced = True
        self._keeps = bool(self._sources.files)
        self._pieces.clear()
        self._logprobs.clear()
        self._waiting.clear()

    def take(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """Return the Deltas with their markers replaced."""
        out = self._out = []
        for delta in deltas:
            if type(delta) is TextDelta:
                text = delta.text
                if self._held or "【" in text or "[" in text or delta.logprobs:
                    self._cited(delta)
                elif text:
                    self._pass(delta)
            else:
                if isinstance(delta, ReasoningDelta | RefusalDelta):
                    if delta.text:
                        self._end_text()
                elif isinstance(delta, _BETWEEN):
                    self._end_text()
                out.append(delta)
        return out

    def close(self) -> Sequence[Delta]:
        """Return what was held back, and the annotations that come at the end of a text."""
        out = self._out = []
        self._end_text()
        return out

    def _end_text(self) -> None:
        if self._held:
            held, self._held = self._held, ""
            self._emit(held)
        if self._keeps:
            self._cite_files("".join(self._pieces))
        self.begin()

    # Markers

    def _cited(self, delta: TextDelta) -> None:
        text = self._held + delta.text
        self._held = ""
        if delta.logprobs:
            self._logprobs.append(delta.logprobs)
        offset, plain = 0, 0
        while (opening := _OPENING.search(text, offset)) is not None:
            start = opening.start()
            end = _marker_end(text, start)
            if end == 0:  # it may still become one
                self._held = text[start:]
                text = text[:start]
                break
            sources = self._meant(text[start:end]) if end > 0 else None
            if sources is None:
                offset = start + 1
                continue
            offset = end
            self._cite(text[plain:start], sources)
            plain = end
        self._emit(text[plain:])

    def _meant(self, marker: str) -> list[NumberedSource] | None:
        """Return the sources of a marker; None where it is the model's own text."""
        footnote = marker.startswith("[")
        numbers = _numbers(marker[2:-1] if footnote else marker[1:-1])
        if numbers is None:
            return None
        found = [source for number in numbers if (source := self._sources.find(number)) is not None]
        return None if footnote and not found else found

    def _cite(self, before: str, sources: Sequence[NumberedSource]) -> None:
        annotations = []
        pieces = [before]
        length, spaced = self._length + len(before), before[-1].isspace() if before else self._spaced
        for source in sources:
            if isinstance(source, WebSource) and not self._links:
                annotations.append(_url_citation(source, length, length))
            elif isinstance(source, WebSource):
                link = _link(source.url)
                if not spaced:
                    pieces.append(" ")
                    length += 1
                annotations.append(_url_citation(source, length, length + len(link)))
                pieces.append(link)
                length += len(link)
                spaced = False
            else:
                fields = {"type": "file_citation", "file_id": source.file_id, "filename": source.filename}
                annotations.append(to_json({**fields, "index": length}))
        self._emit("".join(pieces))
        # Without any text there is nothing yet that they could stand in.
        (self._out if self._length else self._waiting).extend(map(AnnotationDelta, annotations))

    def _emit(self, text: str) -> None:
        if text:
            logprobs = b",".join(self._logprobs) if self._logprobs else b""
            self._logprobs.clear()
            self._pass(TextDelta(text, logprobs))

    def _pass(self, delta: TextDelta) -> None:
        self._length += len(delta.text)
        self._spaced = delta.text[-1].isspace()
        if self._keeps:
            self._pieces.append(delta.text)
        self._out.append(delta)
        if self._waiting:
            self._out += self._waiting
            self._waiting.clear()

    # Files of containers

    def _cite_files(self, text: str) -> None:
        offset = 0
        while (start := text.find(_SANDBOX, offset)) >= 0:
            path = start + len(_SANDBOX)
            offset = path
            while offset < len(text) and offset - path < LONGEST_TARGET and text[offset] not in _ENDS:
                offset += 1
            target = text[path:offset]
            file = self._sources.files.get(percent_encoded(target))
            if file is not None:
                fields = {**asdict(file), "type": "container_file_citation", "start_index": start, "end_index": offset}
                del fields["path"]
                self._out.append(AnnotationDelta(to_json(fields)))


def _marker_end(text: str, start: int) -> int:
    """Return where the marker at `start` ends; 0 where that is not known yet, -1 where it is none."""
    close = "】" if text[start] == "【" else "]"
    end = text.find(close, start, start + LONGEST_MARKER)
    if end >= 0:
        return end + 1
    return 0 if len(text) - start < LONGEST_MARKER and _may_be_marker(text, start) else -1


def _may_be_marker(text: str, start: int) -> bool:
    """Tell whether a beginning can still become a marker, so that other text in such brackets is not held back."""
    if text[start] == "[":
        rest = text[start + 1 :]
        return not rest or (rest[0] == "^" and (len(rest) == 1 or rest[1:].isdigit()))
    rest = text[start + 1 :]
    return not rest or rest[0].isdigit() or rest[0] == " "


def _numbers(inside: str) -> list[int] | None:
    """Return the numbers of a marker, from `3`, `3, 4`, `3†example.org` or `3:0†page 2`; None for any other text."""
    head = inside.partition("†")[0]
    numbers = []
    for part in head.split(","):
        digits = part.partition(":")[0].strip()
        if not (digits.isascii() and digits.isdigit()):
            return None
        numbers.append(int(digits))
    return numbers


def _link(url: str) -> str:
    """Return what stands in the text for a web page, as Markdown."""
    found = _HOST.match(url)
    shown = found[1].translate(_NO_HOST).removeprefix("www.") if found else ""
    return f"([{shown or 'source'}]({percent_encoded(url)}))"


def _url_citation(source: WebSource, start: int, end: int) -> bytes:
    title = source.title or source.url
    return to_json({"type": "url_citation", "start_index": start, "end_index": end, "url": source.url, "title": title})
