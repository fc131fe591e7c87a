"""PostgresChats: stored chat completions."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.errors import StoreConflict
from antiphon.stores.nouns.chats import EVERY, ChatFilter, pairs_of
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Row
from antiphon.stores.postgres.postgres_database import PURGE_GROUP, PostgresDatabase
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import StoredChat

SQL = queries("chats")
LAST = (1 << 63) - 1


class PostgresChats:
    """Chat completions in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        database.expires(self._purge)

    async def put(self, chat: StoredChat) -> None:
        values = {**msgspec.structs.asdict(chat), "pairs": pairs_of(chat.metadata)}
        if await self._pool.row(SQL["insert"], **values) is None:
            raise StoreConflict(chat.id)

    async def get(self, id: str, owner: str, now: float) -> StoredChat | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner, now=now)
        return None if row is None else _chat(owner, row)

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
        start = LAST if descending else 0
        if after is not None:
            start = await self._pool.value(SQL["number"], id=after, owner=owner)
            if start is None:
                return None
        values = {"model": wanted.model, "pairs": pairs_of(wanted.metadata), "limit": limit, "most": most}
        query = SQL["list_descending" if descending else "list"]
        return [_chat(owner, row) for row in await self._pool.rows(query, owner=owner, now=now, after=start, **values)]

    async def update(self, id: str, owner: str, now: float, metadata: bytes) -> StoredChat | None:
        row = await self._pool.row(
            SQL["update"], id=id, owner=owner, now=now, metadata=metadata, pairs=pairs_of(metadata)
        )
        return None if row is None else _chat(owner, row)

    async def delete(self, id: str, owner: str) -> bool:
        return await self._pool.row(SQL["remove"], id=id, owner=owner) is not None

    async def _purge(self, now: int) -> int:
        return int(await self._pool.value(SQL["purge"], UPKEEP_PATIENCE, now=now, limit=PURGE_GROUP))


def _chat(owner: str, row: Row) -> StoredChat:
    id, model, created_at, expires_at, metadata, body, *messages = row
    return StoredChat(
        id=unescape(id),
        owner=owner,
        model=unescape(model),
        created_at=created_at,
        expires_at=expires_at,
        metadata=metadata,
        body=body,
        messages=messages[0] if messages else b"[]",
    )
