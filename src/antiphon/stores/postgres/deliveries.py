"""PostgresDeliveries: webhook deliveries."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.stores.postgres.database import Transaction
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import Delivery

SQL = queries("deliveries")


class PostgresDeliveries:
    """Webhook deliveries in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool

    async def put(self, deliveries: Sequence[Delivery]) -> None:
        async def work(transaction: Transaction) -> None:
            for delivery in deliveries:
                await transaction.rows(SQL["insert"], **msgspec.structs.asdict(delivery))

        await self._pool.transact(work)

    async def claim(self, now: float, lease: float, without: Sequence[str] = ()) -> Delivery | None:
        row = await self._pool.row(SQL["claim"], now=now, again_at=now + lease, without=list(without))
        if row is None:
            return None
        id, url, owner, due, attempts, body = row
        return Delivery(id=unescape(id), url=url, owner=unescape(owner), due=due, attempts=attempts, body=body)

    async def postpone(self, id: str, url: str, due: float) -> None:
        await self._pool.row(SQL["postpone"], id=id, url=url, due=due)

    async def finish(self, id: str, url: str) -> None:
        await self._pool.row(SQL["finish"], id=id, url=url)

    async def next_due(self) -> float | None:
        due: float | None = await self._pool.value(SQL["next"])
        return due
