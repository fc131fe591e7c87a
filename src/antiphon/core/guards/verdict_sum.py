"""VerdictSum: what guards have said of one side of a response, as the response tells it."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.core.guards.base import GuardVerdict
from antiphon.errors import APIError
from antiphon.types.response import ModerationError, ModerationResult

MOST_CATEGORIES = 200
"""Categories that are told."""


class VerdictSum:
    """What guards have said so far of one side of a response: its input, or its output."""

    def __init__(self) -> None:
        self.flagged = False
        self.failed: APIError | None = None
        self._scores: dict[str, float] = {}
        self._flags: dict[str, bool] = {}
        self._models: dict[str, None] = {}

    def add(self, verdict: GuardVerdict, judge: str) -> None:
        """Add a verdict; `judge` stands for a model that is not named."""
        self.flagged = self.flagged or verdict.flagged
        self._models[verdict.model or judge] = None
        for name, score in verdict.scores.items():
            if name not in self._scores and len(self._scores) >= MOST_CATEGORIES:
                continue
            self._scores[name] = max(score, self._scores.get(name, 0.0))
        for name, flag in verdict.flags.items():
            if name not in self._flags and len(self._flags) >= MOST_CATEGORIES:
                continue
            self._flags[name] = flag or self._flags.get(name, False)

    def told(self, default: str) -> ModerationResult | ModerationError:
        """Return it as a response tells it; `default` is the model where nothing was looked at."""
        if self.failed is not None:
            return ModerationError(code=self.failed.code, message=self.failed.message)
        names: Mapping[str, None] = dict.fromkeys((*self._flags, *self._scores))
        return ModerationResult(
            flagged=self.flagged,
            categories={name: self._flags.get(name, False) for name in names},
            category_scores={name: self._scores.get(name, float(self._flags.get(name, False))) for name in names},
            category_applied_input_types={name: ["text"] for name in names},
            model=", ".join(self._models) or default,
        )
