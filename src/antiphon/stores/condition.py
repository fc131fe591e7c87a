"""Condition: whether a store takes writes, by the outcome of its calls and probes. Checked before a model is called.

After a failure a probe (a small write) is repeated until it succeeds; only a probe clears the failure. Each change is one
log line, whatever the number of failed calls.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from time import monotonic
from typing import Literal

import msgspec

from antiphon.errors import APIError

log = logging.getLogger("antiphon.stores")

Reason = Literal[
    "unreachable",  # no connection, or no answer in time
    "busy",  # all connections are in use
    "read_only",  # a standby, a file that may not be written to
    "full",  # the disk, or a quota
    "io_error",  # a read or write of the file failed
    "locked",  # another program holds what is to be written
    "corrupt",  # the file is damaged
    "missing",  # the file was deleted or replaced
    "schema",  # another version of Antiphon has changed the tables
    "log_full",  # the write-ahead log has reached its limit
]
"""Words for `/ready` and `/metrics`; docs/observability.md explains them."""

FIRST_PAUSE = 0.5  # seconds from a failure to the first probe, and between probes
LONGEST_PAUSE = 15.0
RELAPSE = 60.0  # seconds: a store that fails again within them is probed at longer and longer intervals


def unavailable() -> APIError:
    """Return the APIError 503 `store_unavailable`."""
    return APIError(
        503,
        "The store cannot be reached at the moment. Try again in a few seconds.",
        code="store_unavailable",
        headers={"retry-after": "2"},
    )


class Condition:
    """Condition of one store. `fail` and `recover` may be called from any thread; `check` costs one comparison."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.reason: Reason | None = None
        self.failures: Counter[Reason] = Counter()
        self.pause = FIRST_PAUSE
        self._since = 0.0
        self._well_since = -RELAPSE

    def check(self) -> None:
        """Raise APIError 503 `store_unavailable` while the store is known not to take writes."""
        if self.reason is not None:
            self.failures[self.reason] += 1
            raise unavailable()

    def count(self, reason: Reason) -> None:
        """Count a failed call, without a change of the condition."""
        self.failures[reason] += 1

    def fail(self, reason: Reason, detail: object) -> None:
        """Note that the store takes no writes. `detail` is for the log, without secrets."""
        before, self.reason = self.reason, reason
        if before is None:
            self._since = monotonic()
            relapsed = self._since - self._well_since < RELAPSE
            self.pause = min(LONGEST_PAUSE, self.pause * 2) if relapsed else FIRST_PAUSE
        if before != reason:
            log.error("store %s: unavailable: %s (%s)", self.shown, reason, detail)

    def recover(self) -> None:
        """Note that a probe has gone through."""
        if self.reason is not None:
            self.reason = None
            self._well_since = monotonic()
            log.warning("store %s: available again after %.1f seconds", self.shown, self._well_since - self._since)


Labels = tuple[str, ...]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of a store for `/metrics`: values by the values of its labels."""

    name: str
    help: str
    kind: Literal["gauge", "counter"] = "gauge"
    labels: Labels = ()
    values: Mapping[Labels, float]


class Census(msgspec.Struct, frozen=True):
    """Numbers and ages (in seconds) of waiting background responses and deliveries, of all servers on the store."""

    jobs_queued: int = 0
    jobs_running: int = 0
    oldest_job: float = 0.0
    deliveries: int = 0
    oldest_delivery: float = 0.0
