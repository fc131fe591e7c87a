"""Bodies of leaked calls that are markup: a name, then parameters between tags (Qwen, GLM, MiniMax, DeepSeek's DSML, Kimi K3)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from antiphon.core.text.leaks.base import LONGEST_NAME, MoreText, NoCall, Offered, Reading, begins, blanks, json_at
from antiphon.core.text.leaks.families import Row
from antiphon.core.text.leaks.pythonic import literal

MOST_PARAMETERS = 1000
"""Parameters of one call: 8 ms of the event loop."""

_ATTRIBUTE = re.compile(r'\s*([\w-]{1,64})\s*=\s*(?:"([^"]{0,256})"|([^\s"]{1,256}))')
_HEAD = re.compile(r"[^\n<]{0,257}")
_MOST_ATTRIBUTES = 8
_STRINGS = ("string", "str", "text")
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}


class _Tag(msgspec.Struct, frozen=True):
    """A name in a tag, where its content begins, and whether the tag says that the content is text; None: it does not."""

    name: str
    end: int
    is_text: bool | None = None


def read_markup(row: Row, text: str, offset: int, offered: Offered, final: bool) -> Reading:
    """Read one call."""
    try:
        head = _head(row, text, offset, offered, final)
        name = offered.name(head.name)
        if name is None:
            return [], offset
        arguments, end = _Parameters(row, text, offered.types(name), final).read(head.end)
    except MoreText:
        return None
    except NoCall:
        return [], offset
    call = offered.call(name, arguments)
    return ([call] if call else []), end


def _head(row: Row, text: str, offset: int, offered: Offered, final: bool) -> _Tag:
    """Read the function's name. Raises MoreText, NoCall."""
    if row.head_end:
        return _tag(row, text, offset, row.head_end, final)
    found = _HEAD.match(text, blanks(text, offset))
    said = found[0].strip() if found else ""
    end = found.end() if found else offset
    if end == len(text):
        if not final and (not said or offered.may_begin(said)):
            raise MoreText
        raise NoCall
    return _Tag(said, end)


def _tag(row: Row, text: str, offset: int, closing: str, final: bool) -> _Tag:
    """Read a name up to the end of its tag. Raises MoreText, NoCall."""
    end = text.find(closing, offset, offset + 2 * LONGEST_NAME)
    if end < 0:
        if final or len(text) - offset >= 2 * LONGEST_NAME or "\n" in text[offset:].strip():
            raise NoCall
        raise MoreText
    inside = text[offset:end]
    if not row.attributes:
        return _Tag(inside.strip().strip("\"'"), end + len(closing))
    found = {}
    at = 0
    for _ in range(_MOST_ATTRIBUTES):
        attribute = _ATTRIBUTE.match(inside, at)
        if attribute is None:
            break
        found[attribute[1]] = attribute[2] if attribute[2] is not None else attribute[3]
        at = attribute.end()
    name = found.get("name") or found.get("tool") or found.get("key") or ""
    return _Tag(name, end + len(closing), _says_text(found))


def _says_text(attributes: dict[str, str]) -> bool | None:
    if "string" in attributes:
        return attributes["string"] == "true"
    return attributes["type"] in _STRINGS if "type" in attributes else None


