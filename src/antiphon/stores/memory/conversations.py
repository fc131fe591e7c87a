"""MemoryConversations: conversations and their items."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.log_records import COUNTED, FIRST_ITEMS, SHOWN_ITEM, ConversationSummary
from antiphon.stores.records import StoredConversation, StoredItem


class KeptConversation(msgspec.Struct):
    """A conversation and its items by id, in order."""

    conversation: StoredConversation
    items: dict[str, StoredItem]


class MemoryConversations:
    """Conversations in memory. Their number is not limited."""

    def __init__(self) -> None:
        self._conversations: dict[str, KeptConversation] = {}

    async def create(self, conversation: StoredConversation, items: Sequence[StoredItem] = ()) -> None:
        if conversation.id in self._conversations:
            raise StoreConflict(conversation.id)
        self._conversations[conversation.id] = KeptConversation(conversation, {})
        self.append(conversation.id, conversation.owner, items)

    async def get(self, id: str, owner: str) -> StoredConversation | None:
        kept = self._find(id, owner)
        return None if kept is None else kept.conversation

    async def list(
        self, owner: str | None, *, after: str | None = None, limit: int = 100
    ) -> Sequence[ConversationSummary] | None:
        found = [one for one in self._conversations.values() if owner is None or one.conversation.owner == owner]
        ids = [one.conversation.id for one in found]
        if after is not None and after not in ids:
            return None
        end = len(found) if after is None else ids.index(after)
        return [_summary(one) for one in reversed(found[max(0, end - limit) : end])]

    async def summary(self, id: str) -> ConversationSummary | None:
        kept = self._conversations.get(id)
        return None if kept is None else _summary(kept)

    async def update(self, id: str, owner: str, metadata: bytes) -> StoredConversation | None:
        kept = self._find(id, owner)
        if kept is None:
            return None
        kept.conversation = msgspec.structs.replace(kept.conversation, metadata=metadata)
        return kept.conversation

    async def delete(self, id: str, owner: str) -> bool:
        kept = self._find(id, owner)
        if kept is not None:
            del self._conversations[id]
        return kept is not None

    async def add_items(self, id: str, owner: str, items: Sequence[StoredItem]) -> bool:
        try:
            self.append(id, owner, items)
        except StoreUnknown:
            return False
        return True

    async def list_items(
        self, id: str, owner: str, *, after: str | None = None, limit: int | None = None, descending: bool = False
    ) -> Sequence[StoredItem] | None:
        kept = self._find(id, owner)
        if kept is None or (after is not None and after not in kept.items):
            return None
        items = list(kept.items.values())
        if descending:
            items.reverse()
        start = 0 if after is None else items.index(kept.items[after]) + 1
        return items[start : None if limit is None else start + limit]

    async def get_item(self, conversation_id: str, item_id: str, owner: str) -> StoredItem | None:
        kept = self._find(conversation_id, owner)
        return None if kept is None else kept.items.get(item_id)

    async def delete_item(self, conversation_id: str, item_id: str, owner: str) -> bool:
        kept = self._find(conversation_id, owner)
        return kept is not None and kept.items.pop(item_id, None) is not None

    def find_owned(self, item_id: str, owner: str) -> bytes | None:
        """Return an item by its id alone, of several the one in the newest conversation."""
        for kept in reversed(self._conversations.values()):
            if kept.conversation.owner == owner and item_id in kept.items:
                return kept.items[item_id].body
        return None

    def append(self, id: str, owner: str, items: Sequence[StoredItem]) -> None:
        """Append items, but for those whose ids it has. Raises StoreUnknown if there is no such conversation."""
        kept = self._find(id, owner)
        if kept is None:
            raise StoreUnknown(id)
        for item in items:
            kept.items.setdefault(item.id, item)

    def _find(self, id: str, owner: str) -> KeptConversation | None:
        kept = self._conversations.get(id)
        return kept if kept is not None and kept.conversation.owner == owner else None


def _summary(kept: KeptConversation) -> ConversationSummary:
    bodies = [item.body if len(item.body) <= SHOWN_ITEM else b"" for item in kept.items.values()]
    return ConversationSummary(
        conversation=kept.conversation,
        items=min(len(bodies), COUNTED),
        first=bodies[:FIRST_ITEMS],
        last=bodies[-1] if bodies else b"",
    )
