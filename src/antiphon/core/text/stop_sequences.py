"""Stop sequences: an answer's text ends exactly before the first of them, however it was cut into pieces.

One automaton for all sequences (Aho-Corasick): the cost is proportional to the text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from msgspec.structs import replace

from antiphon.core.deltas import Delta, Finish, FinishReason, RelayedText, TextDelta, UsageReport

RELAYED = "response.output_text.delta"


class StopMatcher:
    """Finds the first of some sequences in a text that comes in pieces; of several that end together, the longest."""

    def __init__(self, sequences: Sequence[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._fail = [0]
        self._depth = [0]
        self._found = [""]
        for sequence in sequences:
            self._add(sequence)
        self._link()
        self._state = 0

    def _add(self, sequence: str) -> None:
        state = 0
        for character in sequence:
            following = self._next[state].get(character)
            if following is None:
                following = self._next[state][character] = len(self._next)
                self._next.append({})
                self._fail.append(0)
                self._depth.append(self._depth[state] + 1)
                self._found.append("")
            state = following
        self._found[state] = sequence

    def _link(self) -> None:
        """Set where a state goes on when its next character is another."""
        waiting = deque(self._next[0].values())
        while waiting:
            state = waiting.popleft()
            for character, following in self._next[state].items():
                at = self._fail[state]
                while at and character not in self._next[at]:
                    at = self._fail[at]
                at = self._next[at].get(character, 0)
                self._fail[following] = at
                self._found[following] = self._found[following] or self._found[at]
                waiting.append(following)

    @property
    def pending(self) -> int:
        """How many of the last characters may be the beginning of a sequence."""
        return self._depth[self._state]

    def find(self, text: str) -> tuple[int, str]:
        """Go on with a piece. Returns the sequence found, "" for none, and where in the piece it begins.

        That is below 0 where it began in an earlier piece.
        """
        state, step = self._state, self._next
        for at, character in enumerate(text, 1):
            while state and character not in step[state]:
                state = self._fail[state]
            state = step[state].get(character, 0)
            if self._found[state]:
                return at - len(self._found[state]), self._found[state]
        self._state = state
        return 0, ""

    def reset(self) -> None:
        """Begin another text."""
        self._state = 0


class StopFilter:
    """Cuts the text of a Turn's Deltas. `matched`: the sequence was said; nothing of the Turn counts any more.

    A possible beginning of a sequence is held back. Thoughts and calls are passed on as they are; they part the text.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self.matched = ""
        self._matcher = StopMatcher(sequences)
        self._held: list[TextDelta | RelayedText] = []
        self._size = 0

    def take(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """Return what of the Deltas may be told now; the last is a Finish where a sequence was found."""
        if self.matched:
            return ()
        told: list[Delta] = []
        for delta in deltas:
            if isinstance(delta, TextDelta) or (isinstance(delta, RelayedText) and delta.type == RELAYED):
                self._text(delta, told)
                if self.matched:
                    break
                continue
            if not isinstance(delta, UsageReport):
                told += self._release()
            told.append(delta)
        return told

    def begin(self) -> None:
        """Begin another Turn."""
        self._held, self._size, self.matched = [], 0, ""
        self._matcher.reset()

    def _release(self) -> Sequence[Delta]:
        held, self._held, self._size = self._held, [], 0
        self._matcher.reset()
        return held

    def _text(self, delta: TextDelta | RelayedText, told: list[Delta]) -> None:
        before = self._size
        self._held.append(delta)
        self._size += len(delta.text)
        begin, found = self._matcher.find(delta.text)
        if found:
            self.matched = found
            self._tell(before + begin, told)
            told.append(Finish(FinishReason.STOP_SEQUENCE, found))
        else:
            self._tell(self._size - self._matcher.pending, told)

    def _tell(self, size: int, told: list[Delta]) -> None:
        """Tell so many characters of what is held."""
        while size > 0:
            first = self._held[0]
            if len(first.text) <= size:
                told.append(self._held.pop(0))
            else:
                told.append(replace(first, text=first.text[:size], logprobs=b""))
                self._held[0] = replace(first, text=first.text[size:], logprobs=b"")
            taken = min(len(first.text), size)
            size -= taken
            self._size -= taken
