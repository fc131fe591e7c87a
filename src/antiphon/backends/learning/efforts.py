"""Values of reasoning.effort that servers know, and which of them is nearest to another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_STRENGTHS = {
    "none": 0,
    "off": 0,
    "disabled": 0,
    "minimal": 1,
    "low": 2,
    "medium": 3,
    "default": 3,
    "auto": 3,
    "on": 3,
    "enabled": 3,
    "high": 4,
    "xhigh": 5,
    "max": 6,
}
EFFORTS = frozenset(_STRENGTHS)
USUAL = ("low", "medium", "high")
WEAKEST = ("none", "minimal", "off")


def weakest_first(efforts: Iterable[str]) -> tuple[str, ...]:
    """Return known efforts in order of strength."""
    return tuple(sorted(efforts, key=lambda effort: (_STRENGTHS[effort], effort)))


def nearest_effort(effort: str, taken: Sequence[str]) -> str:
    """Return the value that a server takes which is nearest to another, of two equally near the weaker. Empty: it takes any.

    Values that nobody knows count as the strongest.
    """
    if not taken or effort in taken:
        return effort
    most = max(_STRENGTHS.values())
    wanted = _STRENGTHS.get(effort, most)
    strengths = [(abs(_STRENGTHS.get(one, most) - wanted), _STRENGTHS.get(one, most), one) for one in taken]
    return min(strengths)[2]
