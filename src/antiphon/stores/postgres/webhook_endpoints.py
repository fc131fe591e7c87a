"""PostgresWebhookEndpoints: webhook endpoints of owners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.postgres.database import Row, Transaction
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import ListPage
from antiphon.stores.webhook_records import StoredWebhook

SQL = queries("webhook_endpoints")
FIELDS = StoredWebhook.__struct_fields__
LAST = (1 << 63) - 1


class PostgresWebhookEndpoints:
    """Webhook endpoints in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool

    async def create(self, endpoint: StoredWebhook, most: int) -> bool:
        async def work(transaction: Transaction) -> bool:
            await transaction.value(SQL["owners_turn"], owner=endpoint.owner)
            if await transaction.value(SQL["count"], owner=endpoint.owner) >= most:
                return False
            if await transaction.value(SQL["insert"], **msgspec.structs.asdict(endpoint)) is None:
                raise StoreConflict(endpoint.id)
            return True

        return await self._pool.transact(work)

    async def get(self, id: str, owner: str) -> StoredWebhook | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner)
        return None if row is None else _endpoint(row)

    async def list(self, owner: str, page: ListPage) -> Sequence[StoredWebhook] | None:
        ends: list[int | None] = []
        for end in (page.after, page.before):
            number = None if end is None else await self._pool.value(SQL["number"], id=end, owner=owner)
            if end is not None and number is None:
                return None
            ends.append(number)
        low, high = ends[::-1] if page.descending else ends
        bounds = {"low": 0 if low is None else low, "high": LAST if high is None else high, "limit": page.limit}
        query = SQL["list_descending" if page.descending else "list"]
        return [_endpoint(row) for row in await self._pool.rows(query, owner=owner, **bounds)]

    async def update(self, endpoint: StoredWebhook) -> bool:
        return await self._pool.row(SQL["update"], **msgspec.structs.asdict(endpoint)) is not None

    async def delete(self, id: str, owner: str) -> bool:
        return await self._pool.row(SQL["delete"], id=id, owner=owner) is not None


def _endpoint(row: Row) -> StoredWebhook:
    values: list[Any] = [unescape(value) if isinstance(value, str) else value for value in row]
    return StoredWebhook(**dict(zip(FIELDS, values, strict=True)))
