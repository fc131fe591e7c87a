"""Lines of a file, while it is read piece by piece."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from antiphon.errors import InvalidRequest

BOM = b"\xef\xbb\xbf"


class TextLine(msgspec.Struct, frozen=True):
    """A line that is not blank, where it begins in the file, and its number, from 1 on."""

    number: int
    start: int
    text: bytes


class LineSplitter:
    """Splits pieces of a file into lines; keeps no more than the line that is not complete, of at most `longest` bytes."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._start = 0
        self._number = 0

    def feed(self, piece: bytes) -> Iterator[TextLine]:
        """Yield the lines that are complete. Raises InvalidRequest for one that is too long; `line_of` is its number."""
        begin = 0
        while (end := piece.find(b"\n", begin)) != -1:
            yield from self._line(piece[begin:end], 1)
            begin = end + 1
        rest = piece[begin:]
        if rest:
            self._rest.append(rest)
            self._rest_size += len(rest)
            self._check(self._rest_size)

    def finish(self) -> Iterator[TextLine]:
        """Yield the last line, where the file does not end with a line break."""
        if self._rest:
            yield from self._line(b"", 0)

    @property
    def line_of(self) -> int:
        """The number of the line that is read."""
        return self._number + 1

    def _line(self, end: bytes, breaks: int) -> Iterator[TextLine]:
        text = b"".join([*self._rest, end]) if self._rest else end
        self._rest, self._rest_size = [], 0
        self._check(len(text))
        start, self._start = self._start, self._start + len(text) + breaks
        self._number += 1
        if self._number == 1 and text.startswith(BOM):
            start, text = start + len(BOM), text[len(BOM) :]
        text = text.rstrip()
        if text:
            yield TextLine(self._number, start, text)

    def _check(self, size: int) -> None:
        if size > self._longest:
            raise InvalidRequest(
                f"This line is too long: at most {self._longest} bytes are allowed.", code="line_too_large"
            )
