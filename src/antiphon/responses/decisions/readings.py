"""ModelReadings: which models give no log-probabilities, and which think although they are told not to; remembered a while.

Per owner: what the fields of one owner's requests make of a model is not taken for the model's own way with others.
"""

from __future__ import annotations

from collections.abc import Callable

REMEMBERED_SECONDS = 600.0
MOST_REMEMBERED = 10_000


class ModelReadings:
    """What was found out of models, by owner and id. It spares a call that would be in vain."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str, str], float] = {}

    def note(self, owner: str, model: str, what: str) -> None:
        """Remember something of a model, such as `silent`."""
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[owner, model, what] = self._clock() + REMEMBERED_SECONDS

    def knows(self, owner: str, model: str, what: str) -> bool:
        """Tell whether it is still remembered."""
        until = self._known.get((owner, model, what))
        return until is not None and self._clock() < until
