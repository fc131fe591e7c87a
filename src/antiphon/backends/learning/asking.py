"""One model call on its way: what is changed of its request because the server refused it, or did not do what it says.

A request is changed before the first token only, and each refusal must teach something new. What has helped is remembered for
the model (`backends.learning.adaptations`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.backends.base import BackendModel
from antiphon.backends.chat.answers.endings import UNFORCED
from antiphon.backends.chat.answers.errors import NOTHING_SAID
from antiphon.backends.learning.adaptations import NOTHING, Adaptation, Adaptations
from antiphon.backends.learning.overflow_words import Overflow, overflow
from antiphon.backends.learning.refusal_words import Lesson, lesson
from antiphon.core.context import truncated
from antiphon.core.deltas import CallStart, Delta, Finish, TextDelta
from antiphon.core.turn import Turn
from antiphon.errors import BackendError

ALL_THOUGHTS = "an answer was thoughts and nothing else: the server's reasoning parser may take all text for thoughts"
SPARE = 64  # tokens of the window that are left free: servers count a little differently from one request to the next
MOST_CHANGES = 6  # of one request: OpenAI's models for thinking refuse four fields, one after the other

Teach = Callable[[BackendError, Mapping[str, Raw], Adaptation], Lesson | None]
"""Reads a refusal: the error, the fields that were sent, what was changed already → what it teaches."""


def with_window(model: BackendModel, learned: Mapping[str, Adaptation]) -> BackendModel:
    """Return a listed model with the window that a refusal has told, where the list does not say it."""
    window = learned.get(model.id, NOTHING).context_length
    return msgspec.structs.replace(model, context_length=window) if window and not model.context_length else model


class Asking:
    """A Turn that is asked, perhaps more than once. `changed` is how the model is asked otherwise than its profile says.

    `settled`: what the model says counts, and the request is changed no more. `forced`: the answer must be a call, so its text is
    held back until there is one. `teach` reads refusals. `bounded`: each request names the length of its answer.
    """

    __slots__ = (
        "_adaptations",
        "_bounded",
        "_held",
        "_lasting",
        "_left",
        "_teach",
        "_uncalled",
        "_why",
        "changed",
        "forced",
        "settled",
        "turn",
    )

    def __init__(self, turn: Turn, adaptations: Adaptations, teach: Teach = lesson, *, bounded: bool = False) -> None:
        self.turn = turn
        self._teach = teach
        self._bounded = bounded
        self.changed: Adaptation = adaptations.of(turn.model, turn.hints.owner)
        self.settled = self.forced = False
        self._adaptations = adaptations
        self._held: list[Delta] = []
        self._uncalled: list[Delta] = []
        self._lasting = NOTHING
        self._left = MOST_CHANGES
        self._why = ""

    # What the model says

    def heard(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """Return what of the answer may be shown now."""
        if not self.forced:
            self.accepted()
            return deltas
        shown: list[Delta] = []
        for delta in deltas:
            if isinstance(delta, TextDelta) and not self.settled:
                self._held.append(delta)
                continue
            if isinstance(delta, CallStart | Finish) and not self.settled:
                self.accepted()
                shown += self.release()
            shown.append(delta)
        return shown

    def release(self) -> Sequence[Delta]:
        """Return what was held back: the answer has ended."""
        held, self._held = self._held, []
        return held

    def uncalled(self) -> Sequence[Delta]:
        """Return what the model said instead of a call that nothing brought about: its first answer."""
        held = self.release()
        return self._uncalled or held

    def accepted(self) -> None:
        """Remember what was changed: the server has accepted the request."""
        self.settled = True
        if self._lasting is not NOTHING:
            self._adaptations.learn(self.turn.model, self._lasting, self._why, self.turn.hints.owner)

    def thought(self, *, unopened: bool) -> None:
        """Take note of how an answer told its thoughts, for which it was searched."""
        model = self.turn.model
        if unopened:
            if self.turn.reasoning_effort is None or self._adaptations.of(model, self.turn.hints.owner).think:
                return  # it opens them unasked, too
            why = "the answer closed thoughts that it did not open; the server has no reasoning parser"
            self._adaptations.learn(model, Adaptation(think="opened"), why, self.turn.hints.owner)
        else:
            self._adaptations.parts_thoughts(model)

    def closed_thoughts(self) -> None:
        """Take note of a whole answer that closed thoughts which it did not open: a stream may do so, too."""
        why = "a whole answer closed thoughts that it did not open; the server has no reasoning parser"
        self._adaptations.learn(self.turn.model, Adaptation(think="unsure"), why, self.turn.hints.owner)

    def all_thoughts(self) -> None:
        """Take note of an answer that is nothing but thoughts."""
        self._adaptations.remark(self.turn.model, ALL_THOUGHTS)

    # What the server refuses

    def changes(self, error: BackendError, sent: Mapping[str, Raw]) -> bool:
        """Change the request that had the fields `sent`, by what its refusal teaches. False where that is nothing new."""
        self._left -= 1
        if self._left < 0 or self.settled:
            return False
        if error.code == UNFORCED:
            changed = self._change(Adaptation(forced_calls="schema"), error)
        elif error.message == NOTHING_SAID and self.turn.stream:
            # An empty stream: the same without one brings the words (llama-cpp-python, where the input is too long).
            changed = self._change(Adaptation(stream="never"), error, lasting=False)
        elif (found := overflow(error, most := self._longest(sent))) is not None:
            changed = self._fit(found, error, most)
        else:
            learned = self._teach(error, sent, self.changed)
            changed = learned is not None and self._change(learned.adaptation, error, lasting=learned.lasting)
        if changed:
            if error.code == UNFORCED and not self._uncalled:
                self._uncalled = self._held[:]
            self._held.clear()
        return changed

    def _change(self, learned: Adaptation, error: BackendError, *, lasting: bool = True) -> bool:
        changed = self.changed.plus(learned)
        if changed == self.changed:
            return False
        self.changed = changed
        if lasting:
            self._lasting = self._lasting.plus(learned)
            self._why = error.message
        return True

    def _longest(self, sent: Mapping[str, Raw]) -> int | None:
        """Return how long the answer may be; None where the request does not say it."""
        said = bytes(sent.get("max_tokens", b"")) if self._bounded else b""
        return int(said) if said.isdigit() else self.turn.max_output_tokens

    def _fit(self, found: Overflow, error: BackendError, most: int | None) -> bool:
        """Ask for a shorter answer where that is the trouble; leave out the oldest items where the client allows it."""
        turn = self.turn
        if found.window and not self.changed.context_length:
            window = Adaptation(context_length=found.window)
            self._adaptations.learn(turn.model, window, error.message, self.turn.hints.owner)
            self.changed = self.changed.plus(window)
        if found.output_limit:
            return self._change(Adaptation(max_output_tokens=found.output_limit), error)
        if most is not None and found.output_at_fault:
            room = found.window - found.input - SPARE if self._bounded else None  # else the window bounds it
            if room is None or 0 < room < most:
                self.turn = msgspec.structs.replace(turn, max_output_tokens=room)
                return True
        if turn.request.truncation != "auto":
            return False
        items = truncated(turn.items, found.share(most))
        self.turn = msgspec.structs.replace(turn, items=items)
        return len(items) < len(turn.items)
