"""StreamTerms and Actions: options of a ResponseStream, and what its driver has to do next."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from antiphon.core.deltas import FinishReason

INCOMPLETE_REASONS = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
}
"""Why an answer was cut off, as OpenAI spells it."""


class Action(Enum):
    """What the engine has to do next."""

    CALL_MODEL = "call_model"
    CALL_TOOLS = "call_tools"
    DONE = "done"


class StreamTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Options of the stream: names of reasoning events, summaries, sealed reasoning."""

    open_responses_names: bool = False
    summarise: bool = False
    seal: Callable[[str], str | None] | None = None


def terminal_type(status: str) -> str:
    """Return the type of the last event. OpenAI has none for `cancelled`, and clients' helpers throw on types they don't know."""
    return "response.incomplete" if status == "cancelled" else f"response.{status}"
