"""ResponseStore: the operations on responses, their items and their chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from antiphon.stores.records import Job, ListedResponse, LoggedEvent, StoredItem, StoredResponse


class ResponseStore(Protocol):
    """Responses. A write that touches other nouns too (conversation items, jobs, event logs) is one of these methods."""

    async def put(
        self, response: StoredResponse, *, conversation_items: Sequence[StoredItem] = (), fence: int = 0
    ) -> None:
        """Insert or replace a response. `conversation_items` join its conversation in the same transaction.

        With a `fence` the response is a background one: raises FenceError if the lease was lost.
        Raises StoreUnknown if the conversation that items are to join is gone, StoreConflict if the id is another owner's.
        """
        ...

    async def enqueue(
        self,
        response: StoredResponse,
        request: bytes,
        events: Sequence[LoggedEvent],
        *,
        worker: str | None = None,
        lease_until: float = 0.0,
    ) -> Job | None:
        """Insert a queued response with its job and its first events, in one transaction.

        With a `worker` the job is claimed in the same transaction and returned.
        Raises StoreConflict if the response has a job already.
        """
        ...

    async def get(self, id: str, owner: str) -> StoredResponse | None:
        """Return a response, or None."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a response, its events and its job; tell whether it was there.

        Later responses of the chain lose its items; items that joined a conversation stay there.
        """
        ...

    async def recent(self, owner: str, limit: int, after: str | None = None) -> Sequence[ListedResponse]:
        """Return an owner's responses, the newest first, of those whose ids sort before `after`: ids sort by age.

        It may scan other owners' responses: not for the hot path.
        """
        ...

    async def history(self, id: str, owner: str) -> Sequence[bytes] | None:
        """Return the chain that ends with a response, or None: JSON arrays, input and output by turns, oldest first.

        One range read per fork of the chain, never one per response. Where an ancestor was deleted, the chain begins
        behind it.
        """
        ...

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        """Return the items among these ids that exist, by id alone: output, input or conversation items.

        Ids that `stores/item_ids.py` can read need no index. Of a foreign id's several items the last one put is returned.
        """
        ...

    async def may_have_thoughts(self, owner: str) -> bool:
        """Tell whether `items` may find thoughts by their calls (`BY_CALL`); True where it would take long to tell."""
        ...

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        """Return what the model sees of those of these output items that have such a text, as JSON."""
        ...
