"""Outcomes as a table for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from antiphon.conformance.base import CheckOutcome, Mark

Paint = Callable[[Mark, str], str]


def line(outcome: CheckOutcome, paint: Paint) -> str:
    """Return the row of one check, with the first reason."""
    reason = outcome.reasons[0] if outcome.reasons else ""
    return f"{paint(outcome.mark, outcome.mark.ljust(11))}  {outcome.area:<17} {outcome.name:<22} {reason}".rstrip()


def details(outcomes: Sequence[CheckOutcome]) -> Iterator[str]:
    """Yield, for each check that is not a plain yes, what was asked, why, and the exchange that shows it."""
    for outcome in outcomes:
        if outcome.mark in (Mark.YES, Mark.NOT_OFFERED, Mark.NOT_TRIED):
            continue
        yield f"\n{outcome.mark}: {outcome.area}, {outcome.name}: {outcome.asks}"
        yield f"  section   {outcome.section}"
        yield from (f"  reason    {reason}" for reason in outcome.reasons)
        for exchange in outcome.exchanges[-1:]:
            yield f"  request   {exchange.request}"
            yield f"  answer    {exchange.answer}"


def summary(outcomes: Sequence[CheckOutcome]) -> str:
    """Return how many checks have each mark."""
    counts = Counter(outcome.mark for outcome in outcomes)
    return ", ".join(f"{counts[mark]} {mark}" for mark in Mark if counts[mark]) or "no check"
