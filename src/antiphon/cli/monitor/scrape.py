"""Reads a page of `/metrics` and answers questions about two of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_SERIES = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")

Labels = Mapping[str, str]


class Scrape:
    """The series of one page, by name."""

    def __init__(self, page: str, at: float) -> None:
        self.at = at
        self._series: dict[str, list[tuple[Labels, float]]] = {}
        for line in page.splitlines():
            found = _SERIES.fullmatch(line)
            if found is not None:
                labels = {name: _ESCAPE.sub(_unescaped, value) for name, value in _LABEL.findall(found[2] or "")}
                self._series.setdefault(found[1], []).append((labels, float(found[3])))

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of the series that have these labels."""
        return sum(value for _, value in self._find(name, labels))

    def values(self, name: str, label: str) -> list[str]:
        """Return the values that a label has, in order of appearance."""
        return list(dict.fromkeys(labels[label] for labels, _ in self._series.get(name, ()) if label in labels))

    def least(self, name: str) -> float:
        """Return the smallest value, 0 where there is none."""
        return min((value for _, value in self._series.get(name, ())), default=0.0)

    def count(self, name: str) -> int:
        """Return how many series there are."""
        return len(self._series.get(name, ()))

    def buckets(self, name: str, **labels: str) -> dict[float, float]:
        """Return a histogram's cumulative counts by upper bound, all series together."""
        counts: dict[float, float] = {}
        for found, value in self._find(f"{name}_bucket", labels):
            bound = float(found["le"])
            counts[bound] = counts.get(bound, 0) + value
        return counts

    def _find(self, name: str, wanted: Labels) -> Iterator[tuple[Labels, float]]:
        for labels, value in self._series.get(name, ()):
            if wanted.items() <= labels.items():
                yield labels, value


class ScrapeInterval:
    """What happened between two scrapes; a server that began anew in between counts from its beginning."""

    def __init__(self, before: Scrape, after: Scrape) -> None:
        self.after = after
        self._before = before
        self.seconds = max(after.at - before.at, 1e-3)

    def more(self, name: str, **labels: str) -> float:
        """Return how much a counter rose."""
        now = self.after.sum(name, **labels)
        risen = now - self._before.sum(name, **labels)
        return risen if risen >= 0 else now

    def rate(self, name: str, **labels: str) -> float:
        """Return how much a counter rose per second."""
        return self.more(name, **labels) / self.seconds

    def quantile(self, share: float, name: str, **labels: str) -> float | None:
        """Return about which value so large a share of a histogram's new quantities stays below; None without any."""
        before, after = self._before.buckets(name, **labels), self.after.buckets(name, **labels)
        new = {bound: count - before.get(bound, 0) for bound, count in sorted(after.items())}
        total = new.get(float("inf"), 0)
        if total <= 0:
            return None
        low = below = 0.0
        for bound, count in new.items():
            if count >= share * total:
                if bound == float("inf"):
                    return low
                return low + (bound - low) * (share * total - below) / max(count - below, 1e-9)
            low, below = bound, count
        return low


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
