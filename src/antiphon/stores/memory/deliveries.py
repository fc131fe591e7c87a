"""MemoryDeliveries: webhook deliveries."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from antiphon.stores.condition import Census
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.records import Delivery


class MemoryDeliveries:
    """Deliveries in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._deliveries: dict[tuple[str, str], Delivery] = {}
        database.waits(self._waiting)

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._deliveries.setdefault((delivery.id, delivery.url), delivery)

    async def claim(self, now: float, lease: float, without: Sequence[str] = ()) -> Delivery | None:
        due = [one for one in self._deliveries.values() if one.due <= now and one.owner not in without]
        if not due:
            return None
        first = min(due, key=lambda delivery: delivery.due)
        taken = replace(first, due=now + lease, attempts=first.attempts + 1)
        self._deliveries[taken.id, taken.url] = taken
        return taken

    async def postpone(self, id: str, url: str, due: float) -> None:
        delivery = self._deliveries.get((id, url))
        if delivery is not None:
            self._deliveries[id, url] = replace(delivery, due=due)

    async def finish(self, id: str, url: str) -> None:
        self._deliveries.pop((id, url), None)

    async def next_due(self) -> float | None:
        return min((delivery.due for delivery in self._deliveries.values()), default=None)

    def _waiting(self, now: float) -> Census:
        due = [delivery.due for delivery in self._deliveries.values()]
        return Census(deliveries=len(due), oldest_delivery=max(0.0, now - min(due, default=now)))
