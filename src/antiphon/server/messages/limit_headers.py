"""Rate limits in the headers of the Messages API: `anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from antiphon.server.http.messages import Header

OURS = b"x-ratelimit-"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def limit_headers(headers: Iterable[Header], now: float) -> list[Header]:
    """Return what rate limit headers of OpenAI's form say, in Anthropic's: the reset is a time, not a duration."""
    found: list[Header] = []
    for name, value in headers:
        what, _, unit = name.removeprefix(OURS).partition(b"-")
        if not (name.startswith(OURS) and unit):
            continue
        if what == b"reset":
            then = datetime.fromtimestamp(now + seconds_of(value.decode("latin-1")), UTC)
            value = then.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        found.append((b"anthropic-ratelimit-%b-%b" % (unit, what), value))
    return found


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as `1m30s` or `120ms`; 0 for any other text."""
    total, number, unit = 0.0, "", ""
    for letter in f"{text}0":
        if letter.isascii() and (letter.isdigit() or letter == "."):
            if unit:
                total += _number(number) * _UNITS.get(unit, 0.0)
                number, unit = "", ""
            number += letter
        else:
            unit += letter
    return total


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
