"""Periods of limits: minutes, days and months (UTC)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from antiphon.access.caller import Period


class Window(msgspec.Struct, frozen=True):
    """A minute that slides (`seconds`), or a day or month of the calendar, which ends."""

    name: str
    seconds: float = 0.0
    end: float = 0.0


_MINUTE = Window("minute", seconds=60.0)


def window(period: Period, now: float) -> Window:
    """Return the window of a period that `now` is in."""
    if period == "minute":
        return _MINUTE
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return Window(f"{day:%Y-%m-%d}", end=(day + timedelta(days=1)).timestamp())
    month = day.replace(day=1)
    return Window(f"{month:%Y-%m}", end=(month + timedelta(days=31)).replace(day=1).timestamp())
