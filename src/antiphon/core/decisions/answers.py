"""Distributions over the options of questions → answers as `/v1/decisions` spells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from antiphon.core.decisions.calibration import Reading
from antiphon.core.decisions.questions import Question
from antiphon.errors import APIError


class Distribution(msgspec.Struct, frozen=True):
    """The probability of each option of a question. `told`: the confidence, where a backend has told one."""

    shares: Sequence[float]
    reading: Reading | Literal["native"]
    told: float | None = None

    @property
    def confidence(self) -> float:
        """How far the likeliest option stands above chance: 0 where all are as likely, 1 where one is certain."""
        if self.told is not None:
            return self.told
        even = 1 / len(self.shares)
        return min(max((max(self.shares) - even) / (1 - even), 0.0), 1.0)


class Declined(msgspec.Struct, frozen=True):
    """The model answered with none of the options. `error`: it was not answered at all."""

    error: APIError | None = None


Outcome = Distribution | Declined


def expected(shares: Sequence[float]) -> float:
    """Return the mean level of a score, the lowest being 0."""
    return sum(level * share for level, share in enumerate(shares))


def answer(question: Question, outcome: Outcome) -> dict[str, object]:
    """Return an answer of the API. A question that was not answered is a refusal that tells the `error`."""
    if isinstance(outcome, Declined):
        refusal: dict[str, object] = {"type": "refusal", "name": question.name}
        if outcome.error is not None:
            refusal["error"] = {"code": outcome.error.code or outcome.error.type, "message": outcome.error.message}
        return refusal
    shares, options = outcome.shares, question.options
    head: dict[str, object] = {"type": question.kind, "name": question.name}
    if question.kind == "predicate":
        return {**head, "probability": shares[0]}
    if question.kind == "choice":
        return {
            **head,
            "choice": options[shares.index(max(shares))].value,
            "probabilities": [
                {"value": option.value, "probability": share} for option, share in zip(options, shares, strict=True)
            ],
            "confidence": outcome.confidence,
        }
    return {
        **head,
        "score": expected(shares),
        "probabilities": [
            {"value": level, "label": option.value, "probability": share}
            for level, (option, share) in enumerate(zip(options, shares, strict=True))
        ],
        "confidence": outcome.confidence,
    }
