"""MemoryLimits: meters and slots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from antiphon.core import gcra
from antiphon.core.gcra import Charge
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.records import Slot


class KeptMeter(msgspec.Struct):
    """A meter's value, and the time at which it expires and counts as new."""

    value: float
    expires_at: float


class KeptSlots(msgspec.Struct):
    """The slots that a holder has taken under a name."""

    taken: int
    until: float


class MemoryLimits:
    """Meters and slots in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._meters: dict[str, KeptMeter] = {}
        self._slots: dict[tuple[str, str], KeptSlots] = {}
        database.expires(self._purge)

    async def charge(self, charges: Sequence[Charge], now: float, *, enforce: bool = True) -> Sequence[float]:
        values = [self._value(one.meter.name, now) for one in charges]
        pairs = list(zip(charges, values, strict=True))
        if not enforce or all(gcra.fits(one, value, now) for one, value in pairs):
            for one, before in pairs:
                value = gcra.after(one, before, now)
                self._meters[one.meter.name] = KeptMeter(value, gcra.expiry(one.meter, value))
        return values

    async def values(self, names: Sequence[str], now: float) -> Mapping[str, float]:
        return {name: self._value(name, now) for name in names if name in self._meters}

    def _value(self, name: str, now: float) -> float:
        kept = self._meters.get(name)
        return kept.value if kept is not None and kept.expires_at > now else 0.0

    async def take_slot(self, slot: Slot, now: float, lease: float) -> bool:
        others = [kept for (name, _), kept in self._slots.items() if name == slot.name and kept.until > now]
        if sum(kept.taken for kept in others) >= slot.most:
            return False
        kept = self._slots.setdefault((slot.name, slot.holder), KeptSlots(0, 0.0))
        kept.taken, kept.until = kept.taken + 1, now + lease
        return True

    async def free_slot(self, slot: Slot) -> None:
        kept = self._slots.get((slot.name, slot.holder))
        if kept is None:
            return
        kept.taken -= 1
        if kept.taken <= 0:
            del self._slots[slot.name, slot.holder]

    async def renew_slots(self, holder: str, now: float, lease: float) -> None:
        for (_, its), kept in self._slots.items():
            if its == holder:
                kept.until = now + lease

    def _purge(self, now: int) -> int:
        self._meters = {name: kept for name, kept in self._meters.items() if kept.expires_at > now}
        self._slots = {key: kept for key, kept in self._slots.items() if kept.until > now}
        return 0
