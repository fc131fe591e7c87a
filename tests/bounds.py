"""Bounds of time in tests, by the speed of the machine: a slower one gets what it needs, a quick one nothing more."""

from __future__ import annotations

import functools
import json
import os
import time

REFERENCE = 0.006
"""CPU seconds that `_work` takes on the machine where the bounds were measured."""
SHARED = 3.0
"""What a machine that others use at the same time may take in addition, as in CI: caches and clock rate are theirs too."""


def bound(seconds: float) -> float:
    """Return the time, in seconds, that this machine may take for what must take less than `seconds`."""
    return seconds * _slowness()


@functools.cache
def _slowness() -> float:
    return max(1.0, max(_work() for _ in range(5)) / REFERENCE) * (SHARED if os.environ.get("CI") else 1.0)


def _work() -> float:
    """Return the CPU seconds of a piece of work of the server's kind: JSON, copies, small objects."""
    began = time.thread_time()
    for _ in range(4):
        text = json.dumps([{"number": number, "text": "abc" * 10} for number in range(1000)])
        sum(len(piece) for piece in text.split('"'))
        json.loads(text)
    return time.thread_time() - began
