"""Limits as arithmetic: what a meter's value says, and what it is after a charge.

A meter with a window follows the generic cell rate algorithm: its value is the time at which it will be empty again
(the "theoretical arrival time"), so that one number tells all. A meter without one is a sum.
"""

from __future__ import annotations

import msgspec

_GRAIN = 1e-4  # seconds: what rounding may add up to, with times of ten digits before the point


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """A limit: `limit` units in any `window` seconds, at once or spread; or, with a window of 0, a sum until `expires_at`."""

    name: str
    limit: float
    window: float = 0.0
    expires_at: float = 0.0


class Charge(msgspec.Struct, frozen=True):
    """An amount for a meter; a negative one gives back."""

    meter: Meter
    amount: float


def fits(charge: Charge, value: float, now: float) -> bool:
    """Tell whether a charge is within the limit. A sum may be overdrawn by the charge that reaches the limit."""
    meter = charge.meter
    if not meter.window:
        return value < meter.limit
    return max(value - now, 0.0) + charge.amount * meter.window / meter.limit <= meter.window + _GRAIN


def after(charge: Charge, value: float, now: float) -> float:
    """Return a meter's value after a charge."""
    meter = charge.meter
    if not meter.window:
        return max(value + charge.amount, 0.0)
    return max(value, now) + charge.amount * meter.window / meter.limit


def wait(charge: Charge, value: float, now: float) -> float:
    """Return the seconds until a charge fits; 0 if it fits now."""
    if fits(charge, value, now):
        return 0.0
    meter = charge.meter
    if not meter.window:
        return max(meter.expires_at - now, 0.0)
    return max(value - now, 0.0) + charge.amount * meter.window / meter.limit - meter.window


def remaining(meter: Meter, value: float, now: float) -> int:
    """Return how many whole units fit now."""
    if not meter.window:
        return max(int(meter.limit - value), 0)
    free = meter.window - max(value - now, 0.0) + _GRAIN
    return max(int(free * meter.limit / meter.window), 0)


def reset(meter: Meter, value: float, now: float) -> float:
    """Return the seconds until the meter is empty again."""
    return max((value if meter.window else meter.expires_at) - now, 0.0)


def expiry(meter: Meter, value: float) -> float:
    """Return the time from which on a meter is as good as a new one."""
    return value if meter.window else meter.expires_at
