"""The part of the store in memory that keeps what webhooks have not taken yet."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from antiphon.stores.records import Delivery


class MemoryDeliveries:
    """Deliveries in memory."""

    def __init__(self) -> None:
        self._deliveries: dict[tuple[str, str], Delivery] = {}

    async def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._deliveries.setdefault((delivery.id, delivery.url), delivery)

    async def claim_delivery(self, now: float, lease: float) -> Delivery | None:
        due = [delivery for delivery in self._deliveries.values() if delivery.due <= now]
        if not due:
            return None
        first = min(due, key=lambda delivery: delivery.due)
        taken = replace(first, due=now + lease, attempts=first.attempts + 1)
        self._deliveries[taken.id, taken.url] = taken
        return taken

    async def postpone_delivery(self, id: str, url: str, due: float) -> None:
        delivery = self._deliveries.get((id, url))
        if delivery is not None:
            self._deliveries[id, url] = replace(delivery, due=due)

    async def finish_delivery(self, id: str, url: str) -> None:
        self._deliveries.pop((id, url), None)

    async def next_delivery(self) -> float | None:
        return min((delivery.due for delivery in self._deliveries.values()), default=None)

    def waiting_deliveries(self, now: float) -> tuple[int, float]:
        """Return how many wait, and for how many seconds the oldest has been due."""
        due = [delivery.due for delivery in self._deliveries.values()]
        return len(due), max(0.0, now - min(due, default=now))
