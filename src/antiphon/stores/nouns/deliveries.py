"""DeliveryStore: the operations on webhook deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.records import Delivery


class DeliveryStore(Protocol):
    """Pending webhook deliveries."""

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        """Insert deliveries, but for those that wait already."""
        ...

    async def claim(self, now: float, lease: float, without: Sequence[str] = ()) -> Delivery | None:
        """Claim the delivery that has been due longest, or return None. It is due again after `lease` seconds.

        Its `attempts` are raised by one. Those of the owners in `without` are passed over.
        """
        ...

    async def postpone(self, id: str, url: str, due: float) -> None:
        """Set the time of the next attempt."""
        ...

    async def finish(self, id: str, url: str) -> None:
        """Remove a delivery."""
        ...

    async def next_due(self) -> float | None:
        """Return when the next delivery is due, None where none waits."""
        ...
