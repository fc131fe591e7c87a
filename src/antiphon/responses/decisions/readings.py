"""ModelReadings: which models give no log-probabilities, and which think although they are told not to; remembered a while."""

from __future__ import annotations

from collections.abc import Callable

REMEMBERED_SECONDS = 600.0
MOST_REMEMBERED = 1_000


class ModelReadings:
    """What was found out of models, by id. It spares a call that would be in vain."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], float] = {}

    def note(self, model: str, what: str) -> None:
        """Remember something of a model, such as `silent`."""
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[model, what] = self._clock() + REMEMBERED_SECONDS

    def knows(self, model: str, what: str) -> bool:
        """Tell whether it is still remembered."""
        until = self._known.get((model, what))
        return until is not None and self._clock() < until
