"""Calibration on a small labelled set: how far probabilities are from how often they come true, before and after."""

from __future__ import annotations

from math import exp, log

import pytest

from antiphon.core.decisions.calibration import (
    NONE,
    Calibration,
    brier_score,
    calibrated,
    calibration_error,
    fitted,
    log_loss,
)


def test_a_temperature_flattens_and_a_bias_moves() -> None:
    assert calibrated([0.8, 0.2], NONE) == [0.8, 0.2]
    assert calibrated([0.8, 0.2], Calibration(2.0)) == pytest.approx([2 / 3, 1 / 3])
    assert calibrated([0.5, 0.5], Calibration(bias=log(3))) == pytest.approx([0.75, 0.25])
    assert calibrated([1.0, 0.0, 0.0], Calibration(5.0))[0] < 1.0
    assert calibrated([0.2, 0.3, 0.5], Calibration(bias=9.0)) == pytest.approx(
        [0.2, 0.3, 0.5]
    )  # two options alone have one
    for shares in ([0.0, 1.0], [1e-300, 1.0], [0.0, 0.0]):
        assert sum(calibrated(shares, Calibration(0.01, 20.0))) == pytest.approx(1)


def test_measures() -> None:
    told, right = [[0.9, 0.1], [0.9, 0.1]], [0, 1]
    assert calibration_error(told, right) == pytest.approx(0.4)
    assert brier_score(told, right) == pytest.approx((0.02 + 1.62) / 2)
    assert log_loss(told, right) == pytest.approx(-(log(0.9) + log(0.1)) / 2)
    assert calibration_error([[1.0, 0.0]], [0]) == 0


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (3.0, 0.0), (0.5, 0.0), (2.0, 1.0)])
def test_fitting_finds_what_distorted(temperature: float, bias: float) -> None:
    chances = [(at + 0.5) / 10 for at in range(10)]
    told, right = [], []
    for chance in chances:
        odds = temperature * (log(chance / (1 - chance)) - bias)
        share = 1 / (1 + exp(-odds))
        for at in range(20):
            told.append([share, 1 - share])
            right.append(0 if at < chance * 20 else 1)
    found = fitted(told, right, bias=bool(bias))
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.bias == pytest.approx(bias, abs=0.05)
    mended = [calibrated(shares, found) for shares in told]
    assert calibration_error(mended, right) < 0.01
    assert log_loss(mended, right) <= log_loss(told, right) + 1e-6  # as near as the search goes
