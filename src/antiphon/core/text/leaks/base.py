"""What all leak filters share: LeakedCall, LeakFilter, and MarkedFilter, which looks for markers in a stream of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from json import JSONDecoder
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from antiphon.core.deltas import ReasoningDelta, TextDelta
from antiphon.core.json_encoding import to_json

Offered = Mapping[str, Raw]
"""The offered functions: name → JSON Schema of the parameters."""

SHORT = 4096  # characters
LONGEST = 1024 * 1024  # characters of a call in text; what is longer passes as text

_json = JSONDecoder(strict=False)


class LeakedCall(msgspec.Struct, frozen=True):
    """A call found in text; `arguments` is JSON text."""

    name: str
    arguments: str


Found = TextDelta | ReasoningDelta | LeakedCall


class LeakFilter(Protocol):
    """Reads text in pieces and takes calls out of it."""

    def feed(self, text: str) -> list[Found]:
        """Return what is certain by now."""
        ...

    def close(self) -> list[Found]:
        """Return what was held back."""
        ...


class Patience:
    """Tells when a text that is not whole yet is worth another look, so that all looks together cost no more than its length."""

    __slots__ = ("_looked_at",)

    def __init__(self) -> None:
        self._looked_at = 0

    def due(self, size: int) -> bool:
        """Tell whether it has grown by an eighth since the last look; a short one is always looked at."""
        if size > SHORT and size < self._looked_at + self._looked_at // 8:
            return False
        self._looked_at = size
        return True


def slices(text: str) -> Iterator[str]:
    """Cut a long text, of whose beginning some is taken away again and again."""
    return (text[place : place + SHORT] for place in range(0, len(text), SHORT))


class MarkedFilter:
    """Takes out what begins with one of `openers`. What turns out to be no call of an offered tool passes unchanged."""

    openers: tuple[str, ...] = ()
    stray = ""
    """A closing marker that may follow a call; elsewhere it is text."""

    def __init__(self, offered: Offered) -> None:
        self.offered = offered
        self._held = ""
        self._pieces: list[str] = []  # what came while a body was waited for
        self._size = 0
        self._patience = Patience()
        self._waiting = False
        self._spaces = ""
        self._quiet = True
        self._after_call = False
        self._markers = (*self.openers, self.stray) if self.stray else self.openers
        self._firsts = {marker[0] for marker in self._markers}

    def read(self, text: str, final: bool) -> tuple[list[LeakedCall], int] | None:
        """Read what begins with an opener: the calls and how much of the text they took. None: more text is needed."""
        raise NotImplementedError

    def feed(self, text: str) -> list[Found]:
        """Return what is certain; a marker, or what may become one, is held back."""
        if not self._held and not self._quiet and self._firsts.isdisjoint(text):
            return [TextDelta(text)]
        if len(text) > SHORT:
            return [found for piece in slices(text) for found in self.feed(piece)]
        if self._waiting:
            # A body is looked at again only when it may have ended: long calls would cost the square of their length.
            self._pieces.append(text)
            self._size += len(text)
            if self._size > LONGEST:
                return self._give_up()
            if not any(end in text for end in "}]>") or not self._patience.due(self._size):
                return []
        else:
            self._held += text
        return self._run(final=False)

    def _give_up(self) -> list[Found]:
        """Pass on what is too long to be a call."""
        self._join()
        held, self._held, self._waiting = self._held, "", False
        out: list[Found] = []
        self._pass(held, out)
        return out

    def _join(self) -> None:
        if self._pieces:
            self._held = "".join((self._held, *self._pieces))
            self._pieces.clear()

    def close(self) -> list[Found]:
        """Return the rest; blank lines that stood around calls are dropped."""
        return self._run(final=True)

    def _run(self, *, final: bool) -> list[Found]:
        out: list[Found] = []
        self._join()
        self._waiting = False
        while self._held:
            start = self._find(final)
            self._pass(self._held[:start], out)
            self._held = self._held[start:]
            if not self._held.startswith(self._markers):
                break
            found = self._read(final)
            if found is None and not final:
                self._waiting = True
                self._size = len(self._held)
                self._patience = Patience()
                self._patience.due(self._size)
                break
            calls, size = found or ([], len(self._held))
            if calls:
                out.extend(calls)
                self._quiet, self._spaces, self._after_call = True, "", True
            else:
                self._pass(self._held[:size], out)
            self._held = self._held[size:]
        return out

    def _read(self, final: bool) -> tuple[list[LeakedCall], int] | None:
        if self._held.startswith(self.openers):
            return self.read(self._held, final)
        if self._after_call and self._quiet:
            self._held = self._held[len(self.stray) :]
            return [], 0
        return [], len(self.stray)

    def _find(self, final: bool) -> int:
        """Return where an opener begins, or may begin; at the end of the text, only a whole one counts."""
        places = [place for opener in self._markers if (place := self._held.find(opener)) >= 0]
        if places:
            return min(places)
        if final:
            return len(self._held)
        return len(self._held) - max(overlap(self._held, opener) for opener in self._markers)

    def _pass(self, text: str, out: list[Found]) -> None:
        if not text:
            return
        if self._quiet and text.isspace():
            self._spaces += text
            return
        out.append(TextDelta(self._spaces + text))
        self._quiet, self._spaces = False, ""

    # For the readers

    def call(self, name: Any, arguments: Any) -> LeakedCall | None:
        """Return the call, if the tool was offered."""
        if not isinstance(name, str):
            return None
        name = name if name in self.offered else name.removeprefix("functions.")
        if name not in self.offered:
            return None
        if isinstance(arguments, str):
            return LeakedCall(name, arguments or "{}")
        return LeakedCall(name, to_json({} if arguments is None else arguments).decode())

    def calls(self, values: list[Any]) -> list[LeakedCall]:
        """Return the calls that JSON values stand for; none at all if one of them is no call of an offered tool."""
        calls = [self._call_of(value) for value in values]
        return [call for call in calls if call is not None] if None not in calls else []

    def _call_of(self, value: Any) -> LeakedCall | None:
        if not isinstance(value, dict):
            return None
        inner = value.get("function")
        value = inner if isinstance(inner, dict) else value
        return self.call(value.get("name"), value.get("arguments", value.get("parameters", {})))


def overlap(text: str, marker: str) -> int:
    """Return how many characters at the end of the text may be the beginning of the marker."""
    for size in range(min(len(text), len(marker) - 1), 0, -1):
        if text.endswith(marker[:size]):
            return size
    return 0


def json_at(text: str, place: int) -> tuple[Any, int] | None:
    """Return the JSON value at a place and where it ends, blanks before it passed over; None where none is complete."""
    while place < len(text) and text[place].isspace():
        place += 1
    try:
        return _json.raw_decode(text, place)
    except (ValueError, RecursionError):
        return None


def json_values(text: str) -> list[Any] | None:
    """Return all JSON values of a text, which blanks, commas or semicolons part; lists are opened. None for other text."""
    values: list[Any] = []
    place = 0
    while place < len(text):
        if text[place] in " \t\r\n,;":
            place += 1
            continue
        found = json_at(text, place)
        if found is None:
            return None
        value, place = found
        values.extend(value if isinstance(value, list) else [value])
    return values


def typed(schema: Raw, name: str, text: str) -> Any:
    """Return a parameter's value from its text: as it is where the schema says string, else the JSON that it may be."""
    kind = _kinds(schema).get(name)
    if kind == "string":
        return text
    found = json_at(text, 0)
    return found[0] if found is not None and not text[found[1] :].strip() else text


def _kinds(schema: Raw) -> dict[str, Any]:
    try:
        whole = msgspec.json.decode(schema)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    properties = whole.get("properties") if isinstance(whole, dict) else None
    if not isinstance(properties, dict):
        return {}
    return {name: about.get("type") for name, about in properties.items() if isinstance(about, dict)}
