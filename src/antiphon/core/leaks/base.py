"""What all leak filters share: LeakFilter, LeakedCall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from antiphon.core.deltas import ReasoningDelta, TextDelta


class LeakedCall(msgspec.Struct, frozen=True):
    """A call found in text; `arguments` is JSON text."""

    name: str
    arguments: str


Found = TextDelta | ReasoningDelta | LeakedCall


class LeakFilter(Protocol):
    """Reads text in pieces and takes calls out of it."""

    def feed(self, text: str) -> list[Found]:
        """Return what is certain by now."""
        ...

    def close(self) -> list[Found]:
        """Return what was held back."""
        ...


def open_filters(leaks: Sequence[str], offered: frozenset[str]) -> list[LeakFilter]:
    """Return the filters of these kinds; only tools that were `offered` are called."""
    return []
