"""Deliveries to webhooks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.stores.postgres.database import Database, Transaction
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import Delivery

SQL = queries("deliveries")


async def insert(database: Database, deliveries: Sequence[Delivery]) -> None:
    """Insert deliveries, but for those that wait already."""

    async def work(transaction: Transaction) -> None:
        for delivery in deliveries:
            await transaction.rows(SQL["insert"], **msgspec.structs.asdict(delivery))

    await database.transact(work)


async def next_due(database: Database) -> float | None:
    """Return the earliest time that a delivery is due at."""
    due: float | None = await database.value(SQL["next"])
    return due


async def claim(database: Database, now: float, lease: float) -> Delivery | None:
    """Take what is due longest."""
    row = await database.row(SQL["claim"], now=now, again_at=now + lease)
    if row is None:
        return None
    id, url, owner, due, attempts, body = row
    return Delivery(id=unescape(id), url=url, owner=unescape(owner), due=due, attempts=attempts, body=body)


async def postpone(database: Database, id: str, url: str, due: float) -> None:
    """Set the time of the next attempt."""
    await database.row(SQL["postpone"], id=id, url=url, due=due)


async def finish(database: Database, id: str, url: str) -> None:
    """Remove a delivery."""
    await database.row(SQL["finish"], id=id, url=url)
