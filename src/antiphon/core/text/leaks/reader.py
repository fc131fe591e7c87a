"""CallReader: one filter for all families: finds their openers in a stream of text, and takes the calls behind them out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import msgspec

from antiphon.core.deltas import TextDelta
from antiphon.core.text.leaks.base import (
    LONGEST,
    SHORT,
    Found,
    Offered,
    Patience,
    Reading,
    begins,
    blanks,
    slices,
)
from antiphon.core.text.leaks.braces import read_braces
from antiphon.core.text.leaks.families import Families, Row, Shape, rows_of
from antiphon.core.text.leaks.json_shapes import read_json, read_named
from antiphon.core.text.leaks.markup import read_markup
from antiphon.core.text.leaks.pythonic import read_pythonic

MOST_IN_VAIN = 2 * LONGEST
"""Characters of an answer that are looked at for calls which turn out to be none; behind them all is text."""
LEAST_IN_VAIN = 256
"""Characters that such a look counts for at least: markers may be short, and there may be nothing but markers."""

MOST_CALLS = 500
"""Calls of an answer that are looked for: one with more is refused by its readers."""

MOST_AROUND = 2
"""Markers around a call that stand one behind the other."""

_HEAD = (
    512  # characters behind an opener that are looked at whenever they grow: there it is decided whether it is a call
)
_ENDS = frozenset("}]>)`")  # one of them ends each form


def _read_nothing(row: Row, text: str, offset: int, offered: Offered, final: bool) -> Reading:
    return [], offset


SHAPES: Mapping[Shape, Callable[[Row, str, int, Offered, bool], Reading]] = {
    "json": read_json,
    "named": read_named,
    "markup": read_markup,
    "pythonic": read_pythonic,
    "braces": read_braces,
    "nothing": _read_nothing,
}


class _Marker(msgspec.Struct, frozen=True):
    """What a marker may begin: the rows of its openers, a marker `around` calls, openers that are `longer`."""

    rows: tuple[Row, ...]
    around: str
    longer: tuple[str, ...]
    silent: bool


class PreparedForms:
    """Families made ready for reading: all their markers and how they are found; `starting` are rows without an opener.

    `firsts` are the first characters of all markers.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.starting = tuple(row for row in rows if not row.opener)
        self._beginnings = _beginnings_of(self.starting)
        openers = dict.fromkeys(row.opener for row in rows if row.opener)
        around = dict.fromkeys(mark for row in rows for mark in row.around)
        names = sorted({**openers, **around}, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        self.firsts = frozenset(name[0] for name in names)
        self._longest = max(map(len, names), default=0)
        self._partial = frozenset(name[:size] for name in names for size in range(1, len(name)))
        self._found = {
            name: _Marker(
                tuple(row for row in rows if row.opener and name.startswith(row.opener)),
                max((mark for mark in around if name.startswith(mark)), key=len, default=""),
                tuple(opener for opener in openers if opener != name and opener.startswith(name)),
                any(row.shape == "nothing" and name == row.opener for row in rows),
            )
            for name in names
        }

    def may_start(self, first: str) -> bool:
        """Tell whether the first character of an answer may begin a call without an opener."""
        return self._beginnings is None or first in self._beginnings

    def is_marked(self, text: str) -> bool:
        """Tell whether a text has the first character of a marker."""
        # On a long text `isdisjoint` takes a hundred times as long: it makes an object of each character.
        for first in self.firsts:  # noqa: SIM110 (a generator takes three times as long)
            if first in text:
                return True
        return False

    def at(self, text: str, offset: int) -> _Marker | None:
        """Return the longest marker at an offset."""
        found = self.pattern.match(text, offset)
        return self._found[found[0]] if found else None

    def partial_at(self, text: str, offset: int) -> int:
        """Return where the end of a text may be the beginning of a marker; its length where it is not."""
        for at in range(max(offset, len(text) - self._longest + 1), len(text)):
            if text[at] in self.firsts and text[at:] in self._partial:
                return at
        return len(text)


_BEGINNINGS: Mapping[Shape, str] = {"json": "{[`", "pythonic": "["}
"""The first characters of calls that need neither an opener nor a start."""


def _beginnings_of(starting: Sequence[Row]) -> frozenset[str] | None:
    """Return the characters with which calls of these rows, which have no opener, may begin; None: with any."""
    found = [row.start[:1] or _BEGINNINGS.get(row.shape, "") for row in starting]
    return frozenset("".join(found)) if all(found) else None


NO_FAMILIES: Families = {}


def forms_of(names: Sequence[str], own: Families = NO_FAMILIES) -> PreparedForms:
    """Return the forms of families by name, the users' `own` among them; they are kept."""
    return _known_forms(tuple(names), tuple([(name, tuple(rows)) for name, rows in own.items()]) if own else ())


@lru_cache(maxsize=64)
def _known_forms(names: tuple[str, ...], own: tuple[tuple[str, tuple[Row, ...]], ...]) -> PreparedForms:
    return PreparedForms(rows_of(names, dict(own)))


class CallReader:
    """Takes calls of offered functions out of a text. What turns out to be none passes unchanged."""

    def __init__(self, forms: PreparedForms, offered: Offered) -> None:
        self._offered = offered
        self._forms = forms
        self._held = ""
        self._pieces: list[str] = []  # what came while more was waited for
        self._size = 0
        self._patience = Patience()
        self._waiting = False
        self._at_start = bool(forms.starting)
        self._spaces = ""
        self._quiet = True
        self._after_call = False
        self._in_vain = 0
        self._calls = 0

    @property
    def marks(self) -> frozenset[str] | None:
        """The first characters of all markers; None while something is held back."""
        return None if self._held or self._quiet else self._forms.firsts

    def feed(self, text: str) -> list[Found]:
        """Return what is certain; a marker, or what may become one, is held back."""
        if not self._held and not self._quiet and self._forms.firsts.isdisjoint(text):
            return [TextDelta(text)]
        if len(text) > SHORT:
            return [found for piece in slices(text) for found in self.feed(piece)]
        if not self._waiting:
            self._held += text
            return self._run(final=False)
        # A body is looked at again only when it may have ended: long calls would cost the square of their length.
        self._pieces.append(text)
        self._size += len(text)
        if self._size > LONGEST:
            return self._give_up()
        if self._size > _HEAD and (_ENDS.isdisjoint(text) or not self._patience.due(self._size)):
            return []
        return self._run(final=False)

    def close(self) -> list[Found]:
        """Return the rest; blank lines that stood around calls are dropped."""
        return self._run(final=True) if self._held else []

    def _give_up(self) -> list[Found]:
        """Pass on what is too long to be a call."""
        self._join()
        held, self._held, self._at_start = self._held, "", False
        out: list[Found] = []
        self._pass(held, out)
        return out

    def _join(self) -> None:
        self._waiting = False
        if self._pieces:
            self._held = "".join((self._held, *self._pieces))
            self._pieces.clear()

    def _run(self, *, final: bool) -> list[Found]:
        out: list[Found] = []
        waited = self._waiting
        self._join()
        offset = self._begin(out, final) if self._at_start and self._held else 0
        while offset is not None and offset < len(self._held):
            start = self._find(offset, final)
            self._pass(self._held[offset:start], out)
            offset = start
            marker = self._forms.at(self._held, offset)
            after = self._take(marker, offset, out, final) if marker is not None else None
            if after is None:
                break
            offset = after
        self._held = self._held[offset or 0 :]
        if self._held and self._waits(final):
            self._waiting, self._size = True, len(self._held)
            if not waited or offset:
                self._patience = Patience()
                self._patience.due(self._size)
        return out

    def _waits(self, final: bool) -> bool:
        return not final and (self._at_start or self._forms.at(self._held, 0) is not None)

    def _find(self, offset: int, final: bool) -> int:
        """Return where a marker begins, or may begin; at the end of the text, only a whole one counts."""
        if not self._forms.is_marked(self._held):
            return len(self._held)
        found = self._forms.pattern.search(self._held, offset)
        if found is not None:
            return found.start()
        return len(self._held) if final else self._forms.partial_at(self._held, offset)

    # What stands at an offset

    def _begin(self, out: list[Found], final: bool) -> int | None:
        """Look at the start of the answer, where calls need no opener. None: more text is needed."""
        offset = blanks(self._held, 0)
        if offset == len(self._held) and not final and offset < SHORT:
            return None
        starting = self._forms.starting
        if offset < len(self._held) and not self._forms.may_start(self._held[offset]):
            starting = ()
        for row in starting:
            if not self._held.startswith(row.start, offset):
                if not final and begins(self._held, offset, (row.start,)):
                    return None
                continue
            reading = SHAPES[row.shape](row, self._held, offset + len(row.start), self._offered, final)
            if reading is None:
                return None
            calls, end = reading
            if calls:
                self._at_start = False
                self._found(calls, out)
                return end
        self._at_start = False
        return 0

    def _take(self, marker: _Marker, offset: int, out: list[Found], final: bool) -> int | None:
        """Read what a marker begins. Returns where it ends, None where more text is needed."""
        text = self._held
        if self._in_vain > MOST_IN_VAIN:
            self._pass(text[offset:], out)
            return len(text)
        reading = self._read(marker, offset, final)
        if reading is None:
            return None
        calls, end = reading
        if calls:
            self._found(calls, out)
            return end
        around, silent = marker.around and self._after_call and self._quiet, marker.silent
        self._in_vain += LEAST_IN_VAIN if around or silent else max(len(text) - offset, LEAST_IN_VAIN)
        if around:
            return offset + len(marker.around)
        if silent:
            return end
        self._pass(text[offset:end], out)
        return end

    def _read(self, marker: _Marker, offset: int, final: bool, depth: int = 0) -> Reading:
        """Read the calls at an offset, behind markers that stand around them."""
        text, end = self._held, 0
        if not final and begins(text, offset, marker.longer):
            return None  # a longer opener may come
        for row in marker.rows:
            reading = SHAPES[row.shape](row, text, offset + len(row.opener), self._offered, final)
            if reading is None or reading[0]:
                return reading
            end = max(end, reading[1])
        if not marker.around or depth == MOST_AROUND:
            return [], max(end, offset + len(marker.around))
        inner = blanks(text, offset + len(marker.around))
        if not final and (inner == len(text) or self._forms.partial_at(text, inner) == inner):
            return None
        following = self._forms.at(text, inner)
        if following is not None:
            reading = self._read(following, inner, final, depth + 1)
            if reading is None or reading[0]:
                return reading
        return [], max(end, offset + len(marker.around))

    def _found(self, calls: Sequence[Found], out: list[Found]) -> None:
        out.extend(calls)
        self._quiet, self._spaces, self._after_call = True, "", True
        self._calls += len(calls)
        if self._calls > MOST_CALLS:
            self._in_vain = MOST_IN_VAIN + 1

    def _pass(self, text: str, out: list[Found]) -> None:
        if not text:
            return
        if self._quiet and text.isspace() and len(self._spaces) < SHORT:
            self._spaces += text
            return
        out.append(TextDelta(self._spaces + text))
        self._quiet, self._spaces = False, ""
