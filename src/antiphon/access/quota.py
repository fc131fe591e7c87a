"""Rate limit headers and errors: `x-ratelimit-*`, 429 and 402 (contract, "Errors")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from antiphon.access.caller import Limit
from antiphon.core import gcra
from antiphon.core.gcra import Charge
from antiphon.errors import APIError

Header = tuple[bytes, bytes]

EXCEEDED = b"x-antiphon-budget-exceeded"
"""Names the soft limits that are used up."""

TOLD = ("requests", "tokens", "searches", "code_seconds", "images", "stored_bytes")
"""Units whose limits answers tell of."""


class Level(msgspec.Struct, frozen=True):
    """A limit, the requested amount, and the value of its meter before."""

    limit: Limit
    charge: Charge
    value: float


def headers(levels: Sequence[Level], now: float, *, charged: bool) -> list[Header]:
    """Return `x-ratelimit-…-requests`, `…-tokens`, `…-code-seconds` …, of the limit each that has the least left."""
    found: list[Header] = []
    for unit in TOLD:
        its = [level for level in levels if level.limit.unit == unit and not level.limit.soft]
        if its:
            found += _headers(unit, its, now, charged)
    over = [str(level.limit) for level in levels if level.limit.soft and level.value >= level.limit.most]
    return [*found, (EXCEEDED, ", ".join(over).encode("ascii", "backslashreplace"))] if over else found


def _headers(unit: str, levels: Sequence[Level], now: float, charged: bool) -> list[Header]:
    values = {level: gcra.after(level.charge, level.value, now) if charged else level.value for level in levels}
    tightest = min(levels, key=lambda level: gcra.remaining(level.charge.meter, values[level], now))
    meter, value = tightest.charge.meter, values[tightest]
    numbers = {
        "limit": str(int(meter.limit)),
        "remaining": str(gcra.remaining(meter, value, now)),
        "reset": duration(gcra.reset(meter, value, now)),
    }
    return [(f"x-ratelimit-{what}-{unit.replace('_', '-')}".encode(), text.encode()) for what, text in numbers.items()]


def refusal(levels: Sequence[Level], now: float) -> APIError:
    """Return the 402 for a spent budget, else the 429 of the limit that is longest to wait for."""
    told = {name.decode(): value.decode() for name, value in headers(levels, now, charged=False)}
    for level in levels:
        if level.limit.unit != "requests" and not level.charge.meter.window and _wait(level, now):
            return APIError(402, _spent(level), code="insufficient_quota", headers=told)
    level = max(levels, key=lambda level: _wait(level, now))
    seconds = math.ceil(_wait(level, now))
    message = f"The limit of {level.limit} is reached. Try again in {duration(seconds)}."
    return APIError(429, message, code="rate_limit_exceeded", headers={**told, "retry-after": str(max(seconds, 1))})


def _wait(level: Level, now: float) -> float:
    return gcra.wait(level.charge, level.value, now)


def too_many_streams(most: int) -> APIError:
    """Return the 429 for more responses at once than are allowed."""
    message = f"The limit of {most} responses at once is reached. Try again when one has ended."
    return APIError(429, message, code="rate_limit_exceeded", headers={"retry-after": "1"})


def _spent(level: Level) -> str:
    anew = datetime.fromtimestamp(level.charge.meter.expires_at, UTC)
    return f"The budget of {level.limit} is spent. It begins anew on {anew:%Y-%m-%d %H:%M} UTC."


def duration(seconds: float) -> str:
    """Write a time as OpenAI does: `120ms`, `1.5s`, `6m0s`, `2h0m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"
