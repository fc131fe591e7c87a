"""Conversations and their items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.postgres.database import Database
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import Conversation, StoredItem

SQL = queries("conversations")
LAST = (1 << 63) - 1


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which items of a conversation: behind `after`, at most `limit`."""

    after: str | None
    limit: int | None
    descending: bool


def _arrays(items: Sequence[StoredItem]) -> dict[str, Any]:
    return {"ids": [item.id for item in items], "bodies": [item.body for item in items]}


async def create(database: Database, conversation: Conversation, items: Sequence[StoredItem]) -> None:
    """Insert a conversation and its items. Raises StoreConflict if the id is taken."""
    if not await database.value(SQL["create"], **msgspec.structs.asdict(conversation), **_arrays(items)):
        raise StoreConflict(conversation.id)


async def get(database: Database, id: str, owner: str) -> Conversation | None:
    """Return a conversation, or None."""
    row = await database.row(SQL["get"], id=id, owner=owner)
    return None if row is None else Conversation(id=id, owner=owner, created_at=row[0], metadata=row[1])


async def update(database: Database, id: str, owner: str, metadata: bytes) -> Conversation | None:
    """Replace the metadata."""
    row = await database.row(SQL["update"], id=id, owner=owner, metadata=metadata)
    return None if row is None else Conversation(id=id, owner=owner, created_at=row[0], metadata=metadata)


async def delete(database: Database, id: str, owner: str) -> bool:
    """Delete a conversation and its items."""
    return await database.row(SQL["remove"], id=id, owner=owner) is not None


async def append(database: Database, id: str, owner: str, items: Sequence[StoredItem]) -> bool:
    """Append items, but for those whose ids it has; False if there is no such conversation."""
    return bool(await database.value(SQL["append"], id=id, owner=owner, **_arrays(items)))


async def page(database: Database, id: str, owner: str, wanted: Page) -> list[StoredItem] | None:
    """Return a page of items; None if the conversation or `after` is unknown."""
    row = await database.row(SQL["start"], id=id, owner=owner, after=wanted.after)
    if row is None or (wanted.after is not None and row[1] is None):
        return None
    number, place = row
    if wanted.after is None:
        place = LAST if wanted.descending else 0
    query = SQL["list_descending" if wanted.descending else "list"]
    rows = await database.rows(query, number=number, after=place, limit=wanted.limit)
    return [StoredItem(unescape(id), body) for id, body in rows]


async def get_item(database: Database, id: str, item_id: str, owner: str) -> StoredItem | None:
    """Return one item, or None."""
    row = await database.row(SQL["get_item"], id=id, item_id=item_id, owner=owner)
    return None if row is None else StoredItem(item_id, row[0])


async def delete_item(database: Database, id: str, item_id: str, owner: str) -> bool:
    """Delete one item."""
    return await database.row(SQL["remove_item"], id=id, item_id=item_id, owner=owner) is not None


async def find_owned(database: Database, ids: Sequence[str], owner: str) -> dict[str, bytes]:
    """Return items by their ids alone."""
    rows = await database.rows(SQL["find_owned"], ids=list(ids), owner=owner)
    return {unescape(id): body for id, body in rows}
