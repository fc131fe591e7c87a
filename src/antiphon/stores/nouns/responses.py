"""ResponseStore: the operations on responses, their items and their chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from antiphon.stores.log_records import LogEntry, LogPage, LogQuery
from antiphon.stores.records import Job, LoggedEvent, StoredItem, StoredResponse


class ResponseStore(Protocol):
    """Responses. A write that touches other nouns too (conversation items, jobs, event logs) is one of these methods."""

    async def put(
        self,
        response: StoredResponse,
        *,
        conversation_items: Sequence[StoredItem] = (),
        fence: int = 0,
        entry: LogEntry | None = None,
    ) -> None:
        """Insert or replace a response.

        `conversation_items` join its conversation, and its `entry` the log, in the same transaction.
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
        entry: LogEntry | None = None,
        due: float = 0.0,
    ) -> Job | None:
        """Insert a queued response with its job, its first events and its `entry` of the log, in one transaction.

        The job is `due` from this time on: before it, it comes behind all that are.
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

    # The log of responses

    async def log(self, query: LogQuery) -> LogPage:
        """Return the entries that are wanted, `query.limit` at most.

        A page looks at `SCANNED` entries at most, so that it may have fewer, or none, and yet a next one. Sorted by something
        else than their age are the newest `SORTED`. Raises StoreUnknown where the `after` of such a list is gone.
        """
        ...

    async def entry(self, id: str) -> LogEntry | None:
        """Return a response's entry, whoever its owner is, or None."""
        ...

    async def unlogged(self, before: str, since: str, limit: int) -> Sequence[tuple[str, str]]:
        """Return ids and owners of responses without an entry, the newest first: older than the id `before`, not than `since`."""
        ...

    async def outdated(self, limit: int) -> Sequence[tuple[str, str]]:
        """Return ids and owners of responses that have ended although their entries say that they are worked on."""
        ...

    async def fill(self, entry: LogEntry) -> None:
        """Write the entry of a response that has none or an outdated one, and is as the entry says it is."""
        ...
