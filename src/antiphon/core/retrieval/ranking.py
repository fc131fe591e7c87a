"""BM25, as SQLite's FTS5 computes it, and reciprocal rank fusion of several rankings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import TypeVar

K1, B = 1.2, 0.75
LEAST_WEIGHT = 1e-6  # of a word that is in more than half of the chunks
SAME = 9  # decimals within which two scores are one
RANK_OFFSET = 60  # of the fusion: how little the first ranks stand out

T = TypeVar("T")


def weight(chunks: int, having: int) -> float:
    """Return the weight of a word (idf) that `having` of all chunks contain."""
    return max(LEAST_WEIGHT, log((chunks - having + 0.5) / (having + 0.5)))


def saturated(times: float, length: int, average: float) -> float:
    """Return how much `times` occurrences count in a chunk of `length` words."""
    return times * (K1 + 1) / (times + K1 * (1 - B + B * length / average))


def relevance(score: float, weights: Iterable[float]) -> float:
    """Return a BM25 score as a share of what no chunk exceeds, each of the words as often as one likes: 0 to 1."""
    most = (K1 + 1) * sum(weights)
    return min(1.0, max(0.0, score / most)) if most > 0 else 0.0


def smoothed(chunks: int, having: int) -> float:
    """Return the weight of a word as Lucene has it: above 0 also where most chunks have it, as it is among few chunks."""
    return log(1 + (chunks - having + 0.5) / (having + 0.5))


def rescored(query: Sequence[str], texts: Sequence[Sequence[str]], weights: Sequence[float]) -> list[float]:
    """Return the relevance of texts, given as their words, by weights that come from more than one collection."""
    average = sum(map(len, texts)) / max(1, len(texts))
    found = []
    for text in texts:
        times = Counter(text)
        pairs = zip(query, weights, strict=True)
        score = sum(share * saturated(times[word], len(text), average) for word, share in pairs if word in times)
        found.append(relevance(score, weights))
    return found


def fused(rankings: Sequence[tuple[float, Sequence[T]]], ties: Mapping[T, float]) -> list[T]:
    """Return what several rankings name, by reciprocal rank fusion; each has a weight. Ties are broken by `ties`."""
    scores: dict[T, float] = {}
    for share, ranking in rankings:
        for rank, one in enumerate(ranking, 1):
            scores[one] = scores.get(one, 0.0) + share / (RANK_OFFSET + rank)
    return sorted(scores, key=lambda one: (-round(scores[one], SAME), -ties[one]))


def falling(order: Sequence[T], relevances: Mapping[T, float]) -> list[float]:
    """Return the relevance to show of each: none is less than that of one behind it."""
    found: list[float] = []
    most = 0.0
    for one in reversed(order):
        most = max(most, relevances[one])
        found.append(most)
    return found[::-1]
