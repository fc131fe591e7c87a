"""LimitStore: the operations on meters and slots of limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from antiphon.core.gcra import Charge
from antiphon.stores.records import Slot


class LimitStore(Protocol):
    """Meters and slots, shared by all servers on the store."""

    async def charge(self, charges: Sequence[Charge], now: float, *, enforce: bool = True) -> Sequence[float]:
        """Put charges on their meters, and return each meter's value as it was before; a new one's is 0.

        All of them, or, where one does not fit (`core.gcra.fits`) and `enforce` is set, none: one atomic step.
        Each meter is named once; what has expired by `now` counts as new.
        """
        ...

    async def values(self, names: Sequence[str], now: float) -> Mapping[str, float]:
        """Return the values of meters that are sums; those without one are left out."""
        ...

    async def take_slot(self, slot: Slot, now: float, lease: float) -> bool:
        """Take a slot, unless all are taken; the holder's slots are its own for `lease` seconds."""
        ...

    async def free_slot(self, slot: Slot) -> None:
        """Give a slot back."""
        ...

    async def renew_slots(self, holder: str, now: float, lease: float) -> None:
        """Renew the lease of all slots of a holder, expired ones too, to `lease` seconds from now."""
        ...
