"""StreamTerms and Actions: options of a ResponseStream, and what its driver has to do next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

import msgspec

from antiphon.core.deltas import AsyncTools, FinishReason, InputRemoved
from antiphon.core.opaque import Opaque
from antiphon.types.response import InputTransformation, Response

INCOMPLETE_REASONS = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.MAX_MESSAGES: "max_messages",
    FinishReason.STEERED: "steered",
}
"""Why an answer was cut off, as OpenAI spells it."""


class Action(Enum):
    """What the engine has to do next."""

    CALL_MODEL = "call_model"
    CALL_TOOLS = "call_tools"
    DONE = "done"


class StreamTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the stream: names of reasoning events, summaries, sealed reasoning.

    `asynchronous` finds the tools for which the model does not wait. `seal` seals thoughts, `seal_all` thoughts with what was
    kept beside them, `seal_found` what a tool has found; None from any of them: too large.
    """

    open_responses_names: bool = False
    summarise: bool = False
    asynchronous: Callable[[], AsyncTools] | None = None
    seal: Callable[[str], str | None] | None = None
    seal_all: Callable[[str, Sequence[Opaque]], str | None] | None = None
    seal_found: Callable[[str], str | None] | None = None


def note_removed(response: Response, removed: InputRemoved) -> None:
    """Tell in a response once what the model did not see, whichever of its Turns did without it."""
    note = InputTransformation(id=removed.id, reason=removed.reason)
    notes = response.input_transformations or []
    if note not in notes:
        response.input_transformations = [*notes, note]


def terminal_type(status: str) -> str:
    """Return the type of the last event. OpenAI has none for `cancelled`, and clients' helpers throw on types they don't know."""
    return "response.incomplete" if status == "cancelled" else f"response.{status}"
