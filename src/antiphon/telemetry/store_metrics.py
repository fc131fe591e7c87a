"""The store in `/metrics`: whether it takes writes, what failed, what waits in it; and background work that changed hands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from antiphon.errors import APIError
from antiphon.stores.base import StoreDatabase
from antiphon.stores.condition import Census
from antiphon.telemetry.prometheus import Labels, Samples

log = logging.getLogger("antiphon.telemetry")

CENSUS_SECONDS = 10.0  # between two counts of what waits


class Handovers(Protocol):
    """Background work that changed hands: counts of this process."""

    @property
    def taken_over(self) -> int:
        """How many runs of dead workers were gone on with."""
        ...

    lost: int
    """How many leases were lost."""


class StoreWatch:
    """Looks at the store when it is called; what waits in it is counted every ten seconds."""

    def __init__(self, database: StoreDatabase, clock: Callable[[], float], handovers: Callable[[], Handovers]) -> None:
        self._database = database
        self._clock = clock
        self._handovers = handovers
        self._census = Census()

    async def run(self) -> None:
        """Count what waits, again and again."""
        while True:
            try:
                self._census = await self._database.census(self._clock())
            except APIError:
                log.debug("metrics: counting pending jobs and deliveries failed")
            except Exception:
                log.exception("metrics: counting pending jobs and deliveries failed")
            await asyncio.sleep(CENSUS_SECONDS)

    def __call__(self) -> Iterable[Samples]:
        """Return the families as they are now."""
        condition = self._database.condition
        reason = condition.reason
        yield _one("antiphon_store_up", "1 while the store takes writes.", reason is None)
        yield Samples(
            "antiphon_store_failures_total",
            "Calls of the store that failed through no fault of their own.",
            ("reason",),
            {(name,): float(count) for name, count in condition.failures.copy().items()},
            kind="counter",
        )
        for each in self._database.measures():
            values = {labels: float(value) for labels, value in each.values.items()}
            yield Samples(f"antiphon_store_{each.name}", each.help, each.labels, values, kind=each.kind)
        yield from self._work()

    def _work(self) -> Iterable[Samples]:
        census, handovers = self._census, self._handovers()
        yield _one(
            "antiphon_background_taken_over_total",
            "Background responses that this process took over from another.",
            handovers.taken_over,
        )
        yield _one(
            "antiphon_background_lost_total",
            "Background responses of this process whose lease was lost.",
            handovers.lost,
        )
        jobs: dict[Labels, float] = {("queued",): float(census.jobs_queued), ("running",): float(census.jobs_running)}
        yield Samples(
            "antiphon_background_jobs", "Background responses in the store, of all servers.", ("state",), jobs
        )
        yield _one(
            "antiphon_background_oldest_seconds", "Age of the oldest of them that has not ended.", census.oldest_job
        )
        yield _one("antiphon_webhook_deliveries", "Webhook events that wait in the store.", census.deliveries)
        yield _one(
            "antiphon_webhook_oldest_seconds", "For how long the oldest of them has been due.", census.oldest_delivery
        )


def _one(name: str, help: str, value: float) -> Samples:
    return Samples(name, help, values={(): float(value)})
