"""What all readers of leaked calls share: LeakedCall, LeakFilter, the offered functions, and how long to wait for more text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from json import JSONDecoder
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from antiphon.core.deltas import ReasoningDelta, TextDelta
from antiphon.core.json_encoding import to_json
from antiphon.errors import AntiphonError

SHORT = 4096  # characters
LONGEST = 1024 * 1024  # characters of a call in text; what is longer passes as text
LONGEST_NAME = 256  # characters of a function's name, and of a parameter's
_LOOKS = 64  # at a short text that is not whole yet

_COUNT = re.compile(r":\d{1,9}\Z")
_ONE_WORD = re.compile(r"[\w./:-]{0,64}")
_PREFIXES = ("functions.", "default_api.", "default_api:")
_BLANKS = re.compile(r"\s*")

_json = JSONDecoder(strict=False)


class MoreText(AntiphonError):
    """A reader needs more text before it can tell."""


class NoCall(AntiphonError):
    """What a reader looks at is no call."""


class LeakedCall(msgspec.Struct, frozen=True):
    """A call found in text; `arguments` is JSON text."""

    name: str
    arguments: str


Found = TextDelta | ReasoningDelta | LeakedCall

Reading = tuple[list[LeakedCall], int] | None
"""What came of a look at an offset of a text: the calls and where they end; no calls and up to where the text is none;
None where more text has to come first."""

Meant = Callable[[str], str | None]
"""The function's name that a model means by a name that was not offered."""


class LeakFilter(Protocol):
    """Reads text in pieces and takes calls out of it."""

    @property
    def marks(self) -> frozenset[str] | None:
        """The characters of which a piece must have one to be looked at; None where each piece is."""
        ...

    def feed(self, text: str) -> list[Found]:
        """Return what is certain by now."""
        ...

    def close(self) -> list[Found]:
        """Return what was held back."""
        ...


def _nothing(name: str) -> str | None:
    return None


class Offered:
    """The offered functions, and the names that mean them. Calls of others are no calls: they stay text."""

    __slots__ = ("_letters", "_meant", "_schemas", "_types")

    def __init__(self, schemas: Mapping[str, Raw], meant: Meant = _nothing) -> None:
        self._schemas = schemas
        self._meant = meant
        self._types: dict[str, dict[str, Any]] = {}
        self._letters: list[str] | None = None

    def name(self, said: object) -> str | None:
        """Return the offered name that is meant, or None."""
        if not isinstance(said, str) or len(said) > LONGEST_NAME:
            return None
        said = said.strip()
        if said in self._schemas:
            return said
        bare = _COUNT.sub("", said)
        for prefix in _PREFIXES:
            bare = bare.removeprefix(prefix)
        return bare if bare in self._schemas else self._meant(said)

    def may_begin(self, part: str) -> bool:
        """Tell whether a text can be the beginning of a function's name, or of what a model makes of one: any single word.

        More words can be where their letters stand in a name: what they mean is for `name` to tell.
        """
        if _ONE_WORD.fullmatch(part):
            return True
        if len(part) > LONGEST_NAME:
            return False
        if self._letters is None:
            self._letters = [_letters(name) for name in self._schemas]
        wanted = _letters(part)
        return any(wanted in name for name in self._letters)

    def types(self, name: str) -> dict[str, Any]:
        """Return the `type` of each parameter of an offered function, in the order of its schema; None where it has none."""
        if name not in self._types:
            self._types[name] = _types(self._schemas[name])
        return self._types[name]

    def needs_nothing(self, name: str) -> bool:
        """Tell whether a function can be called without arguments."""
        schema = _decoded(self._schemas[name])
        return not (isinstance(schema, dict) and schema.get("required"))

    def call(self, said: object, arguments: Any) -> LeakedCall | None:
        """Return a call, if its function was offered. `arguments`: a value, or JSON text of one."""
        name = self.name(said)
        if name is None:
            return None
        if isinstance(arguments, str):
            return LeakedCall(name, arguments or "{}")
        return LeakedCall(name, to_json({} if arguments is None else arguments).decode())


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _decoded(schema: Raw) -> Any:
    try:
        return msgspec.json.decode(schema)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _types(schema: Raw) -> dict[str, Any]:
    whole = _decoded(schema)
    properties = whole.get("properties") if isinstance(whole, dict) else None
    if not isinstance(properties, dict):
        return {}
    return {name: about.get("type") for name, about in properties.items() if isinstance(about, dict)}


class Patience:
    """Tells when a text that is not whole yet is worth another look, so that all looks together cost no more than its length."""

    __slots__ = ("_looked_at", "_looks")

    def __init__(self) -> None:
        self._looked_at = 0
        self._looks = 0

    def due(self, size: int) -> bool:
        """Tell whether it has grown by an eighth since the last look; a short one is looked at some times in any case."""
        self._looks += 1
        if (size > SHORT or self._looks > _LOOKS) and size < self._looked_at + self._looked_at // 8:
            return False
        self._looked_at = size
        return True


def slices(text: str) -> Iterator[str]:
    """Cut a long text, of whose beginning some is taken away again and again."""
    return (text[offset : offset + SHORT] for offset in range(0, len(text), SHORT))


def overlap(text: str, marker: str) -> int:
    """Return how many characters at the end of the text may be the beginning of the marker."""
    for size in range(min(len(text), len(marker) - 1), 0, -1):
        if text.endswith(marker[:size]):
            return size
    return 0


def blanks(text: str, offset: int) -> int:
    """Return where the blanks at an offset end."""
    found = _BLANKS.match(text, offset)
    return found.end() if found else offset


def begins(text: str, offset: int, markers: tuple[str, ...]) -> bool:
    """Tell whether all that is left of a text may be the beginning of one of the markers."""
    left = len(text) - offset
    return any(left < len(marker) and marker.startswith(text[offset:]) for marker in markers if marker)


def json_at(text: str, offset: int) -> tuple[Any, int] | None:
    """Return the JSON value at an offset and where it ends, blanks before it passed over; None where none is complete."""
    try:
        return _json.raw_decode(text, blanks(text, offset))
    except (ValueError, RecursionError):
        return None
