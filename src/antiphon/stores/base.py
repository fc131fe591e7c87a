"""The seam to what is kept: responses, their inputs, conversations, files, background work. Every row has an owner.

A foreign owner's object is as good as absent. JSON travels as bytes: encoded once, never decoded here.
Times are Unix seconds and are given by the caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from antiphon.core.gcra import Charge
from antiphon.errors import StoreError
from antiphon.stores.condition import Census, Condition, Measure
from antiphon.stores.records import (
    Conversation,
    Delivery,
    EventBatch,
    Job,
    ListedResponse,
    LoggedEvent,
    Slot,
    StoredFile,
    StoredItem,
    StoredKey,
    StoredResponse,
)

POLL_INTERVAL = 0.2  # seconds between looks at what another process writes


class FenceError(StoreError):
    """The lease was lost to another worker; what was to be written is not."""


class Store(Protocol):
    """Keeps things. Every method that writes returns after the commit.

    All raise APIError 503 `store_unavailable` where the store's disk, file or server fails them; `condition` tells
    whether it is known to. A store that is `remote` may be lost to this server alone, while others go on with it.
    """

    condition: Condition
    remote: bool

    # Responses

    async def put(
        self, response: StoredResponse, *, conversation_items: Sequence[StoredItem] = (), fence: int = 0
    ) -> None:
        """Insert or replace a response. `conversation_items` join its conversation in the same transaction.

        With a `fence` the response is a background one: raises FenceError if the lease was lost.
        Raises StoreUnknown if the conversation that items are to join is gone, StoreConflict if the id is another owner's.
        """
        ...

    async def get(self, id: str, owner: str) -> StoredResponse | None:
        """Return a response, or None."""
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a response, its events and its job; tell whether it was there.

        Its items are gone for its successors too; those that joined a conversation stay there.
        """
        ...

    async def recent(self, owner: str, limit: int, after: str | None = None) -> Sequence[ListedResponse]:
        """Return an owner's responses, the newest first, of those whose ids sort before `after`: ids sort by age.

        It may have to look past all other owners' responses: for people who browse, not for the hot path.
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

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        """Return what the model sees of those of these output items that have such a text, as JSON."""
        ...

    # Conversations

    async def create_conversation(self, conversation: Conversation, items: Sequence[StoredItem] = ()) -> None:
        """Insert a conversation and its first items. Raises StoreConflict if the id is taken."""
        ...

    async def get_conversation(self, id: str, owner: str) -> Conversation | None:
        """Return a conversation, or None."""
        ...

    async def update_conversation(self, id: str, owner: str, metadata: bytes) -> Conversation | None:
        """Replace the metadata; return the conversation, or None."""
        ...

    async def delete_conversation(self, id: str, owner: str) -> bool:
        """Delete a conversation and its items."""
        ...

    async def add_items(self, id: str, owner: str, items: Sequence[StoredItem]) -> bool:
        """Append items, but for those whose ids it has already; False if there is no such conversation."""
        ...

    async def conversation_items(
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

    # Background

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

        With a `worker` it claims the job too, and returns it: no other server comes first.
        Raises StoreConflict if the response has a job already.
        """
        ...

    async def claim(
        self,
        worker: str,
        now: float,
        lease: float,
        id: str | None = None,
        *,
        clean: bool = False,
        without: Sequence[str] = (),
    ) -> Job | None:
        """Take a job that nobody holds (queued, given back, or its lease ran out), with `id` that response's, or None.

        Clean ones come first, of whose holders none fell silent, the oldest of them; with `clean` no others.
        Those of the owners in `without` are passed over.
        The job's `fence` and `attempts` are raised by one, and `crashes` where its lease ran out. `lease` is in seconds.
        """
        ...

    async def release_job(self, response_id: str, fence: int) -> None:
        """Give a job back, for whoever claims it next. Raises FenceError if the lease was lost."""
        ...

    async def heartbeat(self, response_id: str, fence: int, now: float, lease: float) -> bool:
        """Extend a lease; returns whether the client asked for cancellation. Raises FenceError if it was lost."""
        ...

    async def finish_job(self, response_id: str, fence: int) -> None:
        """Remove a job: its response is terminal. Raises FenceError if the lease was lost."""
        ...

    async def cancel_job(self, response_id: str, owner: str) -> bool:
        """Note the client's wish to cancel; False where there is no such job."""
        ...

    def on_cancel(self, tell: Callable[[str], None]) -> None:
        """Call back with a response's id once any server notes a wish to cancel, where the store can tell at once.

        Where it cannot, the next heartbeat does. Called within the event loop.
        """
        ...

    async def append_events(
        self, response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None = None
    ) -> None:
        """Append to a background response's event log, with numbers that rise.

        `checkpoint` (JSON) replaces the state from which it can be taken up again; it goes with the job.
        Raises FenceError if the lease was lost, StoreConflict where a number is not above those logged.
        """
        ...

    async def append_batches(self, batches: Sequence[EventBatch]) -> Sequence[Exception | None]:
        """Append to several logs at once. Returns what `append_events` would have raised for each, None where it went well."""
        ...

    async def events(self, response_id: str, owner: str, after: int = -1, limit: int = 1000) -> Sequence[LoggedEvent]:
        """Return logged events with a number above `after`, in order."""
        ...

    async def wait_for_events(self, response_id: str, after: int, seconds: float) -> bool:
        """Wait until another server may have logged events above `after`, some `seconds` at most.

        True tells that it has; False, that nothing is known: look whether the response is still there.
        """
        ...

    async def checkpoint(self, response_id: str) -> bytes | None:
        """Return the latest checkpoint."""
        ...

    # Files; one that has expired by `now` is as good as absent

    async def put_file(self, file: StoredFile, content: bytes) -> None:
        """Insert a file. Raises StoreConflict if the id is taken."""
        ...

    async def get_file(self, id: str, owner: str, now: float) -> StoredFile | None:
        """Return what is known of a file, or None."""
        ...

    async def file_content(self, id: str, owner: str, now: float) -> bytes | None:
        """Return a file's content, or None."""
        ...

    async def files(
        self,
        owner: str,
        now: float,
        *,
        purpose: str | None = None,
        after: str | None = None,
        limit: int = 100,
        descending: bool = False,
    ) -> Sequence[StoredFile] | None:
        """Return files in the order of their insertion, beginning behind file `after`; None if that is unknown."""
        ...

    async def delete_file(self, id: str, owner: str) -> bool:
        """Delete a file; tell whether it was there."""
        ...

    # Webhooks

    async def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Insert deliveries, but for those that wait already."""
        ...

    async def claim_delivery(self, now: float, lease: float) -> Delivery | None:
        """Take the delivery that is due longest, or None. It is due again after `lease` seconds, whatever happens.

        Its `attempts` are raised by one.
        """
        ...

    async def postpone_delivery(self, id: str, url: str, due: float) -> None:
        """Set the time of the next attempt."""
        ...

    async def finish_delivery(self, id: str, url: str) -> None:
        """Remove a delivery."""
        ...

    async def next_delivery(self) -> float | None:
        """Return when the next delivery is due, None where none waits."""
        ...

    # Keys

    async def secret(self, name: str, proposal: bytes) -> bytes:
        """Return the secret that all servers on this store share under a name: the first proposal ever made."""
        ...

    async def put_key(self, key: StoredKey) -> None:
        """Insert a key, or replace the one with its id. Raises StoreConflict if another key has the digest."""
        ...

    async def find_key(self, digest: bytes) -> StoredKey | None:
        """Return the key with a digest, or None."""
        ...

    async def keys(self) -> Sequence[StoredKey]:
        """Return all keys, oldest first; of the same age by id."""
        ...

    # Limits, shared by all servers on this store

    async def charge(self, charges: Sequence[Charge], now: float, *, enforce: bool = True) -> Sequence[float]:
        """Put charges on their meters, and return each meter's value as it was before; a new one's is 0.

        All of them, or, where one does not fit (`core.gcra.fits`) and `enforce` is set, none: one atomic step.
        Each meter is named once; what has expired by `now` counts as new.
        """
        ...

    async def take_slot(self, slot: Slot, now: float, lease: float) -> bool:
        """Take a place, unless all are taken; the holder's places are its own for `lease` seconds."""
        ...

    async def free_slot(self, slot: Slot) -> None:
        """Give a place back."""
        ...

    async def renew_slots(self, holder: str, now: float, lease: float) -> None:
        """Keep all places of a holder for `lease` seconds more, those too whose lease ran out."""
        ...

    # Upkeep

    async def purge(self, now: int) -> int:
        """Delete what has expired; return how many responses and files. Meters and places go too, but are not counted."""
        ...

    async def census(self, now: float) -> Census:
        """Count what waits: background responses and deliveries."""
        ...

    def measures(self) -> Iterable[Measure]:
        """Return the store's own figures, without looking at what is stored."""
        ...

    async def close(self) -> None:
        """Finish pending writes and close."""
        ...


class PolledStore:
    """What a Store does that hears nothing of other processes: its callers look again after a while."""

    remote = False

    def on_cancel(self, tell: Callable[[str], None]) -> None:
        """Do nothing: heartbeats tell."""

    async def wait_for_events(self, response_id: str, after: int, seconds: float) -> bool:
        await asyncio.sleep(min(seconds, POLL_INTERVAL))
        return False
