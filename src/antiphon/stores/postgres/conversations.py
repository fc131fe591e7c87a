"""PostgresConversations: conversations and their items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.log_records import COUNTED, FIRST_ITEMS, SHOWN_ITEM, ConversationSummary
from antiphon.stores.postgres.database import Database
from antiphon.stores.postgres.postgres_database import PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import StoredConversation, StoredItem

SQL = queries("conversations")
LAST = (1 << 63) - 1
SIZES = {"counted": COUNTED, "shown": SHOWN_ITEM, "firsts": FIRST_ITEMS}


class PostgresConversations:
    """Conversations in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool

    async def create(self, conversation: StoredConversation, items: Sequence[StoredItem] = ()) -> None:
        if not await self._pool.value(SQL["create"], **msgspec.structs.asdict(conversation), **_arrays(items)):
            raise StoreConflict(conversation.id)

    async def get(self, id: str, owner: str) -> StoredConversation | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner)
        return None if row is None else StoredConversation(id=id, owner=owner, created_at=row[0], metadata=row[1])

    async def list(
        self, owner: str | None, *, after: str | None = None, limit: int = 100
    ) -> Sequence[ConversationSummary] | None:
        before = LAST
        if after is not None:
            row = await self._pool.row(SQL["number_of"], id=after, owner=owner)
            if row is None:
                return None
            before = row[0]
        whose = {} if owner is None else {"owner": owner}
        query = SQL["listed_of_all" if owner is None else "listed"]
        rows = await self._pool.rows(query, before=before, limit=limit, **SIZES, **whose)
        return [_summary(*row) for row in rows]

    async def summary(self, id: str) -> ConversationSummary | None:
        row = await self._pool.row(SQL["one_of_all"], id=id, **SIZES)
        return None if row is None else _summary(*row)

    async def update(self, id: str, owner: str, metadata: bytes) -> StoredConversation | None:
        row = await self._pool.row(SQL["update"], id=id, owner=owner, metadata=metadata)
        return None if row is None else StoredConversation(id=id, owner=owner, created_at=row[0], metadata=metadata)

    async def delete(self, id: str, owner: str) -> bool:
        return await self._pool.row(SQL["remove"], id=id, owner=owner) is not None

    async def add_items(self, id: str, owner: str, items: Sequence[StoredItem]) -> bool:
        return bool(await self._pool.value(SQL["append"], id=id, owner=owner, **_arrays(items)))

    async def list_items(
        self, id: str, owner: str, *, after: str | None = None, limit: int | None = None, descending: bool = False
    ) -> Sequence[StoredItem] | None:
        row = await self._pool.row(SQL["start"], id=id, owner=owner, after=after)
        if row is None or (after is not None and row[1] is None):
            return None
        number, sequence = row
        if after is None:
            sequence = LAST if descending else 0
        query = SQL["list_descending" if descending else "list"]
        rows = await self._pool.rows(query, number=number, after=sequence, limit=limit)
        return [StoredItem(unescape(id), body) for id, body in rows]

    async def get_item(self, conversation_id: str, item_id: str, owner: str) -> StoredItem | None:
        row = await self._pool.row(SQL["get_item"], id=conversation_id, item_id=item_id, owner=owner)
        return None if row is None else StoredItem(item_id, row[0])

    async def delete_item(self, conversation_id: str, item_id: str, owner: str) -> bool:
        return await self._pool.row(SQL["remove_item"], id=conversation_id, item_id=item_id, owner=owner) is not None


def _summary(
    id: str, owner: str, created_at: int, metadata: bytes, items: int, first: Sequence[bytes], last: bytes | None
) -> ConversationSummary:
    return ConversationSummary(
        conversation=StoredConversation(
            id=unescape(id), owner=unescape(owner), created_at=created_at, metadata=metadata
        ),
        items=items,
        first=first,
        last=last or b"",
    )


def _arrays(items: Sequence[StoredItem]) -> dict[str, Any]:
    return {"ids": [item.id for item in items], "bodies": [item.body for item in items]}


async def find_owned(database: Database, ids: Sequence[str], owner: str) -> dict[str, bytes]:
    """Return items by their ids alone."""
    rows = await database.rows(SQL["find_owned"], ids=list(ids), owner=owner)
    return {unescape(id): body for id, body in rows}
