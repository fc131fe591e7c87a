"""ConversationStore: the operations on conversations and their items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.log_records import ConversationSummary
from antiphon.stores.records import StoredConversation, StoredItem


class ConversationStore(Protocol):
    """Conversations. `responses.put` appends items to them too."""

    async def create(self, conversation: StoredConversation, items: Sequence[StoredItem] = ()) -> None:
        """Insert a conversation and its first items. Raises StoreConflict if the id is taken."""
        ...

    async def get(self, id: str, owner: str) -> StoredConversation | None:
        """Return a conversation, or None."""
        ...

    async def list(
        self, owner: str | None, *, after: str | None = None, limit: int = 100
    ) -> Sequence[ConversationSummary] | None:
        """Return conversations, the newest first, beginning behind `after`; None if that is unknown. An `owner` of None: all."""
        ...

    async def summary(self, id: str) -> ConversationSummary | None:
        """Return a conversation of any owner as a list shows it, or None."""
        ...

    async def update(self, id: str, owner: str, metadata: bytes) -> StoredConversation | None:
        """Replace the metadata; return the conversation, or None."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a conversation and its items."""
        ...

    async def add_items(self, id: str, owner: str, items: Sequence[StoredItem]) -> bool:
        """Append items, but for those whose ids it has already; False if there is no such conversation."""
        ...

    async def list_items(
        self, id: str, owner: str, *, after: str | None = None, limit: int | None = None, descending: bool = False
    ) -> Sequence[StoredItem] | None:
        """Return items in order, beginning behind item `after`; None if the conversation or `after` is unknown."""
        ...

    async def get_item(self, conversation_id: str, item_id: str, owner: str) -> StoredItem | None:
        """Return one item of a conversation, or None."""
        ...

    async def delete_item(self, conversation_id: str, item_id: str, owner: str) -> bool:
        """Delete one item of a conversation."""
        ...
