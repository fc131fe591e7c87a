"""SQLiteDeliveries: deliveries to webhooks. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.stores.records import Delivery
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("deliveries")


def insert(connection: Connection, deliveries: Sequence[Delivery]) -> None:
    """Insert deliveries, but for those that wait already."""
    connection.executemany(SQL["insert"], [msgspec.structs.asdict(delivery) for delivery in deliveries])


def next_due(connection: Connection) -> float | None:
    """Return the earliest time that a delivery is due at."""
    due: float | None = connection.execute(SQL["next"]).fetchall()[0][0]
    return due


def claim(connection: Connection, now: float, lease: float, without: str) -> Delivery | None:
    """Claim the delivery that has been due longest; `without` is a JSON array of owners."""
    for row in connection.execute(SQL["claim"], {"now": now, "again": now + lease, "without": without}).fetchall():
        id, url, owner, due, attempts, body = row
        return Delivery(id=id, url=url, owner=owner, due=due, attempts=attempts, body=body)
    return None


def postpone(connection: Connection, id: str, url: str, due: float) -> None:
    """Set the time of the next attempt."""
    connection.execute(SQL["postpone"], {"id": id, "url": url, "due": due})


def finish(connection: Connection, id: str, url: str) -> None:
    """Remove a delivery."""
    connection.execute(SQL["finish"], {"id": id, "url": url})


class SQLiteDeliveries:
    """Webhook deliveries in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        await self._writer.submit(lambda connection: insert(connection, deliveries))

    async def claim(self, now: float, lease: float, without: Sequence[str] = ()) -> Delivery | None:
        due = self._database.read(next_due)
        if due is None or due > now:
            return None
        owners = to_json(list(without)).decode()
        return await self._writer.submit(lambda connection: claim(connection, now, lease, owners))

    async def postpone(self, id: str, url: str, due: float) -> None:
        await self._writer.submit(lambda connection: postpone(connection, id, url, due))

    async def finish(self, id: str, url: str) -> None:
        await self._writer.submit(lambda connection: finish(connection, id, url))

    async def next_due(self) -> float | None:
        return self._database.read(next_due)
