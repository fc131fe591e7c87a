"""Unexpected errors: logged once with a traceback, and counted (`antiphon_internal_errors_total`)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Literal

Where = Literal["request", "websocket", "turn", "response", "ingestion", "batch"]

_counts: Counter[Where] = Counter()


def unexpected(where: Where, log: logging.Logger, message: str, *args: object) -> None:
    """Log the exception that is being handled, and count it. `args` name the request or response."""
    _counts[where] += 1
    log.exception(message, *args)


def counts() -> Mapping[Where, int]:
    """Return how many there have been in this process, by where they were caught."""
    return {"request": 0, "websocket": 0, "turn": 0, "response": 0, "ingestion": 0, "batch": 0, **_counts}
