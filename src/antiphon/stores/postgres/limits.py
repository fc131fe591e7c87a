"""PostgresLimits: meters and slots. A change holds advisory locks of their names, so that it is atomic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from antiphon.core import gcra
from antiphon.core.gcra import Charge
from antiphon.stores.postgres.connection.batcher import Batcher
from antiphon.stores.postgres.database import Transaction
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import Slot

SQL = queries("limits")
METERS, SLOTS = 0x416D, 0x4173  # the spaces of their locks


class Charging(msgspec.Struct, frozen=True):
    """Charges of one call: all or none."""

    charges: Sequence[Charge]
    now: float
    enforce: bool


class PostgresLimits:
    """Meters and slots in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        self._charges: Batcher[Charging, Sequence[float]] = database.closes(Batcher(self._charge))
        database.expires(self._purge, first=True)

    async def charge(self, charges: Sequence[Charge], now: float, *, enforce: bool = True) -> Sequence[float]:
        return await self._charges.submit(Charging(charges, now, enforce))

    async def _charge(self, calls: Sequence[Charging]) -> Sequence[Sequence[float]]:
        """Put charges on their meters, one call after the other; return the values before each."""
        names = list({one.meter.name for call in calls for one in call.charges})
        first = min(call.now for call in calls)

        async def work(transaction: Transaction) -> Sequence[Sequence[float]]:
            locks = await transaction.rows(SQL["lock"], space=METERS, names=names)
            skew: float = locks[0][2]
            rows = await transaction.rows(SQL["values"], names=names, now=first + skew)
            meters = Meters({unescape(name): (value, expires_at) for name, value, expires_at in rows}, skew)
            before = [meters.charge(call) for call in calls]
            await transaction.rows(SQL["set_values"], **meters.changed())
            return before

        return await self._pool.transact(work)

    async def values(self, names: Sequence[str], now: float) -> Mapping[str, float]:
        rows = await self._pool.rows(SQL["values"], names=list(names), now=now)
        return {unescape(name): value for name, value, _ in rows}

    async def take_slot(self, slot: Slot, now: float, lease: float) -> bool:
        async def work(transaction: Transaction) -> bool:
            await transaction.rows(SQL["lock"], space=SLOTS, names=[slot.name])
            values = {"name": slot.name, "holder": slot.holder, "most": slot.most, "now": now, "until": now + lease}
            return await transaction.value(SQL["take"], **values) is not None

        return await self._pool.transact(work)

    async def free_slot(self, slot: Slot) -> None:
        await self._pool.row(SQL["free"], name=slot.name, holder=slot.holder)

    async def renew_slots(self, holder: str, now: float, lease: float) -> None:
        await self._pool.row(SQL["renew"], holder=holder, until=now + lease)

    async def _purge(self, now: int) -> int:
        await self._pool.row(SQL["purge_meters"], now=now)
        await self._pool.row(SQL["purge_slots"], now=now)
        return 0


class Meters:
    """Meters as they are while their locks are held: values and the times at which they expire.

    `skew`: seconds that the database's clock is before the callers'. Times are kept by the one and told by the other.
    """

    def __init__(self, known: dict[str, tuple[float, float]], skew: float = 0.0) -> None:
        self._known = known
        self._skew = skew
        self._changed: set[str] = set()

    def charge(self, call: Charging) -> Sequence[float]:
        """Put all of a call's charges on their meters, or none; return the values before."""
        now = call.now + self._skew
        values = [self._value(one.meter.name, now) for one in call.charges]
        pairs = list(zip(call.charges, values, strict=True))
        if not call.enforce or all(gcra.fits(one, value, now) for one, value in pairs):
            for one, before in pairs:
                value = gcra.after(one, before, now)
                self._known[one.meter.name] = (value, gcra.expiry(one.meter, value))
                self._changed.add(one.meter.name)
        return [value - self._skew if value and one.meter.window else value for one, value in pairs]

    def _value(self, name: str, now: float) -> float:
        value, expires_at = self._known.get(name, (0.0, 0.0))
        return value if expires_at > now else 0.0

    def changed(self) -> dict[str, Any]:
        """Return what has to be written, as parameters."""
        names = sorted(self._changed)
        return {
            "names": names,
            "meters": [self._known[name][0] for name in names],
            "expiries": [self._known[name][1] for name in names],
        }