class _Parameters:
    """Reads parameters up to the closer. A closing tag counts where a parameter or the closer follows: else it is a value's."""

    def __init__(self, row: Row, text: str, types: dict[str, Any], final: bool) -> None:
        self._row = row
        self._text = text
        self._types = types
        self._final = final
        self._count = 0
        self._looked = self._end = -1  # where a closing tag that counts was looked for from, and found
        self._ends = dict.fromkeys((row.parameter, row.closer), -1)
        self._next = (row.parameter, row.closer)

    def read(self, offset: int) -> tuple[dict[str, Any], int]:
        """Return the arguments and where the call ends. Raises MoreText, NoCall."""
        row, text = self._row, self._text
        arguments: dict[str, Any] = {}
        while True:
            offset = blanks(text, offset)
            if text.startswith(row.closer, offset):
                return arguments, offset + len(row.closer)
            if text.startswith(row.parameter, offset):
                offset = self._parameter(offset, arguments)
                self._count += 1
                if self._count > MOST_PARAMETERS:
                    raise NoCall
            elif text.startswith(row.value_end, offset):
                offset += len(row.value_end)  # a closing tag too many
            elif begins(text, offset, (*self._next, row.value_end)) or offset == len(text):
                if not self._final:
                    raise MoreText
                if offset < len(text) or not arguments:
                    raise NoCall
                return arguments, offset  # all parameters are whole; the end is missing
            else:
                raise NoCall

    def _parameter(self, offset: int, arguments: dict[str, Any]) -> int:
        row, text = self._row, self._text
        while text.startswith(row.parameter, offset):
            offset += len(row.parameter)
        tag = _tag(row, text, offset, row.key_end, self._final)
        offset = tag.end
        if row.value:
            while text.startswith(row.key_end, offset):
                offset += len(row.key_end)
            offset = blanks(text, offset)
            if not text.startswith(row.value, offset):
                if (not self._final and begins(text, offset, (row.value, row.key_end))) or offset == len(text):
                    raise MoreText if not self._final else NoCall
                raise NoCall
            offset += len(row.value)
        if not tag.name:
            raise NoCall
        value, end = self._value(offset)
        if row.lines:
            value = value.removeprefix("\n").removesuffix("\n")
        arguments[tag.name] = typed(self._types.get(tag.name), value, tag.is_text)
        return end

    def _value(self, start: int) -> tuple[str, int]:
        row, text = self._row, self._text
        end = self._closing(start)
        if end >= 0:
            after = blanks(text, end + len(row.value_end))
            if after == len(text) or not begins(text, after, self._next):
                return text[start:end], after
            return text[start:end], end + len(row.value_end)
        if not self._final:
            raise MoreText
        # The closing tag was forgotten: the value ends before what must follow.
        end = min(self._offset(mark, start) for mark in self._next)
        if end == len(text):
            raise NoCall
        return text[start:end], end

    def _closing(self, start: int) -> int:
        """Return where the next closing tag that counts stands, -1 where there is none. Raises MoreText where that is open.

        Which ones count does not depend on the value, so each is looked at once.
        """
        if self._looked >= 0 and not 0 <= self._end < start:
            return self._end
        row, text = self._row, self._text
        self._looked = start
        self._end = text.find(row.value_end, start)
        while self._end >= 0:
            after = blanks(text, self._end + len(row.value_end))
            if after == len(text) or begins(text, after, self._next):
                if not self._final:
                    raise MoreText
                break
            if text.startswith((*self._next, row.value_end), after):
                break
            self._end = text.find(row.value_end, self._end + len(row.value_end))
        return self._end

    def _offset(self, mark: str, start: int) -> int:
        """Return where a marker stands next; it is looked for again only when it was passed."""
        if self._ends[mark] < start:
            found = self._text.find(mark, start)
            self._ends[mark] = found if found >= 0 else len(self._text)
        return self._ends[mark]


def typed(kind: Any, text: str, is_text: bool | None) -> Any:
    """Return a parameter's value from its text: as it is where tag or schema say string, else the JSON that it may be."""
    kinds = kind if isinstance(kind, list) else [kind]
    if is_text or (is_text is None and "string" in kinds and not (text.strip() == "null" and "null" in kinds)):
        return text
    found = json_at(text, 0)
    if found is not None and not text[found[1] :].strip():
        return found[0]
    if "boolean" in kinds and text.strip() in _BOOLEANS:
        return _BOOLEANS[text.strip()]
    if ("object" in kinds or "array" in kinds) and (value := literal(text)) is not None:
        return value
    return text
