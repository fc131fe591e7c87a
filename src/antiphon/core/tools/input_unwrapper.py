"""Unwraps a custom tool's input from the function call that carries it, or code, while it streams: `{"input": "…"}` → `…`."""

from __future__ import annotations

import re
from json import loads
from typing import Literal

_HEADS = {
    "input": re.compile(r'\s*\{\s*"input"\s*:\s*"'),
    "code": re.compile(r'\s*\{\s*"code"\s*:\s*"'),
}
# How a head may look that is still coming: each piece optional, to the end.
_PARTIAL_HEADS = {
    "input": re.compile(r'\s*(?:\{\s*(?:"(?:i(?:n(?:p(?:u(?:t(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?\Z'),
    "code": re.compile(r'\s*(?:\{\s*(?:"(?:c(?:o(?:d(?:e(?:"\s*(?::\s*)?)?)?)?)?)?)?)?\Z'),
}
# Whole characters and escapes; a high surrogate only together with its low one.
_WHOLE = re.compile(
    r'(?:[^"\\]+|\\["\\/bfnrt]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*"
)
_PARTIAL_ESCAPE = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?)?\Z"
)
_LONE_HIGH = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")


_LONGEST_HEAD = 256  # characters; the usual one has a dozen

State = Literal["head", "string", "raw", "other", "end"]


class Unwrapper:
    """Reads one call's arguments in pieces. What is not wrapped, because the model wrote raw text, passes as it is.

    `field` is that of the object which holds the text.
    """

    __slots__ = ("_field", "_held", "_rest", "_state")

    def __init__(self, field: Literal["input", "code"] = "input") -> None:
        self._field = field
        self._state: State = "head"
        self._held = ""
        self._rest: list[str] = []

    def feed(self, text: str) -> str:
        """Return the input that is certain by now."""
        if self._state == "raw":
            return text
        if self._state == "end":
            return ""
        if self._state == "other":
            self._rest.append(text)
            return ""
        self._held += text
        state = self._begin() if self._state == "head" else self._state
        if state == "string":
            return self._string()
        if state == "raw":
            held, self._held = self._held, ""
            return held
        return ""

    def close(self) -> str:
        """Return what was held back; JSON of another shape is looked through for the input."""
        held, self._held = "".join((self._held, *self._rest)), ""
        self._rest.clear()
        if self._state not in ("other", "head"):
            return ""
        return _search(held, self._field)

    def _begin(self) -> State:
        head = _HEADS[self._field].match(self._held)
        if head:
            self._state = "string"
            self._held = self._held[head.end() :]
        elif len(self._held) > _LONGEST_HEAD:
            self._state = "other"
        elif not _PARTIAL_HEADS[self._field].match(self._held):
            # JSON of another shape is understood when it is complete; anything else is the input itself.
            self._state = "other" if self._held.lstrip()[0] in '{"' else "raw"
        return self._state

    def _string(self) -> str:
        text, offset = self._held, 0
        pieces: list[str] = []
        while True:
            found = _WHOLE.match(text, offset)
            assert found is not None
            if found.end() > offset:
                # Models write raw line breaks into JSON strings: not strict.
                pieces.append(loads(f'"{found[0]}"', strict=False))
                offset = found.end()
            if text.startswith('"', offset):
                self._state = "end"
                self._held = ""
                break
            if offset == len(text) or _PARTIAL_ESCAPE.match(text, offset):
                self._held = text[offset:]
                break
            offset = _wrong_escape(text, offset, pieces)
        return "".join(pieces)


def _wrong_escape(text: str, offset: int, pieces: list[str]) -> int:
    r"""Take an escape that JSON does not have literally (`\d`), a lone surrogate as itself. Returns where it ends."""
    lone = _LONE_HIGH.match(text, offset)
    end = lone.end() if lone else offset + 2
    pieces.append(loads(f'"{lone[0]}"') if lone else text[offset:end])
    return end


def _search(text: str, field: str) -> str:
    try:
        value = loads(text, strict=False)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return text
    if isinstance(value.get(field), str):
        return str(value[field])
    strings = [entry for entry in value.values() if isinstance(entry, str)]
    return strings[0] if len(strings) == 1 and len(value) == 1 else text
