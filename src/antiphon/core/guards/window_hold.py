"""WindowHold: an answer in windows of a stated size, each held back until guards that take time have looked at it.

Windows end after so many characters, wherever the pieces end in which the text comes, so that the verdicts are the same however
an answer comes. Each is looked at together with as much of the text before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set

import msgspec

from antiphon.core.deltas import Delta
from antiphon.core.guards.base import GuardText, Place
from antiphon.core.guards.delta_texts import text_of
from antiphon.core.guards.hold_back import HoldBack, cut


class HeldPart(msgspec.Struct, frozen=True):
    """Deltas that are passed on if their texts pass."""

    texts: Sequence[GuardText]
    deltas: Sequence[Delta]


class WindowHold(HoldBack):
    """Holds back the Deltas of one response. `parts` wait for a verdict, in their order; whoever gives it takes them off."""

    def __init__(self, places: Set[Place], window: int) -> None:
        super().__init__(places)
        self.parts: deque[HeldPart] = deque()
        self._window = window
        self._deltas: list[Delta] = []
        self._pieces: list[str] = []
        self._others: list[GuardText] = []
        self._size = 0
        self._place: Place = "text"
        self._run: list[str] = []
        self._before: dict[Place, str] = {}
        self._known: set[int] = set()

    @property
    def holds(self) -> bool:
        """Tell whether there is text that is not in `parts` yet."""
        return bool(self._deltas)

    def begin(self) -> None:
        """Begin another Turn."""
        self._drop()
        self._deltas, self._pieces, self._others, self._size = [], [], [], 0
        self.parts.clear()
        self._run.clear()

    def take(self, deltas: Sequence[Delta]) -> None:
        """Take in Deltas."""
        for delta in deltas:
            self.feed(delta)

    def flush(self) -> None:
        """End the window here: what it holds has waited long enough."""
        if not self._deltas:
            return
        text = "".join(self._pieces)
        before = self._before.get(self._place, "")
        texts = [GuardText(self._place, before + text)] if text else []
        self.parts.append(HeldPart([*texts, *self._others], self._deltas))
        self._before[self._place] = (before + text)[-self._window :]
        self._deltas, self._pieces, self._others, self._size = [], [], [], 0

    def end(self) -> None:
        """End the Turn."""
        self._end_turn()

    def _text(self, place: Place, delta: Delta) -> None:
        if place != self._place:
            self._end_text()
            self._place = place
        self._run.append(text_of(delta))
        while (room := self._window - self._size) < len(text_of(delta)) and not getattr(delta, "logprobs", b""):
            head, delta = cut(delta, room)
            self._add(head)
            self.flush()
        self._add(delta)
        if self._size >= self._window:
            self.flush()

    def _add(self, delta: Delta) -> None:
        self._deltas.append(delta)
        self._pieces.append(text_of(delta))
        self._size += len(text_of(delta))

    def _beside(self, delta: Delta, texts: list[GuardText]) -> None:
        self._deltas.append(delta)
        self._others += texts

    def _end_text(self) -> None:
        self.flush()
        if self._run:
            self._known.add(hash((self._place, "".join(self._run))))
            self._run.clear()

    def _judge(self, texts: list[GuardText], deltas: list[Delta]) -> None:
        new = []
        for text in texts:  # a server that speaks Responses tells a text several times
            known = hash((text.place, text.text))
            if known not in self._known:
                self._known.add(known)
                new.append(text)
        self.parts.append(HeldPart(new, deltas))
