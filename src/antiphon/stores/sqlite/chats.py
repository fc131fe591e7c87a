"""SQLiteChats: stored chat completions. Each function runs inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.errors import StoreConflict
from antiphon.stores.nouns.chats import EVERY, ChatFilter, pairs_of
from antiphon.stores.records import StoredChat
from antiphon.stores.sqlite.sql import queries
from antiphon.stores.sqlite.sqlite_database import SQLiteDatabase

SQL = queries("chats")
LAST = (1 << 63) - 1
SHOWN = ("id", "model", "created_at", "expires_at", "metadata", "body", "messages")


def insert(connection: Connection, chat: StoredChat) -> None:
    """Insert a completion. Raises StoreConflict if the id is taken."""
    if connection.execute(SQL["taken"], {"id": chat.id}).fetchall():
        raise StoreConflict(chat.id)
    connection.execute(SQL["insert"], {**msgspec.structs.asdict(chat), "pairs": _pairs(chat.metadata)})


def get(connection: Connection, id: str, owner: str, now: float) -> StoredChat | None:
    """Return a completion, or None."""
    for row in connection.execute(SQL["get"], {"id": id, "owner": owner, "now": now}).fetchall():
        return _chat(owner, row)
    return None


def page(
    connection: Connection, owner: str, after: str | None, descending: bool, wanted: Mapping[str, object]
) -> list[StoredChat] | None:
    """Return a page of completions; None if `after` is unknown."""
    start = LAST if descending else 0
    if after is not None:
        found = connection.execute(SQL["number"], {"id": after, "owner": owner}).fetchall()
        if not found:
            return None
        start = found[0][0]
    query = SQL["list_descending" if descending else "list"]
    return [
        _chat(owner, row) for row in connection.execute(query, {**wanted, "owner": owner, "after": start}).fetchall()
    ]


def update(connection: Connection, id: str, owner: str, now: float, metadata: bytes) -> StoredChat | None:
    """Replace the metadata."""
    values = {"id": id, "owner": owner, "now": now, "metadata": metadata, "pairs": _pairs(metadata)}
    for row in connection.execute(SQL["update"], values).fetchall():
        return _chat(owner, row)
    return None


def delete(connection: Connection, id: str, owner: str) -> bool:
    """Delete a completion."""
    return bool(connection.execute(SQL["remove"], {"id": id, "owner": owner}).fetchall())


def purge(connection: Connection, now: int, limit: int) -> int:
    """Delete up to `limit` expired completions; return how many."""
    return len(connection.execute(SQL["expired"], {"now": now, "limit": limit}).fetchall())


def _pairs(metadata: bytes | Mapping[str, str]) -> str:
    return to_json(pairs_of(metadata)).decode()


def _chat(owner: str, row: tuple[Any, ...]) -> StoredChat:
    return StoredChat(owner=owner, **dict(zip(SHOWN, row, strict=False)))


class SQLiteChats:
    """Chat completions in an SQLite file."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._database = database
        self._writer = database.writer
        database.expires(purge)

    async def put(self, chat: StoredChat) -> None:
        await self._writer.submit(lambda connection: insert(connection, chat))

    async def get(self, id: str, owner: str, now: float) -> StoredChat | None:
        return await self._database.read_long(lambda connection: get(connection, id, owner, now))

    async def list(
        self,
        owner: str,
        now: float,
        wanted: ChatFilter = EVERY,
        *,
        after: str | None = None,
        limit: int = 20,
        descending: bool = False,
        most: int = 1 << 24,
    ) -> Sequence[StoredChat] | None:
        values = {"now": now, "model": wanted.model, "pairs": _pairs(wanted.metadata), "limit": limit, "most": most}
        return await self._database.read_long(lambda connection: page(connection, owner, after, descending, values))

    async def update(self, id: str, owner: str, now: float, metadata: bytes) -> StoredChat | None:
        return await self._writer.submit(lambda connection: update(connection, id, owner, now, metadata))

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: delete(connection, id, owner), erases=True)
