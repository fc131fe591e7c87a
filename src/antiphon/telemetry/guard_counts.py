"""GuardCounts: looks of guards and what came of them, for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.telemetry.prometheus import Histogram, Samples

LOOKS = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class GuardCounts:
    """Counts, and shows. No text is told."""

    def __init__(self) -> None:
        self._looks = Samples(
            "antiphon_guard_looks_total",
            "Looks of guards, by guard, place and outcome: passed, flagged, blocked, failed.",
            ("guard", "place", "outcome"),
        )
        self._seconds = Histogram("antiphon_guard_duration_seconds", "Time of looks of guards.", LOOKS, ("guard",))

    def count(self, guard: str, place: str, outcome: str, seconds: float) -> None:
        """Count a look; what was blocked by one is counted beside it, and took no time."""
        self._looks.add((guard, place, outcome))
        if outcome != "blocked":
            self._seconds.observe((guard,), seconds)

    def __call__(self) -> Iterable[Samples]:
        """Return the families as they are now."""
        yield self._looks
        yield self._seconds
