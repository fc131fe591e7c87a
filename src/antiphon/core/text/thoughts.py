"""Inline thoughts: splits a stream of text at `<think>` … `</think>` into reasoning and answer."""

from __future__ import annotations

from typing import Literal

from antiphon.core.deltas import ReasoningDelta, TextDelta

TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "<mm:think>": "</mm:think>",
    "[THINK]": "[/THINK]",
    "<|open|>think<|sep|>": "<|close|>think<|sep|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
}
"""Opening tag → closing tag."""

_OPEN_TAGS, _CLOSE_TAGS = tuple(TAGS), tuple(TAGS.values())
_QUOTES = frozenset("`'\"*")

_LONGEST_START = 1024  # characters, blanks nearly all of them
LONGEST_UNSURE = 32 * 1024
"""Characters that are held back while they may be thoughts or answer."""

_LONGEST_TAG = max(map(len, _CLOSE_TAGS))

_FIRST = frozenset(("", "<", "["))

Piece = TextDelta | ReasoningDelta


class ThinkSplitter:
    """Cuts one message. Thoughts stand at its beginning only: a tag in the middle of an answer is text.

    `opened` is for templates that put `<think>` into the prompt, so that the reply begins inside the thoughts. `whole`: the
    first piece is the whole message, so that a closing tag without an opening one can be seen in time. `unsure`: the template
    may do so, and text is held back until a closing tag tells. `unopened`: there was such a tag, and no opening one.
    """

    __slots__ = ("_close", "_held", "_pieces", "_size", "_state", "unopened", "whole")

    def __init__(self, *, opened: bool = False, unsure: bool = False) -> None:
        self._state: Literal["start", "unsure", "opened", "thinking", "gap", "answer"] = "start"
        if opened or unsure:
            self._state = "thinking" if opened else "unsure"
        self._close: tuple[str, ...] = _CLOSE_TAGS
        self._held = ""
        self._pieces: list[str] = []  # while it is not sure what they are; `_held` is then the end of them
        self._size = 0
        self.whole = self.unopened = False

    def settled(self) -> bool:
        """Tell whether all that still comes is answer: `feed` would return it unchanged."""
        return self._state == "answer" and not self._held

    def in_gap(self) -> bool:
        """Tell whether thoughts have ended and no answer has begun: blank lines are neither."""
        return self._state == "gap"

    def thoughts_came(self) -> None:
        """Be told that the thoughts came apart from the text: what is left between them and the answer is dropped."""
        if self._state in ("start", "unsure") and not self._held:
            self._state = "gap"

    def feed(self, text: str) -> list[Piece]:
        """Return what of the text is certain; a piece that may be part of a tag is held back."""
        if self._state == "unsure":
            text = self._until_sure(text)
            if not text:
                return []
        if self._state == "start" and not self._held:
            if self.whole and ("<" in text or "[" in text) and _closes_unopened(text):
                self._state = "thinking"
                self.unopened = True
            elif text.lstrip()[:1] not in _FIRST:
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
        if self._state == "unsure":
            return [TextDelta("".join(self._pieces))] if self._pieces else []
        held, self._held = self._held, ""
        if self._state == "thinking":
            return [ReasoningDelta(held)] if held else []
        if self._state == "gap":
            held = held.lstrip()
        return [TextDelta(held)] if held else []

    def _until_sure(self, text: str) -> str:
        """Hold text back until it can be told; then return all of it."""
        self._pieces.append(text)
        self._size += len(text)
        around = self._held + text
        self._held = around[-_LONGEST_TAG:]
        closed = any(_is_bare(around, around.find(tag)) for tag in _CLOSE_TAGS if tag in around)
        opened = self._size <= _LONGEST_START and "".join(self._pieces).lstrip().startswith(_OPEN_TAGS)
        if not (closed or opened) and self._size <= LONGEST_UNSURE:
            return ""
        whole, self._held, self._pieces = "".join(self._pieces), "", []
        self.unopened = closed and not any(tag in whole for tag in TAGS)
        self._state = "thinking" if self.unopened else "start"
        return whole

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
        for tag, close in TAGS.items():
            if begin.startswith(tag):
                self._state, self._close = "opened", (close,)
                self._held = begin[len(tag) :]
                return True
        if len(self._held) <= _LONGEST_START and any(tag.startswith(begin) for tag in TAGS):
            return False
        self._state = "answer"
        return True

    def _in_thoughts(self, pieces: list[Piece]) -> bool:
        found = [(start, tag) for tag in self._close if (start := self._held.find(tag)) >= 0]
        if found:
            start, tag = min(found)
            _append_thoughts(pieces, self._held[:start])
            self._state, self._held = "gap", self._held[start + len(tag) :]
            return True
        keep = max(_overlap(self._held, tag) for tag in self._close)
        certain = len(self._held) - keep
        _append_thoughts(pieces, self._held[:certain])
        self._held = self._held[certain:]
        return False


def _is_bare(text: str, offset: int) -> bool:
    """Tell whether a tag is not quoted."""
    return text[offset - 1 : offset] not in _QUOTES


def _closes_unopened(text: str) -> bool:
    """Tell whether a message closes thoughts that it did not open: one closing tag, not quoted, and no opening one."""
    found = [(start, tag) for tag in _CLOSE_TAGS if (start := text.find(tag)) >= 0]
    if len(found) != 1:
        return False
    start, tag = found[0]
    behind = start + len(tag)
    if text.find(tag, behind) >= 0 or any(opening in text for opening in TAGS):
        return False
    return text[start - 1 : start] not in _QUOTES and text[behind : behind + 1] not in _QUOTES


def _append_thoughts(pieces: list[Piece], text: str) -> None:
    if text:
        pieces.append(ReasoningDelta(text))


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of the text may be the beginning of the tag."""
    for size in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-size:]):
            return size
    return 0
