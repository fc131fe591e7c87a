"""MemoryChats: stored chat completions."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from antiphon.errors import StoreConflict
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.nouns.chats import EVERY, ChatFilter, pairs_of
from antiphon.stores.records import StoredChat

MOST_CHATS = 10_000


class MemoryChats:
    """Chat completions in memory. Beyond `most` the oldest are dropped."""

    def __init__(self, database: MemoryDatabase, most: int = MOST_CHATS) -> None:
        self._chats: dict[str, StoredChat] = {}
        self._most = most
        database.expires(self._purge)

    async def put(self, chat: StoredChat) -> None:
        if chat.id in self._chats:
            raise StoreConflict(chat.id)
        self._chats[chat.id] = chat
        while len(self._chats) > self._most:
            del self._chats[next(iter(self._chats))]

    async def get(self, id: str, owner: str, now: float) -> StoredChat | None:
        chat = self._chats.get(id)
        return chat if chat is not None and chat.owner == owner and _lives(chat, now) else None

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
        mine = [chat for chat in self._chats.values() if chat.owner == owner]
        if descending:
            mine.reverse()
        if after is not None:
            indexes = [index for index, chat in enumerate(mine) if chat.id == after]
            if not indexes:
                return None
            mine = mine[indexes[0] + 1 :]
        found: list[StoredChat] = []
        size = 0
        for chat in mine:
            if len(found) == limit or size >= most:
                break
            if _lives(chat, now) and _fits(chat, wanted):
                found.append(replace(chat, messages=b"[]"))
                size += len(chat.body)
        return found

    async def update(self, id: str, owner: str, now: float, metadata: bytes) -> StoredChat | None:
        chat = await self.get(id, owner, now)
        if chat is None:
            return None
        self._chats[id] = replace(chat, metadata=metadata)
        return self._chats[id]

    async def delete(self, id: str, owner: str) -> bool:
        chat = self._chats.get(id)
        if chat is None or chat.owner != owner:
            return False
        del self._chats[id]
        return True

    def _purge(self, now: int) -> int:
        gone = [chat.id for chat in self._chats.values() if not _lives(chat, now)]
        for id in gone:
            del self._chats[id]
        return len(gone)


def _lives(chat: StoredChat, now: float) -> bool:
    return chat.expires_at is None or chat.expires_at > now


def _fits(chat: StoredChat, wanted: ChatFilter) -> bool:
    return wanted.model in (None, chat.model) and set(pairs_of(wanted.metadata)) <= set(pairs_of(chat.metadata))
