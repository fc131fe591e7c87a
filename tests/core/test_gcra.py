"""Limits as arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core import gcra
from antiphon.core.gcra import Charge, Meter

NOW = 1_795_600_000.0
MINUTE = Meter(name="m", limit=60, window=60.0)
SUM = Meter(name="s", limit=100, expires_at=NOW + 500)


def admitted(meter: Meter, times: list[float], amount: float = 1) -> int:
    """Return how many charges at these times fit."""
    value, count = 0.0, 0
    for now in times:
        charge = Charge(meter, amount)
        if gcra.fits(charge, value, now):
            value, count = gcra.after(charge, value, now), count + 1
    return count


def test_at_once_the_whole_limit_fits() -> None:
    assert admitted(MINUTE, [NOW] * 200) == 60


def test_then_as_many_as_leak_out() -> None:
    assert admitted(MINUTE, [NOW] * 100 + [NOW + 10] * 100) == 70
    assert admitted(MINUTE, [NOW] * 100 + [NOW + 3600] * 100) == 120


def test_spread_evenly_all_fit() -> None:
    assert admitted(MINUTE, [NOW + second for second in range(600)]) == 600


@given(
    limit=st.integers(1, 5000),
    gaps=st.lists(st.floats(0, 30), max_size=200),
    amount=st.integers(1, 20),
)
def test_never_more_than_the_limit_and_what_leaks_in_the_time(limit: int, gaps: list[float], amount: int) -> None:
    times, now = [], NOW
    for gap in gaps:
        now += gap
        times.append(now)
    meter = Meter(name="m", limit=limit, window=60.0)
    assert admitted(meter, times, amount) * amount <= limit * (1 + (now - NOW) / 60) + 1


@given(value=st.floats(-100, 100), amount=st.floats(0.01, 60))
def test_after_the_wait_it_fits(value: float, amount: float) -> None:
    charge = Charge(MINUTE, amount)
    wait = gcra.wait(charge, NOW + value, NOW)
    assert gcra.fits(charge, NOW + value, NOW) == (wait == 0)
    assert gcra.fits(charge, NOW + value, NOW + wait)


def test_what_is_given_back_fits_again() -> None:
    full = gcra.after(Charge(MINUTE, 60), 0.0, NOW)
    assert gcra.remaining(MINUTE, full, NOW) == 0
    less = gcra.after(Charge(MINUTE, -40), full, NOW)
    assert gcra.remaining(MINUTE, less, NOW) == 40
    assert gcra.remaining(MINUTE, gcra.after(Charge(MINUTE, -500), full, NOW), NOW) >= 60


def test_a_debt_is_waited_for() -> None:
    value = gcra.after(Charge(MINUTE, 90), 0.0, NOW)
    assert gcra.wait(Charge(MINUTE, 1), value, NOW) == 31
    assert (gcra.remaining(MINUTE, value, NOW), gcra.reset(MINUTE, value, NOW)) == (0, 90)


@pytest.mark.parametrize(
    ("value", "fits", "remaining"), [(0, True, 100), (99.5, True, 0), (100, False, 0), (130, False, 0)]
)
def test_a_sum_is_open_until_its_limit_is_reached(value: float, fits: bool, remaining: int) -> None:
    charge = Charge(SUM, 50)
    assert gcra.fits(charge, value, NOW) == fits
    assert gcra.remaining(SUM, value, NOW) == remaining
    assert gcra.wait(charge, value, NOW) == (0 if fits else 500)
    assert gcra.reset(SUM, value, NOW) == 500
