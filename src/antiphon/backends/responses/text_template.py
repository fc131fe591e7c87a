"""TextTemplate: events of a stream that differ from one another in their text and their number alone, read without parsing them.

Servers write the same bytes around the two for a whole part of an answer. They are learned from one event; a trial shows that
what stands in these two places leaves all else of the event as it is.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from antiphon.backends.responses.decoder import text_event

# A text and a number, as they are found in an event from which the rest is learned.
_PLACES = re.compile(rb'"delta": ?"([^"\\]*)"'), re.compile(rb'"sequence_number": ?([1-9][0-9]{0,8})(?=[,}])')
_PROBE = "\x7f"
_MOST_DIGITS = 9
_NOT_IN_TEMPLATES = b"\n\r\\"

Layout = tuple[slice, bytes, slice, bytes, slice, bytes, slice, slice]
"""Of reads of one size: the places of three pieces, each with the bytes that must be there; the places of number and string."""


class TextTemplate(NamedTuple):
    """The bytes before the first of the two, between them, and behind the second; `number_first` tells which that is."""

    before: bytes
    between: bytes
    after: bytes
    number_first: bool

    @classmethod
    def of(cls, payload: bytes) -> TextTemplate | None:
        """Return what events have in common that are like this one; None where that cannot be told."""
        text, number = [place.search(payload) for place in _PLACES]
        if text is None or number is None or any(byte in payload for byte in _NOT_IN_TEMPLATES):
            return None
        number_first = number.start() < text.start()
        one, two = (number, text) if number_first else (text, number)
        before, between, after = payload[: one.start(1)], payload[one.end(1) : two.start(1)], payload[two.end(1) :]
        probes = (b"1", _PROBE.encode()) if number_first else (_PROBE.encode(), b"1")
        try:
            event, trial = text_event(payload), text_event(before + probes[0] + between + probes[1] + after)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if trial.delta != _PROBE or event.delta == _PROBE:  # a text like the probe would be found at any place
            return None
        event.delta = trial.delta
        return cls(before, between, after, number_first) if event == trial else None

    def layout(self, data: bytes, start: bytes, tail: bytes) -> Layout | None:
        """Return how a read is laid out that begins with `start` and ends with `tail`; None where it is no event like it."""
        start, after, between = start + self.before, self.after + tail, self.between
        first, last = len(start), len(data) - len(after)
        if self.number_first:
            at = data.find(between, first, first + _MOST_DIGITS + len(between))
            number, string = slice(first, at), slice(at + len(between) - 1, last + 1)
        else:
            at = data.rfind(between, max(first, last - _MOST_DIGITS - len(between)), last)
            number, string = slice(at + len(between), last), slice(first - 1, at + 1)
        if at < first or not data.startswith(start) or not data.endswith(after):
            return None
        middle, end = slice(at, at + len(between)), slice(last, len(data))
        return slice(0, first), start, middle, between, end, after, number, string
