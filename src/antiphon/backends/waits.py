"""How long a server asks to wait: in headers, in fields of its error, in its words."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

_NAMES: dict[str, float] = {
    "retry_after": 1,
    "retryafter": 1,
    "retry_after_seconds": 1,
    "retrydelay": 1,
    "retry_delay": 1,
    "estimated_time": 1,
    "retry_after_ms": 0.001,
    "retryafterms": 0.001,
}
"""Fields in which errors say it, in lower case → seconds of one of theirs."""

_UNITS = {"ms": 0.001, "m": 60.0, "s": 1.0, "h": 3600.0}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s{0,3}(ms|milli|min|m|s|h)", re.IGNORECASE)
_WORDS = re.compile(
    r"\b(?:try again|retry|wait|reset|available|ready)\w{0,3}\b[^.\d\n]{0,40}"
    r"((?:\d{1,9}(?:\.\d{1,9})?\s{0,3}(?:ms|milliseconds?|hours?|h|minutes?|min|m|seconds?|secs?|s)(?![a-z])"
    r"[ ,]{0,2}(?:and )?){1,4})",
    re.IGNORECASE,
)
_LIMITS = (b"requests", b"tokens")
_MOST_LOOKED_AT = 200  # values of an error


def from_headers(header: Callable[[bytes], bytes]) -> float | None:
    """Return the seconds that the headers ask for. `header` gives a header's value by its lower-case name, b"" for none."""
    milliseconds = _number(header(b"retry-after-ms").decode("latin-1"))
    if milliseconds is not None:
        return milliseconds / 1000
    after = header(b"retry-after").decode("latin-1")
    seconds = _number(after)
    if seconds is None:
        seconds = _until(after, header(b"date").decode("latin-1"))
    if seconds is not None:
        return seconds
    waits = [
        _duration(header(b"x-ratelimit-reset-" + limit).decode("latin-1"))
        for limit in _LIMITS
        if header(b"x-ratelimit-remaining-" + limit) == b"0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def from_fields(value: Any) -> float | None:
    """Return the seconds that a field of an error asks for, wherever in it."""
    waiting, looked_at = [value], 0
    while waiting and looked_at < _MOST_LOOKED_AT:
        looked_at += 1
        holder = waiting.pop()
        if isinstance(holder, list):
            waiting += holder[:_MOST_LOOKED_AT]
        elif isinstance(holder, dict):
            for name, inner in list(holder.items())[:_MOST_LOOKED_AT]:
                unit = _NAMES.get(name.lower())
                if unit is not None and isinstance(inner, int | float) and not isinstance(inner, bool):
                    return float(inner) * unit
                if unit is not None and isinstance(inner, str) and (found := _duration(inner)) is not None:
                    return found * unit
                if isinstance(inner, dict | list):
                    waiting.append(inner)
    return None


def from_words(text: str) -> float | None:
    """Return the seconds that a sentence names: "try again in 7m12.5s", "retry after 17 seconds"."""
    found = _WORDS.search(text)
    return _duration(found[1]) if found else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None


def _duration(text: str) -> float | None:
    """Read `6m0s`, `120ms`, `17 seconds` or a bare number of seconds."""
    bare = _number(text)
    if bare is not None:
        return bare
    parts = _PART.findall(text[:64])
    return sum(float(number) * _UNITS[_unit(unit)] for number, unit in parts) if parts else None


def _unit(name: str) -> str:
    name = name.lower()
    return "ms" if name == "milli" else "m" if name == "min" else name


def _until(date: str, now: str) -> float | None:
    """Return the seconds between two dates of HTTP; None where one of them is none."""
    try:
        return max((parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds(), 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
