"""DecisionCounts: questions of decisions by what became of them, for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.telemetry.prometheus import Bounded, Samples

MOST_MODELS = 200


class DecisionCounts:
    """Counts, and shows."""

    def __init__(self) -> None:
        self._model = Bounded(MOST_MODELS)
        self._questions = Samples(
            "antiphon_decisions_total",
            "Questions of decisions, by what became of them: how their probabilities came about, refusal, or error.",
            ("model", "type", "outcome"),
        )

    def question(self, model: str, kind: str, outcome: str) -> None:
        """Count a question."""
        self._questions.add((self._model(model), kind, outcome))

    def __call__(self) -> Iterable[Samples]:
        """Return the family as it is now."""
        yield self._questions
