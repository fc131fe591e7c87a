"""SQLiteConversations: conversations and their items. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from sqlite3 import Connection

import msgspec

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.log_records import COUNTED, FIRST_ITEMS, SHOWN_ITEM, ConversationSummary
from antiphon.stores.records import StoredConversation, StoredItem
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SHALLOW, SQLiteDatabase

SQL = queries("conversations")


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of items of a conversation: after the item `after`, at most `limit`."""

    after: str | None
    limit: int | None
    descending: bool


def create(connection: Connection, conversation: StoredConversation, items: Sequence[StoredItem]) -> None:
    """Insert a conversation and its items. Raises StoreConflict if the id is taken."""
    if connection.execute(SQL["taken"], {"id": conversation.id}).fetchall():
        raise StoreConflict(conversation.id)
    row = {
        "id": conversation.id,
        "owner": conversation.owner,
        "created_at": conversation.created_at,
        "metadata": conversation.metadata,
    }
    connection.execute(SQL["insert"], row)
    append(connection, conversation.id, conversation.owner, items)


def get(connection: Connection, id: str, owner: str) -> StoredConversation | None:
    """Return a conversation, or None."""
    for _, created_at, metadata in connection.execute(SQL["get"], {"id": id, "owner": owner}).fetchall():
        return StoredConversation(id=id, owner=owner, created_at=created_at, metadata=metadata)
    return None


def summaries(
    connection: Connection, owner: str | None, after: str | None, limit: int
) -> list[ConversationSummary] | None:
    """Return a page of conversations; None if `after` is unknown."""
    before = 1 << 62
    if after is not None:
        numbers = connection.execute(SQL["number_of"], {"id": after, "owner": owner}).fetchall()
        if not numbers:
            return None
        before = numbers[0][0]
    query = SQL["listed" if owner is not None else "listed_of_all"]
    rows = connection.execute(query, {"owner": owner, "before": before, "limit": limit}).fetchall()
    return [_summary(connection, *row) for row in rows]


def summary(connection: Connection, id: str) -> ConversationSummary | None:
    """Return a conversation of any owner as a list shows it, or None."""
    for row in connection.execute(SQL["one_of_all"], {"id": id}).fetchall():
        return _summary(connection, *row)
    return None


def _summary(
    connection: Connection, number: int, id: str, owner: str, created_at: int, metadata: bytes
) -> ConversationSummary:
    wanted = {"number": number, "shown": SHOWN_ITEM}
    firsts = connection.execute(SQL["first_items"], {**wanted, "most": FIRST_ITEMS}).fetchall()
    last = connection.execute(SQL["last_item"], wanted).fetchall()
    return ConversationSummary(
        conversation=StoredConversation(id=id, owner=owner, created_at=created_at, metadata=metadata),
        items=connection.execute(SQL["counted"], {"number": number, "most": COUNTED}).fetchall()[0][0],
        first=[bytes(body) for (body,) in firsts],
        last=bytes(last[0][0]) if last else b"",
    )


def update(connection: Connection, id: str, owner: str, metadata: bytes) -> StoredConversation | None:
    """Replace the metadata."""
    parameters = {"id": id, "owner": owner, "metadata": metadata}
    for (created_at,) in connection.execute(SQL["update"], parameters).fetchall():
        return StoredConversation(id=id, owner=owner, created_at=created_at, metadata=metadata)
    return None


def delete(connection: Connection, id: str, owner: str) -> bool:
    """Delete a conversation and its items."""
    number = _number(connection, id, owner)
    if number is None:
        return False
    connection.execute(SQL["remove_items"], {"number": number})
    connection.execute(SQL["remove"], {"number": number})
    return True


def append(connection: Connection, id: str, owner: str, items: Sequence[StoredItem]) -> None:
    """Append items, but for those whose ids it has. Raises StoreUnknown if there is no such conversation."""
    number = _number(connection, id, owner)
    if number is None:
        raise StoreUnknown(id)
    last = connection.execute(SQL["last"], {"number": number}).fetchall()[0][0]
    rowid = (number << 24) - 1 if last is None else last
    for item in items:
        if _find(connection, number, item.id) is None:
            rowid += 1
            if rowid >> 24 != number:
                raise OverflowError(f"The conversation {id} is full.")
            connection.execute(SQL["insert_item"], {"rowid": rowid, "id": item.id, "body": item.body})


