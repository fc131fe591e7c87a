"""Bodies of leaked calls in braces: `name{key:<|"|>text<|"|>,n:3}`, keys without quotes, strings between marks (Gemma)."""

from __future__ import annotations

import re
from typing import Any

from antiphon.core.text.leaks.base import MoreText, NoCall, Offered, Reading, begins, blanks
from antiphon.core.text.leaks.families import Row
from antiphon.core.text.leaks.pythonic import MOST_NESTED, ValueReader

MOST_VALUES = 4000
"""Values of one call: 10 ms of the event loop. Strings may be long, as they are found at once."""

_KEY = re.compile(r"[^\s:{}\[\],<>\"']{1,256}")


class _BraceReader(ValueReader):
    """Reads values whose strings stand between two marks."""

    def __init__(self, text: str, offset: int, quote: str) -> None:
        super().__init__(text, offset)
        self._quote = quote
        self._left = MOST_VALUES

    def value(self, depth: int = 0) -> Any:
        """Return the next value. Raises MoreText, NoCall."""
        self.next()
        self._left -= 1
        if self._left < 0 or depth > MOST_NESTED:
            raise NoCall
        quoted = self._quoted()
        return super().value(depth) if quoted is None else quoted

    def object(self, depth: int) -> dict[str, Any]:
        """Return an object, whose opening brace was read. Raises MoreText, NoCall."""
        entries: dict[str, Any] = {}
        while not self.take("}"):
            key = self._key()
            if not self.take(":"):
                raise NoCall
            entries[key] = self.value(depth + 1)
            if not self.take(",") and self.next() != "}":
                raise NoCall
        return entries

    def _quoted(self) -> str | None:
        """Return the string at the offset, None where none begins."""
        if not self._quote or not self.text.startswith(self._quote, self.offset):
            if begins(self.text, self.offset, (self._quote,)):
                raise MoreText
            return None
        start = self.offset + len(self._quote)
        end = self.text.find(self._quote, start)
        if end < 0:
            raise MoreText
        self.offset = end + len(self._quote)
        return self.text[start:end]

    def _key(self) -> str:
        self.next()
        quoted = self._quoted()
        if quoted is not None:
            return quoted
        found = _KEY.match(self.text, self.offset)
        if found is None:
            raise NoCall
        if found.end() == len(self.text):
            raise MoreText
        self.offset = found.end()
        return found[0]


def read_braces(row: Row, text: str, offset: int, offered: Offered, final: bool) -> Reading:
    """Read one call: a name, then an object."""
    start = blanks(text, offset)
    named = _KEY.match(text, start)
    end = named.end() if named else start
    said = text[start:end]
    if end == len(text):
        return None if not final and (not said or offered.may_begin(said)) else ([], offset)
    name = offered.name(said)
    reader = _BraceReader(text, end, row.quote)
    if name is None:
        return [], offset
    try:
        if not reader.take("{"):
            return [], offset
        arguments = reader.object(0)
    except NoCall:
        return [], offset
    except MoreText:
        return None if not final else ([], offset)
    call = offered.call(name, arguments)
    after = blanks(text, reader.offset)
    if row.closer and text.startswith(row.closer, after):
        return ([call] if call else []), after + len(row.closer)
    if row.closer and not final and (after == len(text) or begins(text, after, (row.closer,))):
        return None
    return ([call] if call else []), reader.offset
