"""Scores → ContentVerdict: thresholds, and categories that are always there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from antiphon.config.tables import ModerationConfig
from antiphon.responses.moderation.base import CATEGORIES, ContentVerdict


def verdict(
    scores: Mapping[str, float],
    settings: ModerationConfig,
    kinds: Sequence[str],
    flags: Mapping[str, bool] | None = None,
    flagged: bool = False,
) -> ContentVerdict:
    """Return a verdict of scores; `flags` and `flagged` are what a backend itself has decided, which counts too.

    With a threshold of its own a category is decided by that alone.
    """
    found = {name: bounded(score) for name, score in scores.items()}
    names = dict.fromkeys((*CATEGORIES, *(flags or {}), *found))
    decided = {name: _over(name, found.get(name, 0.0), settings, flags) for name in names}
    overruled = any(name in settings.thresholds for name in flags or {})
    return ContentVerdict(
        flagged=any(decided.values()) or (flagged and not overruled),
        categories=decided,
        scores={name: found.get(name, 0.0) for name in names},
        applied={name: list(kinds) if name in found else [] for name in names},
    )


def _over(name: str, score: float, settings: ModerationConfig, flags: Mapping[str, bool] | None) -> bool:
    if name in settings.thresholds:
        return score >= settings.thresholds[name]
    if flags is not None and name in flags:
        return flags[name]
    return score >= settings.threshold


def bounded(score: float) -> float:
    """Return a score from 0 to 1; what is no number is the worst."""
    return min(1.0, max(0.0, score)) if isfinite(score) else 1.0
