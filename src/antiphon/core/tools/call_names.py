"""Names that models make up for a function → the offer that is meant. Pure.

Models call functions by other names than they were given: with a token of their template behind it, with the prefix of the
format that they were trained on, with a number, with or without the namespace, spelled another way. A name is repaired where
exactly one offer can be meant, and left as it is otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from antiphon.core.tools.offers import Offer

LONGEST_NAME = 512  # characters; what is longer is nobody's name
MOST_PARTS = 4  # pieces between tokens that are looked at, prefixes that are taken off
MOST_TAILS = 4  # parts, or words, from the end of a name that may stand for the whole

_TOKEN = re.compile(r"<[^<>]{0,64}>?|\(")
_PREFIX = re.compile(r"(?:functions?|default_api)(?:[.:/]|__?|-)|(?:tools?|api|assistant)(?:[.:/]|__)|to=")
_COUNT = re.compile(r"[:#]\d{1,9}\Z")
_ENDS = " \t\r\n\"'`()[]{}:.,;*/"
_CHANNELS = frozenset(("assistant", "commentary", "analysis", "final", "json", "code", "tool"))
"""Words of Harmony's headers, which stand beside a name."""

_PARTED = re.compile(r"__+|--+|[./:]+")
"""What parts a namespace from a name."""

_ODD = re.compile(r"[^a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class CallNames:
    """Finds the offer that a name means. It is made when a model has called what was not offered, and that is rare."""

    __slots__ = ("_by_ending", "_by_name", "_by_spelling", "_by_tail", "_found")

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._by_name: dict[str, Offer | None] = {}
        self._by_spelling: dict[str, Offer | None] = {}
        self._by_tail: dict[str, Offer | None] = {}
        self._by_ending: dict[str, Offer | None] = {}
        self._found: dict[str, Offer | None] = {}
        for offer in offers:
            self._add(offer)

    def find(self, name: str) -> Offer | None:
        """Return the one offer that a name can mean, or None."""
        if len(name) > LONGEST_NAME:
            return None
        if name not in self._found:
            self._found[name] = next(filter(None, map(self._meant, _candidates(name))), None)
        return self._found[name]

    def _add(self, offer: Offer) -> None:
        namespace, name = offer.target.namespace, offer.target.name
        namespace = None if namespace == name else namespace  # it is in none, but was searched for
        full = f"{namespace}__{name}" if namespace else name
        spelled = _spelled(full)
        for table, known in ((self._by_name, full), (self._by_spelling, spelled)):
            _put(table, known, offer)
        if offer.name != full:
            _put(self._by_name, offer.name, offer)
            _put(self._by_spelling, _spelled(offer.name), offer)
        tail = ""
        for part in reversed(_tail(namespace, name)):
            tail = f"{_spelled(part)}_{tail}" if tail else _spelled(part)
            _put(self._by_tail, tail, offer)
        words = spelled.split("_")
        for length in range(2, min(len(words), MOST_TAILS + 1)):  # one word is the end of too many names
            _put(self._by_ending, "_".join(words[-length:]), offer)

    def _meant(self, name: str) -> Offer | None:
        """Look for a name in one table after the other: what is in a table is not looked for in the next."""
        if name in self._by_name:
            return self._by_name[name]
        spelled = _spelled(name)
        for table in (self._by_spelling, self._by_tail, self._by_ending):
            if spelled in table:
                return table[spelled]
        return None


def _put(table: dict[str, Offer | None], name: str, offer: Offer) -> None:
    """Enter an offer; a name of two offers means neither, and no name means any."""
    if name:
        table[name] = offer if table.get(name, offer) is offer else None


def _tail(namespace: str | None, name: str) -> list[str]:
    """Return the last parts of a name, without the first one."""
    parts = [*_PARTED.split(namespace), name] if namespace else _PARTED.split(name)
    return parts[max(1, len(parts) - MOST_TAILS) :]


def _spelled(name: str) -> str:
    """Return a name in small letters, its words parted by single underscores."""
    small = name if name.islower() else _HUMP.sub("_", name).lower()
    return _ODD.sub("_", small).strip("_")


def _candidates(name: str) -> Iterator[str]:
    """Yield what may be the name in what was called, the whole first."""
    yield name
    for part in _TOKEN.split(name, MOST_PARTS)[:MOST_PARTS]:
        cleaned = part.strip(_ENDS)
        if not cleaned:
            continue
        yield from _shorter(cleaned)
        words = [word for word in cleaned.split() if word not in _CHANNELS]
        if len(words) == 1 and words[0] != cleaned:
            yield from _shorter(words[0])


def _shorter(name: str) -> Iterator[str]:
    """Yield a name, then without the number behind it, then without the prefixes before it."""
    yield name
    counted = _COUNT.search(name)
    if counted is not None:
        name = name[: counted.start()]
        yield name
    for _ in range(MOST_PARTS):
        prefix = _PREFIX.match(name)
        if prefix is None:
            return
        name = name[prefix.end() :]
        yield name
