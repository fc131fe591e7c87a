"""PatternHold: an answer up to the first match of a guard's Patterns, however it was cut into pieces.

The last `window` characters of a text are held back until it goes on or ends, so that of a match of that length nothing is passed
on; of a longer one the beginning may have been. What is passed on does not depend on the pieces in which the text comes. The
text of an answer goes on over calls and thoughts between its parts, because clients of chat completions see it as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set

import msgspec

from antiphon.core.deltas import Delta
from antiphon.core.guards.base import GuardText, Place
from antiphon.core.guards.delta_texts import place_of, text_of, used
from antiphon.core.guards.hold_back import HoldBack, cut
from antiphon.core.guards.patterns import Patterns, encodable

LEAD = 1
"""Characters before those in which a match may begin: what stands before a word tells whether it begins there."""


class PatternList(msgspec.Struct, frozen=True):
    """The Patterns of a guard and where it looks; without `blocks` a match is only told."""

    name: str
    patterns: Patterns
    places: Set[Place]
    blocks: bool = True


class PatternHit(msgspec.Struct, frozen=True):
    """A match: the guard, where it was, the rule that was broken."""

    guard: str
    place: Place
    rule: str
    blocks: bool


class _HeldText(msgspec.Struct):
    """Text of one place: what was passed on and may be the beginning of a match, and what is held.

    `new` are pieces that belong behind the `characters`, of which `passed` were passed on. `cut`: more stood before it.
    """

    characters: str = ""
    new: list[str] = []
    passed: int = 0
    cut: bool = False


class PatternHold(HoldBack):
    """Holds back the Deltas of one response. `blocked`: a match was found, nothing more is passed on; `hits` are all matches."""

    def __init__(self, lists: Sequence[PatternList], window: int) -> None:
        super().__init__(frozenset[Place]().union(*(one.places for one in lists)))
        self.blocked = False
        self.hits: list[PatternHit] = []
        self._lists = list(lists)
        self._window = window
        self._out: list[Delta] = []
        self._queue: deque[Delta] = deque()
        self._place: Place = "text"
        self._texts: dict[Place, _HeldText] = {}

    def begin(self) -> None:
        """Begin another Turn."""
        self._drop()
        self._queue.clear()
        self._out.clear()
        for text in self._texts.values():
            text.characters = text.characters[: text.passed]
            text.new.clear()

    def take(self, deltas: Sequence[Delta]) -> list[Delta]:
        """Return what of the Deltas may be passed on now."""
        for delta in deltas:
            if not self.blocked:
                self.feed(delta)
            else:
                self._skip(delta)
        self._look(final=False)
        return self._given()

    def end(self) -> list[Delta]:
        """Return the rest, at the end of a Turn."""
        if not self.blocked:
            self._end_turn()
        return self._given()

    def _given(self) -> list[Delta]:
        out, self._out = self._out, []
        return out

    @property
    def stopped(self) -> bool:
        return self.blocked

    def _skip(self, delta: Delta) -> None:
        self._out += used([delta])

    # Text

    def _text(self, place: Place, delta: Delta) -> None:
        if place != self._place:
            self._end_text()
            self._place = place
        self._queue.append(delta)
        text = self._texts.setdefault(place, _HeldText())
        text.new.append(encodable(text_of(delta)))

    def _beside(self, delta: Delta, texts: list[GuardText]) -> None:
        if texts and self._broken(texts) is not None:
            self._end_text()
            if not self.blocked:
                self._judge(texts, [delta])
            return
        self._queue.append(delta)

    def _broken(self, texts: list[GuardText]) -> PatternList | None:
        """Return the first list of which a text breaks a rule."""
        return next(
            (
                one
                for text in texts
                for one in self._lists
                if text.place in one.places and one.patterns.find(encodable(text.text)) is not None
            ),
            None,
        )

    def _end_text(self) -> None:
        self._look(final=True)

    def _look(self, *, final: bool) -> None:
        """Look at the text so far; pass on what cannot become part of a match."""
        if self.blocked or not self._queue:
            return
        text = self._texts.setdefault(self._place, _HeldText())
        if text.new:
            text.characters += "".join(text.new)
            text.new.clear()
        size = len(text.characters)
        until, hit = self._first_match(text, size, final=final)
        if hit is not None and hit.blocks:
            self._pass_on(text, until - text.passed)
            self._block(self._queue)
            return
        self._pass_on(text, (until if final else min(until, size - self._window)) - text.passed)
        needless = text.passed - self._window - LEAD
        if needless > 0:
            text.characters, text.passed, text.cut = text.characters[needless:], text.passed - needless, True

    def _first_match(self, text: _HeldText, size: int, *, final: bool) -> tuple[int, PatternHit | None]:
        """Return where the first match begins, which may not be certain yet, and what it is.

        Where a match ends with the text, and more may follow, it may become longer, or none.
        """
        until, hit = size, None
        for one in list(self._lists):
            if self._place not in one.places:
                continue
            found = one.patterns.find(text.characters, LEAD if text.cut else 0)
            if found is None:
                continue
            begin, end = found
            if not final and end == size and size - begin <= 2 * self._window:
                until = min(until, begin)
            elif one.blocks:
                if hit is None or begin < until:
                    hit = self._hit(one, text.characters[begin:end], self._place)
                until = min(until, begin)
            else:
                self._note(one, text.characters[begin:end], self._place)
        return until, hit

    def _pass_on(self, text: _HeldText, size: int) -> None:
        """Pass on so many characters of the queue, and what stands between them."""
        while self._queue:
            first = self._queue[0]
            if place_of(first) is None:
                self._out.append(self._queue.popleft())
                continue
            if size <= 0:
                return
            length = len(text_of(first))
            if length > size:
                if self._goes_whole(first):
                    return
                head, self._queue[0] = cut(first, size)
                self._out.append(head)
                text.passed += size
                return
            self._out.append(self._queue.popleft())
            text.passed += length
            size -= length

    def _goes_whole(self, delta: Delta) -> bool:
        """Tell whether a piece waits for its end: log-probabilities go with the whole of it."""
        return not self.blocked and bool(getattr(delta, "logprobs", b""))

    # Whole texts

    def _judge(self, texts: list[GuardText], deltas: list[Delta]) -> None:
        for text in texts:
            characters = encodable(text.text)
            for one in list(self._lists):
                if text.place not in one.places or one.patterns.find(characters) is None:
                    continue
                if not one.blocks:
                    self._note(one, characters, text.place)
                    continue
                self._hit(one, characters, text.place)
                self._block(deltas)
                return
        self._out += deltas

    # Matches

    def _hit(self, one: PatternList, text: str, place: Place) -> PatternHit:
        hit = PatternHit(one.name, place, one.patterns.rule(text), one.blocks)
        self.hits.append(hit)
        self.blocked = self.blocked or one.blocks
        return hit

    def _note(self, one: PatternList, text: str, place: Place) -> None:
        """Note a match that is only told, once for each guard."""
        self._lists.remove(one)
        self._hit(one, text, place)

    def _block(self, deltas: Sequence[Delta] | deque[Delta]) -> None:
        """Pass on nothing more, but for what was used."""
        self.blocked = True
        self._out += used(deltas)
        self._queue.clear()
        self._waiting.clear()
