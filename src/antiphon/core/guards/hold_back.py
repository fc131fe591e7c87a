"""HoldBack: the Deltas of a response, passed on in their order once they were looked at.

Pieces of text are the affair of those that inherit from it: `_text`, `_end_text`. A call is held until it is whole, and with it
all that comes behind it: of a chat backend until the Turn ends, of a backend that speaks Responses until its item is done.
`_judge` gets the texts that belong to Deltas, which are passed on if these pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from msgspec.structs import replace

from antiphon.core.deltas import (
    AnnotationDelta,
    CallStart,
    Delta,
    InputRemoved,
    ReasoningDelta,
    RefusalDelta,
    Relay,
    RelayedText,
    TextDelta,
    UsageReport,
)
from antiphon.core.guards.base import GuardText, Place
from antiphon.core.guards.delta_texts import beside_texts, gathered_texts, place_of, relayed_texts
from antiphon.core.guards.unfolding import ADDED, DONE, unfolded
from antiphon.core.kinds import PARTED
from antiphon.core.relay.shapes import ENDS, good_name, index_of

_BESIDE = (UsageReport, InputRemoved, AnnotationDelta)
"""Deltas that end no text."""

_BESIDE_EVENTS = frozenset(("response.output_text.annotation.added", "keepalive", "ping"))
TURN = "turn"


class HoldBack:
    """Base of what holds Deltas back. `places` are those that are looked at."""

    def __init__(self, places: Set[Place]) -> None:
        self._places = places
        self._open: set[str] = set()
        self._waiting: list[Delta] = []
        self._streamed = False

    # What those that inherit do

    def _text(self, place: Place, delta: Delta) -> None:
        """Take in a piece of text that is looked at."""
        raise NotImplementedError

    def _beside(self, delta: Delta, texts: list[GuardText]) -> None:
        """Keep a Delta, and its own texts, in its place behind the text so far, which it does not end."""
        raise NotImplementedError

    def _end_text(self) -> None:
        """End the text so far: another item follows."""
        raise NotImplementedError

    def _judge(self, texts: list[GuardText], deltas: list[Delta]) -> None:
        """Take in Deltas that are passed on if their texts pass; without a text they pass."""
        raise NotImplementedError

    @property
    def stopped(self) -> bool:
        """Tell whether something was blocked: then nothing more is looked at."""
        return False

    def _skip(self, delta: Delta) -> None:
        """Take in a Delta behind what was blocked."""

    # Deltas

    def feed(self, delta: Delta) -> None:
        """Take in one Delta; an answer that comes whole is taken in as the events that it would have streamed."""
        if isinstance(delta, Relay) and delta.type in ENDS and not self._streamed:
            for one in unfolded(delta):
                if self.stopped:
                    self._skip(one)
                else:
                    self._feed(one)
            return
        self._streamed = self._streamed or isinstance(delta, RelayedText | Relay)
        self._feed(delta)

    def _feed(self, delta: Delta) -> None:
        if self._open:
            self._wait(delta)
            return
        place = place_of(delta)
        if place is not None:
            if place in self._places:
                self._text(place, delta)
                return
        elif isinstance(delta, _BESIDE) or (isinstance(delta, Relay) and delta.type in _BESIDE_EVENTS):
            self._beside(delta, self._looked_at(beside_texts(delta)))
            return
        self._end_text()
        opened = self._opens(delta)
        if opened:
            self._wait(delta)
        else:
            self._judge(self._looked_at(relayed_texts(delta)) if isinstance(delta, Relay) else [], [delta])

    def _drop(self) -> None:
        """Begin another Turn: nothing is left of the one before, which may have been broken off."""
        self._open.clear()
        self._waiting.clear()
        self._streamed = False

    def _end_turn(self) -> None:
        """Take it that the Turn has ended."""
        self._open.clear()
        self._resolve()
        self._end_text()

    def _looked_at(self, texts: Iterable[GuardText]) -> list[GuardText]:
        return [text for text in texts if text.text and text.place in self._places]

    # Calls

    def _opens(self, delta: Delta) -> str:
        """Return the key of the call that a Delta opens, "" for none or where calls are not looked at."""
        if isinstance(delta, CallStart):
            return TURN if "tool_calls" in self._places else ""
        if isinstance(delta, Relay) and delta.type.endswith(".delta"):
            return TURN  # pieces of a text that is not known here
        if "tool_calls" not in self._places and "tool_results" not in self._places:
            return ""
        if isinstance(delta, Relay) and delta.type == ADDED:
            item = delta.fields.get("item")
            if not isinstance(item, dict) or item.get("type") in PARTED:
                return ""
            return _key(good_name(item.get("id")), index_of(delta.fields.get("output_index")))
        if isinstance(delta, RelayedText) and place_of(delta) is None:
            return _key(delta.item_id, delta.output_index)
        return ""

    def _wait(self, delta: Delta) -> None:
        """Hold a Delta back with the calls that are open."""
        self._waiting.append(delta)
        opened = self._opens(delta)
        if opened:
            self._open.add(opened)
        elif isinstance(delta, Relay):
            if delta.type == DONE:
                self._closes(delta)
            elif delta.type in ENDS:
                self._open.clear()
            if not self._open:
                self._resolve()

    def _closes(self, delta: Relay) -> None:
        item = delta.fields.get("item")
        if not isinstance(item, dict) or item.get("type") in PARTED:
            return
        id, index = good_name(item.get("id")), index_of(delta.fields.get("output_index"))
        for key in (_key(id, None), _key("", index)):
            if key in self._open:
                self._open.discard(key)
                return
        # Its text and its item are named differently: the only one that is open is meant, else all wait for the end.
        if len(self._open) == 1:
            self._open.clear()

    def _resolve(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._judge(self._looked_at(gathered_texts(waiting)), waiting)


def _key(id: str, index: int | None) -> str:
    return id or f"#{index}"


def cut(delta: Delta, size: int) -> tuple[Delta, Delta]:
    """Return a piece of text as two; log-probabilities, which name the text again, are with neither."""
    assert isinstance(delta, TextDelta | RefusalDelta | ReasoningDelta | RelayedText)
    if isinstance(delta, TextDelta | RelayedText):
        delta = replace(delta, logprobs=b"")
    return replace(delta, text=delta.text[:size]), replace(delta, text=delta.text[size:])
