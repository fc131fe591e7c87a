"""Calibration: probabilities that a model tells → such that come true as often as they say. Its parameters are settings.

A distribution is sharpened or flattened by a temperature (temperature scaling: `p ** (1 / temperature)`, normalised); of two
options the log-odds are also moved by a bias (Platt scaling with the slope `1 / temperature`).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, log
from typing import Literal

import msgspec

Reading = Literal["logprobs", "verbalised", "votes"]
"""How probabilities came about: read of log-probabilities, told in words, or counted of several answers."""

LEAST = 1e-12
"""No probability is taken for less than that: nothing could be scaled of 0."""

MOST_LOG_ODDS = 700.0


class Calibration(msgspec.Struct, frozen=True):
    """`temperature` above 1 flattens; `bias` is added to the log-odds of the first of two options: true, of a predicate."""

    temperature: float = 1.0
    bias: float = 0.0


NONE = Calibration()


def calibrated(shares: Sequence[float], by: Calibration) -> list[float]:
    """Return a distribution as it is to be believed."""
    if by == NONE:
        return list(shares)
    logs = [log(max(share, LEAST)) / by.temperature for share in shares]
    if len(logs) == 2:
        logs[0] += by.bias
    highest = max(logs)
    weights = [exp(max(one - highest, -MOST_LOG_ODDS)) for one in logs]
    total = sum(weights)
    return [weight / total for weight in weights]


def fitted(told: Sequence[Sequence[float]], right: Sequence[int], *, bias: bool = False) -> Calibration:
    """Return the parameters under which labelled answers have the least log loss, by a search on a grid that narrows."""
    best, lowest = NONE, inf
    low, high, shift = log(0.1), log(20.0), 4.0 if bias else 0.0
    middle, centre = 0.0, 0.0
    width, reach = (high - low) / 2, shift
    middle = (low + high) / 2
    for _ in range(12):
        steps = [middle + width * step / 4 for step in range(-4, 5)]
        moves = [centre + reach * step / 4 for step in range(-4, 5)] if bias else [0.0]
        for step in steps:
            for move in moves:
                one = Calibration(exp(min(max(step, low), high)), move)
                loss = log_loss([calibrated(shares, one) for shares in told], right)
                if loss < lowest:
                    best, lowest = one, loss
        middle, centre = log(best.temperature), best.bias
        width, reach = width / 2, reach / 2
    return best


def log_loss(told: Sequence[Sequence[float]], right: Sequence[int]) -> float:
    """Return the mean of `-log` of the probability that the right option had."""
    return -sum(log(max(shares[index], LEAST)) for shares, index in zip(told, right, strict=True)) / len(right)


def brier_score(told: Sequence[Sequence[float]], right: Sequence[int]) -> float:
    """Return the mean squared error over all options: 0 is best, 2 worst."""
    errors = [
        sum((share - (at == index)) ** 2 for at, share in enumerate(shares))
        for shares, index in zip(told, right, strict=True)
    ]
    return sum(errors) / len(errors)


def calibration_error(told: Sequence[Sequence[float]], right: Sequence[int], bins: int = 10) -> float:
    """Return the expected calibration error: how far the likeliest option's probability is from how often it is right."""
    sums = [[0.0, 0.0, 0.0] for _ in range(bins)]
    for shares, index in zip(told, right, strict=True):
        top = max(range(len(shares)), key=shares.__getitem__)
        one = sums[min(int(shares[top] * bins), bins - 1)]
        one[0] += 1
        one[1] += shares[top]
        one[2] += top == index
    return sum(abs(said - true) for _, said, true in sums) / len(right)
