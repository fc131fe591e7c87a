"""SearchCounts: what search in vector stores had to do without, and what became of files, for `/metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from antiphon.telemetry.prometheus import Samples


class SearchCounts:
    """Counts, and shows. `files` returns how many files were ingested, by what became of them."""

    def __init__(self, files: Callable[[], Iterable[tuple[str, int]]] = tuple) -> None:
        self._fallbacks: Counter[str] = Counter()
        self.files = files

    def fallback(self, reason: str) -> None:
        """Count a search that went on without a model."""
        self._fallbacks[reason] += 1

    def __call__(self) -> Iterable[Samples]:
        """Return the families as they are now."""
        yield Samples(
            "antiphon_search_fallbacks_total",
            "Searches that went on without a model that they should have used, by reason.",
            ("reason",),
            {(reason,): number for reason, number in self._fallbacks.items()},
        )
        yield Samples(
            "antiphon_ingested_files_total",
            "Files of vector stores that were ingested, by what became of them.",
            ("outcome",),
            {(outcome,): number for outcome, number in self.files()},
        )
