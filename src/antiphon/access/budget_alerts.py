"""BudgetAlerts: tells once per period when 50, 80 and 100 % of a budget are used, by log and webhook, from whichever server."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from antiphon.access.caller import Limit
from antiphon.core.gcra import Charge, Meter
from antiphon.errors import APIError
from antiphon.stores.base import LimitStore

THRESHOLDS = (50, 80, 100)
"""Percent of a budget."""
MOST_WATCHED = 10_000
"""Budgets whose use is known in this process."""
EVENT = "budget.threshold_reached"

log = logging.getLogger("antiphon.access")

Tell = Callable[[str, str, str, dict[str, Any]], Awaitable[None]]
"""Takes the id of an event, its type, the owner and its data; returns once it is in the store."""


class WatchedBudget(msgspec.Struct, frozen=True):
    """A limit per day or month, and of whom it is."""

    limit: Limit
    meter: Meter
    owner: str
    key: str


class BudgetAlerts:
    """Alerts of this process. `tell` is set by whoever has receivers."""

    def __init__(self, store: LimitStore, clock: Callable[[], float]) -> None:
        self.tell: Tell | None = None
        self._store = store
        self._clock = clock
        self._watched: dict[str, WatchedBudget] = {}
        self._told: dict[str, int] = {}  # the highest threshold that is dealt with, by meter
        self._telling: set[asyncio.Task[None]] = set()

    def watch(self, limit: Limit, meter: Meter, owner: str, key: str) -> None:
        """Know a budget, so that what `used` says of its meter can be told."""
        if meter.window or meter.name in self._watched:
            return
        if len(self._watched) >= MOST_WATCHED:
            self._watched.clear()
            self._told.clear()
        self._watched[meter.name] = WatchedBudget(limit, meter, owner, key)

    def watches(self, meter: Meter) -> bool:
        """Tell whether a meter is one of a budget."""
        return meter.name in self._watched

    def used(self, meter: Meter, value: float) -> None:
        """Take note of how much of a budget is used."""
        budget = self._watched.get(meter.name)
        if budget is None:
            return
        percent = 100 * value / budget.limit.most
        known = self._told.get(meter.name, 0)
        reached = [threshold for threshold in THRESHOLDS if known < threshold <= percent]
        if reached:
            self._told[meter.name] = reached[-1]
            task = asyncio.ensure_future(self._tell(budget, reached, value))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Tell what is being told."""
        await asyncio.gather(*self._telling)

    async def _tell(self, budget: WatchedBudget, reached: Sequence[int], value: float) -> None:
        """Tell of thresholds of which no server has told. An event is stored before it counts as told: it may come twice."""
        try:
            now = self._clock()
            marks = [Meter(name=f"{budget.meter.name}/told/{threshold}", limit=1.0, expires_at=budget.meter.expires_at)
                     for threshold in reached]  # fmt: skip
            before = await self._store.charge([Charge(mark, 0.0) for mark in marks], now, enforce=False)
            for threshold, mark, told in zip(reached, marks, before, strict=True):
                if not told:
                    await self._tell_one(budget, threshold, value, mark)
        except APIError:
            self._told.pop(budget.meter.name, None)  # the next use tries again
            log.warning(
                "budget: alert on %s of %s could not be sent: the store is unavailable",
                budget.limit,
                budget.key or budget.owner,
            )
        except Exception:  # a task of its own: nobody else would hear of it
            log.exception("budget: alert on %s of %s could not be sent", budget.limit, budget.key or budget.owner)

    async def _tell_one(self, budget: WatchedBudget, threshold: int, value: float, mark: Meter) -> None:
        whose = budget.key or budget.owner
        log.warning(
            "budget: %s has used %d %% of %s (%.6g)", whose, threshold, budget.limit, value,
            extra={"owner": budget.owner, "key": budget.key, "percent": threshold},
        )  # fmt: skip
        if self.tell is not None:
            id = f"evt_{hashlib.blake2b(mark.name.encode(), digest_size=16).hexdigest()}"
            await self.tell(id, EVENT, budget.owner, event_data(budget, threshold, value))
        await self._store.charge([Charge(mark, 1.0)], self._clock(), enforce=False)


def event_data(budget: WatchedBudget, threshold: int, value: float) -> dict[str, Any]:
    """Return the `data` of an event."""
    return {
        "owner": budget.owner,
        "key": budget.key,
        "limit": str(budget.limit),
        "soft": budget.limit.soft,
        "percent": threshold,
        "used": round(value, 6),
        "most": budget.limit.most,
        "resets_at": int(budget.meter.expires_at),
    }
