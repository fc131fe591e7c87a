"""Leaked calls as Python writes them: `[get_weather(city="Paris"), get_time()]` (Llama 3 and 4, Olmo), and Python's literals."""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any

from antiphon.core.text.leaks.base import LeakedCall, MoreText, NoCall, Offered, Reading, begins, blanks
from antiphon.core.text.leaks.families import Row

MOST = 64 * 1024
"""Characters of one call: it is read by a program in Python, at 10 ms for these."""

MOST_NESTED = 32

_WORD = re.compile(r"[A-Za-z_][\w.]{0,255}")
_STRING = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_NUMERIC = re.compile(r"-?[\d.eE+-]{0,64}\Z")  # to the end of the text: more of it may come
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?")
_CALL = re.compile(r"\.(?:c(?:a(?:ll?)?)?)?\Z")  # `search.call(…)`, or the beginning of that
_NAMES: dict[str, Any] = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
_CLOSING = {"[": "]", "(": ")", "{": "}"}


class ValueReader:
    """Reads values at an offset. Each character is looked at once."""

    def __init__(self, text: str, offset: int = 0) -> None:
        self.text = text
        self.offset = offset

    def next(self) -> str:
        """Return the next character that is no blank. Raises MoreText."""
        self.offset = blanks(self.text, self.offset)
        if self.offset >= len(self.text):
            raise MoreText
        return self.text[self.offset]

    def take(self, mark: str) -> bool:
        """Pass over a character if it is the next one."""
        if self.next() != mark:
            return False
        self.offset += 1
        return True

    def word(self) -> str:
        """Return the next name, "" where there is none. Raises MoreText where more of it may come."""
        self.next()
        found = _WORD.match(self.text, self.offset)
        if found is None:
            return ""
        if found.end() == len(self.text):
            raise MoreText
        self.offset = found.end()
        return found[0]

    def value(self, depth: int = 0) -> Any:
        """Return the next value. Raises MoreText, NoCall."""
        first = self.next()
        if depth > MOST_NESTED:
            raise NoCall
        if first in "'\"":
            return self._string()
        if first in "[(":
            self.offset += 1
            return self._entries(_CLOSING[first], depth)
        if first == "{":
            self.offset += 1
            return self.object(depth)
        if first in "-0123456789" and _NUMERIC.match(self.text, self.offset):
            raise MoreText
        number = _NUMBER.match(self.text, self.offset)
        if number is not None:
            self.offset = number.end()
            return float(number[0]) if not number[0].lstrip("-").isdigit() else int(number[0])
        word = self.word()
        if word not in _NAMES:
            raise NoCall
        return _NAMES[word]

    def _string(self) -> str:
        found = _STRING.match(self.text, self.offset)
        if found is None:
            raise MoreText
        self.offset = found.end()
        inner = found[1] if found[1] is not None else found[2]
        if "\\" not in inner:
            return inner
        try:
            return str(literal_eval(found[0].replace("\n", "\\n").replace("\r", "\\r")))
        except (ValueError, SyntaxError, MemoryError):
            raise NoCall from None

    def _entries(self, closing: str, depth: int) -> list[Any]:
        entries: list[Any] = []
        while not self.take(closing):
            entries.append(self.value(depth + 1))
            if not self.take(",") and self.next() != closing:
                raise NoCall
        return entries

    def object(self, depth: int) -> dict[str, Any]:
        """Return an object, whose opening brace was read. Raises MoreText, NoCall."""
        entries: dict[str, Any] = {}
        while not self.take("}"):
            key = self.value(depth + 1)
            if not isinstance(key, str) or not self.take(":"):
                raise NoCall
            entries[key] = self.value(depth + 1)
            if not self.take(",") and self.next() != "}":
                raise NoCall
        return entries


def literal(text: str) -> Any:
    """Return the value of a literal of Python's, or of JSON that is a little wrong; None for anything else."""
    if len(text) > MOST:
        return None
    reader = ValueReader(text)
    try:
        value = reader.value()
    except (MoreText, NoCall):
        return None
    return None if text[reader.offset :].strip() else value


def read_pythonic(row: Row, text: str, offset: int, offered: Offered, final: bool) -> Reading:
    """Read calls: in brackets, or one behind the other up to the closer."""
    start = offset
    text_end = text[: offset + MOST]
    reader = ValueReader(text_end, offset)
    calls: list[LeakedCall] = []
    listed = False
    try:
        listed = reader.take("[")
        if not listed and not (row.opener or row.start):
            return [], start
        while True:
            call = _call(reader, offered)
            if call is None:
                return [], start
            calls.append(call)
            if listed and reader.take("]"):
                break
            if not listed and _closes(row, reader):
                break
            if not reader.take(",") and listed:
                return [], start
    except NoCall:
        return [], start
    except MoreText:
        if final or len(text_end) < len(text):
            return (calls, len(text)) if calls and not listed else ([], start)
        return None
    return _ended(row, text, reader.offset, calls, start, final)


def _closes(row: Row, reader: ValueReader) -> bool:
    """Tell whether calls that stand in no brackets end here. Raises MoreText."""
    if not row.closer:
        return True
    reader.next()
    if begins(reader.text, reader.offset, (row.closer,)):
        raise MoreText
    return reader.text.startswith(row.closer, reader.offset)


def _ended(row: Row, text: str, offset: int, calls: list[LeakedCall], start: int, final: bool) -> Reading:
    after = blanks(text, offset)
    if row.closer:
        if text.startswith(row.closer, after):
            return calls, after + len(row.closer)
        return None if not final and begins(text, after, (row.closer, "\0")) else (calls, offset)
    if row.opener:
        return calls, offset
    # Without an opener it is a call only if it is all there is.
    if after < len(text) and not text.startswith(row.around or ("\0",), after):
        return None if not final and begins(text, after, row.around) else ([], start)
    return (calls, offset) if final else None


def _call(reader: ValueReader, offered: Offered) -> LeakedCall | None:
    """Read `NAME(…)` or `NAME.call(…)`; positional arguments are named as the schema orders them."""
    reader.next()
    part = _WORD.match(reader.text, reader.offset)
    if part is None or (not offered.may_begin(_CALL.sub("", part[0])) and not offered.name(_CALL.sub("", part[0]))):
        return None
    name = offered.name(_CALL.sub("", reader.word()))
    if name is None or not reader.take("("):
        return None
    arguments: dict[str, Any] = {}
    order = list(offered.types(name))
    while not reader.take(")"):
        key = _key(reader)
        if not key:
            if len(arguments) >= len(order):
                return None
            key = order[len(arguments)]
        arguments[key] = reader.value()
        if not reader.take(",") and reader.next() != ")":
            return None
    return offered.call(name, arguments)


def _key(reader: ValueReader) -> str:
    """Return the name before `=`, "" where a value stands."""
    before = reader.offset
    key = reader.word()
    if key and key not in _NAMES and reader.take("="):
        return key
    reader.offset = before
    return ""