def page(connection: Connection, id: str, owner: str, wanted: Page) -> list[StoredItem] | None:
    """Return a page of items; None if the conversation or `after` is unknown."""
    number = _number(connection, id, owner)
    if number is None:
        return None
    start = (number + 1) << 24 if wanted.descending else (number << 24) - 1
    if wanted.after is not None:
        found = _find(connection, number, wanted.after)
        if found is None:
            return None
        start = found[0]
    limit = -1 if wanted.limit is None else wanted.limit
    parameters = {"after": start, "number": number, "limit": limit}
    rows = connection.execute(SQL["list_descending"] if wanted.descending else SQL["list"], parameters).fetchall()
    return [StoredItem(*row) for row in rows]


def get_item(connection: Connection, id: str, item_id: str, owner: str) -> StoredItem | None:
    """Return one item, or None."""
    number = _number(connection, id, owner)
    found = None if number is None else _find(connection, number, item_id)
    return StoredItem(item_id, found[1]) if found else None


def delete_item(connection: Connection, id: str, item_id: str, owner: str) -> bool:
    """Delete one item."""
    number = _number(connection, id, owner)
    found = None if number is None else _find(connection, number, item_id)
    if found is None:
        return False
    connection.execute(SQL["remove_item"], {"rowid": found[0]})
    return True


def find_owned(connection: Connection, item_id: str, owner: str) -> bytes | None:
    """Return an item by its id alone."""
    for (body,) in connection.execute(SQL["find_owned"], {"id": item_id, "owner": owner}).fetchall():
        return bytes(body)
    return None


def _number(connection: Connection, id: str, owner: str) -> int | None:
    for number, _, _ in connection.execute(SQL["get"], {"id": id, "owner": owner}).fetchall():
        return int(number)
    return None


def _find(connection: Connection, number: int, item_id: str) -> tuple[int, bytes] | None:
    for rowid, body in connection.execute(SQL["find_item"], {"number": number, "id": item_id}).fetchall():
        return rowid, body
    return None


class SQLiteConversations:
    """Conversations in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer

    async def create(self, conversation: StoredConversation, items: Sequence[StoredItem] = ()) -> None:
        await self._writer.submit(lambda connection: create(connection, conversation, items))

    async def get(self, id: str, owner: str) -> StoredConversation | None:
        return self._database.read(get, id, owner)

    async def list(
        self, owner: str | None, *, after: str | None = None, limit: int = 100
    ) -> Sequence[ConversationSummary] | None:
        return await self._database.read_long(lambda connection: summaries(connection, owner, after, limit))

    async def summary(self, id: str) -> ConversationSummary | None:
        return await self._database.read_long(lambda connection: summary(connection, id))

    async def update(self, id: str, owner: str, metadata: bytes) -> StoredConversation | None:
        return await self._writer.submit(lambda connection: update(connection, id, owner, metadata))

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)

    async def add_items(self, id: str, owner: str, items: Sequence[StoredItem]) -> bool:
        try:
            await self._writer.submit(lambda connection: append(connection, id, owner, items))
        except StoreUnknown:
            return False
        return True

    async def list_items(
        self, id: str, owner: str, *, after: str | None = None, limit: int | None = None, descending: bool = False
    ) -> Sequence[StoredItem] | None:
        wanted = Page(after=after, limit=limit, descending=descending)
        if limit is not None and limit <= SHALLOW:
            return self._database.read(page, id, owner, wanted)
        return await self._database.read_long(lambda connection: page(connection, id, owner, wanted))

    async def get_item(self, conversation_id: str, item_id: str, owner: str) -> StoredItem | None:
        return self._database.read(get_item, conversation_id, item_id, owner)

    async def delete_item(self, conversation_id: str, item_id: str, owner: str) -> bool:
        operation = partial(delete_item, id=conversation_id, item_id=item_id, owner=owner)
        return await self._writer.submit(operation, erases=True)
