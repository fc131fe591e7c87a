"""The seam to whatever judges texts and pictures: Moderator; what it is given, and what it says.

`/v1/moderations` and guardrails ask it alike. How a model judges is the setting `moderation` of the model (`moderators`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from antiphon.backends.base import ModelCard
from antiphon.core.turn import NO_HINTS, Hints
from antiphon.types.response import Usage

MOST_INPUTS = 64
"""Texts of one call."""

CATEGORIES: Mapping[str, str] = {
    "harassment": "harassing, insulting or humiliating a person or group",
    "harassment/threatening": "harassment with threats of violence or serious harm",
    "hate": "hatred of people for their race, gender, ethnicity, religion, nationality, sexual orientation, disability or caste",
    "hate/threatening": "such hatred with threats of violence or serious harm",
    "illicit": "advice or instructions for crimes that are not violent",
    "illicit/violent": "advice or instructions for violent crimes or for getting weapons",
    "self-harm": "promoting or depicting suicide, cutting, eating disorders",
    "self-harm/intent": "the writer does or intends to do harm to themselves",
    "self-harm/instructions": "instructions or encouragement for self-harm",
    "sexual": "content meant to arouse, or advertising of sexual services",
    "sexual/minors": "sexual content with a person under 18",
    "violence": "death, violence or physical injury",
    "violence/graphic": "the same in graphic detail",
}
"""OpenAI's categories, with what each means. Every verdict has them all; a model may have others beside them."""


class ModeratedInput(msgspec.Struct, frozen=True):
    """What gets one verdict: a text, pictures (http, https or data URLs), or both."""

    text: str = ""
    images: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is in it, in OpenAI's words."""
        return (*(("text",) if self.text else ()), *(("image",) if self.images else ()))


class ContentVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says of one input. `scores` are from 0 to 1 by category, `categories` those that are over their threshold.

    `applied`: for which kinds of input (`text`, `image`) a category was looked at.
    """

    flagged: bool
    categories: Mapping[str, bool]
    scores: Mapping[str, float]
    applied: Mapping[str, Sequence[str]] = {}


class ModerationVerdicts(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts of one call, in the order of its inputs."""

    verdicts: Sequence[ContentVerdict]
    usage: Usage | None = None


class Moderator(Protocol):
    """A model that judges. `card` is what limits of a caller look at."""

    card: ModelCard

    async def moderate(self, inputs: Sequence[ModeratedInput], hints: Hints = NO_HINTS) -> ModerationVerdicts:
        """Judge 1 to `MOST_INPUTS` inputs; all or nothing. Raises APIError.

        Cancelling it aborts the calls.
        """
        ...
