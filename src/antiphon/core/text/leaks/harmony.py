"""Harmony (gpt-oss): channels in the text. Analysis becomes reasoning, final becomes text, a message to a function a call."""

from __future__ import annotations

import re

from antiphon.core.deltas import ReasoningDelta, TextDelta
from antiphon.core.text.leaks.base import LONGEST, SHORT, Found, Offered, overlap, slices

_HEADS = ("<|start|>", "<|channel|>")
_MESSAGE = "<|message|>"
_ENDS = ("<|end|>", "<|call|>", "<|return|>", *_HEADS)
_FIRSTS = frozenset("<")
_LONGEST_HEAD = 1024  # characters
MOST_MESSAGES = 2000
"""Messages of an answer: what comes behind so many is all part of the last one."""

_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([\w.-]+)")


class HarmonyFilter:
    """A state machine over the markers. Text outside of all frames is answer."""

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        self._held = ""
        self._head = ""
        self._in_message = False
        self._framed = False
        self._channel = "final"
        self._recipient = ""
        self._body: list[str] = []
        self._size = 0  # of the body
        self._messages = 0

    @property
    def marks(self) -> frozenset[str] | None:
        """The first character of all markers; None within a message, where each piece counts."""
        return None if self._held or self._head or self._framed else _FIRSTS

    def feed(self, text: str) -> list[Found]:
        """Return what is certain; parts of markers are held back."""
        if not (self._held or self._head or self._framed or "<" in text):
            return [TextDelta(text)] if text else []
        if len(text) > SHORT:
            return [found for piece in slices(text) for found in self.feed(piece)]
        self._held += text
        out: list[Found] = []
        while self._step(out):
            pass
        return out

    def close(self) -> list[Found]:
        """Return the rest: a call without its end still counts."""
        out: list[Found] = []
        held, self._held = self._held, ""
        if self._head:
            # A head without a message is not Harmony after all.
            out.append(TextDelta(self._head + held))
            self._head = ""
        else:
            self._piece(held, out)
            self._end("", out)
        return out

    def _step(self, out: list[Found]) -> bool:
        if self._head:
            return self._in_head(out)
        if self._messages >= MOST_MESSAGES:
            held, self._held = self._held, ""
            self._piece(held, out)
            return False
        markers = _ENDS if self._in_message else _HEADS
        found = [(offset, marker) for marker in markers if (offset := self._held.find(marker)) >= 0]
        if not found:
            keep = max(overlap(self._held, marker) for marker in markers)
            certain = self._held[: len(self._held) - keep]
            self._held = self._held[len(certain) :]
            self._piece(certain, out)
            return False
        offset, marker = min(found)
        self._piece(self._held[:offset], out)
        self._end(marker, out)
        self._held = self._held[offset + len(marker) :]
        if marker in _HEADS:
            self._head = marker
        return True

    def _in_head(self, out: list[Found]) -> bool:
        head, marker, rest = self._held.partition(_MESSAGE)
        if len(head) > _LONGEST_HEAD:
            # Not Harmony's: it is text.
            self._piece(self._head + head, out)
            self._head, self._held = "", self._held[len(head) :]
            return True
        if not marker:
            return False
        head = self._head + head
        channel, recipient = _CHANNEL.search(head), _RECIPIENT.search(head)
        self._channel = channel[1] if channel else "final"
        self._recipient = recipient[1] if recipient else ""
        self._body, self._size = ([head + marker] if self._recipient else []), 0
        self._in_message = self._framed = True
        self._messages += 1
        self._head, self._held = "", rest
        return True

    def _piece(self, text: str, out: list[Found]) -> None:
        if not text:
            return
        if not self._in_message:
            if text.strip() or not self._framed:
                out.append(TextDelta(text))
        elif self._recipient:
            self._body.append(text)
            self._size += len(text)
            if self._size > LONGEST:  # too long to be a call
                out.append(TextDelta("".join(self._body)))
                self._recipient, self._body = "", []
        elif self._channel == "analysis":
            out.append(ReasoningDelta(text))
        else:
            out.append(TextDelta(text))

    def _end(self, marker: str, out: list[Found]) -> None:
        """End a message; a message to a tool that was not offered passes as the text that it was."""
        if self._recipient:
            head, *pieces = self._body
            call = self._offered.call(self._recipient, "".join(pieces).strip())
            if call is not None:
                out.append(call)
            else:
                out.append(TextDelta(head + "".join(pieces) + (marker if marker not in _HEADS else "")))
        self._recipient, self._body, self._in_message = "", [], False
