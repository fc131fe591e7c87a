"""Inline thoughts: splits a stream of text at `<think>` … `</think>` into reasoning and answer."""

from __future__ import annotations

from typing import Literal

from antiphon.core.deltas import ReasoningDelta, TextDelta

OPEN_TAGS = ("<think>", "<thinking>", "<thought>", "[THINK]")
CLOSE_TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "[THINK]": "[/THINK]",
}

_LONGEST_START = 1024  # characters, blanks nearly all of them

_FIRST = frozenset(("", "<", "["))

Piece = TextDelta | ReasoningDelta


class ThinkSplitter:
    """Cuts one message. Thoughts stand at its beginning only: a tag in the middle of an answer is text.

    `opened` is for templates that put `<think>` into the prompt, so that the reply begins inside the thoughts.
    """

    __slots__ = ("_close", "_held", "_state")

    def __init__(self, *, opened: bool = False) -> None:
        self._state: Literal["start", "opened", "thinking", "gap", "answer"] = "thinking" if opened else "start"
        self._close = "</think>"
        self._held = ""

    @property
    def settled(self) -> bool:
        """Tell whether all that still comes is answer: `feed` would return it unchanged."""
        return self._state == "answer" and not self._held

    def feed(self, text: str) -> list[Piece]:
        """Return what of the text is certain; a piece that may be part of a tag is held back."""
        if self._state == "start" and not self._held and text.lstrip()[:1] not in _FIRST:
            self._state = "answer"  # the usual beginning
        if self._state == "answer":
            return [TextDelta(text)] if text else []
        self._held += text
        pieces: list[Piece] = []
        while self._step(pieces):
            pass
        return pieces

    def close(self) -> list[Piece]:
        """Return what is still held back, at the end of the message."""
        held, self._held = self._held, ""
        if self._state == "thinking":
            return [ReasoningDelta(held)] if held else []
        if self._state == "gap":
            held = held.lstrip()
        return [TextDelta(held)] if held else []

    def _step(self, pieces: list[Piece]) -> bool:
        """Move on by one state; False when more text is needed."""
        if self._state == "start":
            return self._at_start()
        if self._state == "opened" and self._held:
            self._state = "thinking"
            self._held = self._held.removeprefix("\n")
        if self._state == "thinking":
            return self._in_thoughts(pieces)
        if self._state == "gap":
            self._held = self._held.lstrip()
            if self._held:
                self._state = "answer"
            return bool(self._held)
        if self._held:
            pieces.append(TextDelta(self._held))
            self._held = ""
        return False

    def _at_start(self) -> bool:
        begin = self._held.lstrip()
        for tag in OPEN_TAGS:
            if begin.startswith(tag):
                self._state, self._close = "opened", CLOSE_TAGS[tag]
                self._held = begin[len(tag) :]
                return True
        if len(self._held) <= _LONGEST_START and any(tag.startswith(begin) for tag in OPEN_TAGS):
            return False
        self._state = "answer"
        return True

    def _in_thoughts(self, pieces: list[Piece]) -> bool:
        thoughts, tag, rest = self._held.partition(self._close)
        if tag:
            self._state, self._held = "gap", rest
            _append_thoughts(pieces, thoughts)
            return True
        keep = _overlap(thoughts, self._close)
        self._held = thoughts[len(thoughts) - keep :]
        _append_thoughts(pieces, thoughts[: len(thoughts) - keep])
        return False


def _append_thoughts(pieces: list[Piece], text: str) -> None:
    if text:
        pieces.append(ReasoningDelta(text))


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of the text may be the beginning of the tag."""
    for size in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-size:]):
            return size
    return 0
