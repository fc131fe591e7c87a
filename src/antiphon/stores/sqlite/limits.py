"""SQLiteLimits: meters and slots. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sqlite3 import Connection

from antiphon.core import gcra
from antiphon.core.gcra import Charge
from antiphon.stores.records import Slot
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("limits")


def charge(connection: Connection, charges: Sequence[Charge], now: float, enforce: bool) -> Sequence[float]:
    """Put charges on their meters, all or none; return the values before."""
    values = [_value(connection, one.meter.name, now) for one in charges]
    pairs = list(zip(charges, values, strict=True))
    if enforce and not all(gcra.fits(one, value, now) for one, value in pairs):
        return values
    for one, before in pairs:
        value = gcra.after(one, before, now)
        row = {"name": one.meter.name, "value": value, "expires_at": gcra.expiry(one.meter, value)}
        connection.execute(SQL["set_value"], row)
    return values


def _value(connection: Connection, name: str, now: float) -> float:
    rows = connection.execute(SQL["value"], {"name": name, "now": now}).fetchall()
    return rows[0][0] if rows else 0.0


def take(connection: Connection, slot: Slot, now: float, until: float) -> bool:
    """Take a slot, unless all are taken."""
    if connection.execute(SQL["taken"], {"name": slot.name, "now": now}).fetchall()[0][0] >= slot.most:
        return False
    connection.execute(SQL["take"], {"name": slot.name, "holder": slot.holder, "until": until})
    return True


def free(connection: Connection, slot: Slot) -> None:
    """Give a slot back."""
    key = {"name": slot.name, "holder": slot.holder}
    connection.execute(SQL["free"], key)
    connection.execute(SQL["free_last"], key)


def renew(connection: Connection, holder: str, until: float) -> None:
    """Keep a holder's slots."""
    connection.execute(SQL["renew"], {"holder": holder, "until": until})


def purge(connection: Connection, now: int, limit: int) -> int:
    """Delete expired meters and slots; they are not counted as purged rows."""
    connection.execute(SQL["purge_meters"], {"now": now})
    connection.execute(SQL["purge_slots"], {"now": now})
    return 0


class SQLiteLimits:
    """Meters and slots in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge, first=True)

    async def charge(self, charges: Sequence[Charge], now: float, *, enforce: bool = True) -> Sequence[float]:
        return await self._writer.submit(lambda connection: charge(connection, charges, now, enforce))

    async def values(self, names: Sequence[str], now: float) -> Mapping[str, float]:
        return await self._database.read_long(
            lambda connection: {name: value for name in names if (value := _value(connection, name, now))}
        )

    async def take_slot(self, slot: Slot, now: float, lease: float) -> bool:
        return await self._writer.submit(lambda connection: take(connection, slot, now, now + lease))

    async def free_slot(self, slot: Slot) -> None:
        await self._writer.submit(lambda connection: free(connection, slot))

    async def renew_slots(self, holder: str, now: float, lease: float) -> None:
        await self._writer.submit(lambda connection: renew(connection, holder, now + lease))
