"""GuardText and GuardVerdict: what a guard looks at and what it says; the refusal that replaces what it blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from antiphon.core.deltas import Delta, Finish, FinishReason, RefusalDelta

Place = Literal["input", "text", "reasoning", "tool_calls", "tool_results"]
"""Where a text stands: in the request, in the answer (refusals too), in thoughts, in arguments of calls, in what tools gave."""


class GuardText(msgspec.Struct, frozen=True):
    """A text that a guard looks at. Text of an answer comes in windows, with some of what came before."""

    place: Place
    text: str


class GuardVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard says of a text. `scores` are its categories, from 0 to 1; `flags` names those under which it is flagged.

    `model` is the model that judged, "" for none.
    """

    flagged: bool = False
    scores: Mapping[str, float] = {}
    flags: Mapping[str, bool] = {}
    model: str = ""


PASSED = GuardVerdict()


def refusing(refusal: str) -> Sequence[Delta]:
    """Return the end of an answer of which the rest was blocked."""
    return (RefusalDelta(refusal), Finish(FinishReason.CONTENT_FILTER))
