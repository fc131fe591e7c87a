"""MemoryStore: the twin of the SQLite store that keeps nothing, for tests and for servers without a disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from antiphon.errors import StoreConflict, StoreError, StoreUnknown
from antiphon.stores.base import FenceError, PolledStore
from antiphon.stores.condition import Census, Condition, Measure
from antiphon.stores.item_ids import ResponseItems, pick_texts, places, responses_of
from antiphon.stores.memory.deliveries import MemoryDeliveries
from antiphon.stores.memory.files import MemoryFiles
from antiphon.stores.memory.keys import MemoryKeys
from antiphon.stores.records import (
    Conversation,
    EventBatch,
    Job,
    ListedResponse,
    LoggedEvent,
    StoredItem,
    StoredResponse,
)


class Kept(msgspec.Struct):
    """A response; `serial` counts first insertions: a parent's is below its children's."""

    serial: int
    response: StoredResponse


class KeptConversation(msgspec.Struct):
    """A conversation and its items by id, in order."""

    conversation: Conversation
    items: dict[str, StoredItem]


class KeptJob(msgspec.Struct):
    """A job and its lease; None: nobody has it."""

    job: Job
    lease_until: float | None = None
    checkpoint: bytes | None = None


def _suspect(kept: KeptJob) -> bool:
    """Tell whether a holder of a free job fell silent."""
    return kept.lease_until is not None or kept.job.crashes > 0


class MemoryStore(MemoryFiles, MemoryDeliveries, MemoryKeys, PolledStore):
    """A Store in memory. Beyond `max_responses` the oldest responses are dropped; conversations are not counted."""

    def __init__(self, max_responses: int = 10_000, max_file_bytes: int = 1 << 30) -> None:
        self.condition = Condition("memory")
        MemoryFiles.__init__(self, max_file_bytes)
        MemoryDeliveries.__init__(self)
        MemoryKeys.__init__(self)
        self._max_responses = max_responses
        self._serial = 0
        self._responses: dict[str, Kept] = {}
        self._foreign: dict[tuple[str, str], dict[str, int]] = {}
        self._conversations: dict[str, KeptConversation] = {}
        self._jobs: dict[str, KeptJob] = {}
        self._events: dict[str, list[LoggedEvent]] = {}

    # Responses

    async def put(
        self, response: StoredResponse, *, conversation_items: Sequence[StoredItem] = (), fence: int = 0
    ) -> None:
        if fence:
            self._held(response.id, fence)
        old = self._responses.get(response.id)
        if old is not None and old.response.owner != response.owner:
            raise StoreConflict(response.id)
        if conversation_items:
            self._append(response.conversation_id or "", response.owner, conversation_items)
        self._keep(response, old)
        while len(self._responses) > self._max_responses:
            self._remove(next(iter(self._responses.values())).response)

    def _keep(self, response: StoredResponse, old: Kept | None) -> None:
        if old is None:
            self._serial += 1
            self._responses[response.id] = Kept(self._serial, response)
        else:
            self._forget_foreign(old.response)
            old.response = response
        for item_id, position in response.foreign_ids.items():
            self._foreign.setdefault((response.owner, item_id), {})[response.id] = position

    async def get(self, id: str, owner: str) -> StoredResponse | None:
        kept = self._find(id, owner)
        return None if kept is None else kept.response

    async def delete(self, id: str, owner: str) -> bool:
        kept = self._find(id, owner)
        if kept is not None:
            self._remove(kept.response)
        return kept is not None

    async def recent(self, owner: str, limit: int, after: str | None = None) -> Sequence[ListedResponse]:
        mine = (kept.response for kept in self._responses.values() if kept.response.owner == owner)
        older = [each for each in mine if after is None or each.id < after]
        older.sort(key=lambda each: each.id, reverse=True)
        return [msgspec.convert(each, ListedResponse, from_attributes=True) for each in older[:limit]]

    def _find(self, id: str, owner: str) -> Kept | None:
        kept = self._responses.get(id)
        return kept if kept is not None and kept.response.owner == owner else None

    def _remove(self, response: StoredResponse) -> None:
        self._forget_foreign(response)
        del self._responses[response.id]
        self._jobs.pop(response.id, None)
        self._events.pop(response.id, None)

    def _forget_foreign(self, response: StoredResponse) -> None:
        for item_id in response.foreign_ids:
            key = (response.owner, item_id)
            del self._foreign[key][response.id]
            if not self._foreign[key]:
                del self._foreign[key]

    async def history(self, id: str, owner: str) -> Sequence[bytes] | None:
        kept = self._find(id, owner)
        if kept is None:
            return None
        newest_first: list[bytes] = []
        while kept is not None:
            newest_first += (kept.response.output, kept.response.input)
            kept = self._parent(kept)
        newest_first.reverse()
        return newest_first

    def _parent(self, child: Kept) -> Kept | None:
        parent = self._find(child.response.previous_response_id or "", child.response.owner)
        return parent if parent is not None and parent.serial < child.serial else None

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        split: Split = {}
        found = ((id, self._item(id, owner, split)) for id in dict.fromkeys(ids))
        return {id: body for id, body in found if body is not None}

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        kept = [self._find(id, owner) for id in responses_of(ids)]
        return pick_texts(ids, [one.response.model_texts for one in kept if one and one.response.model_texts])

    def _item(self, item_id: str, owner: str, split: Split) -> bytes | None:
        return (
            self._derived(item_id, owner, split)
            or self._foreign_item(item_id, owner, split)
            or self._loose_item(item_id, owner)
        )

    def _derived(self, item_id: str, owner: str, split: Split) -> bytes | None:
        for place in places(item_id):
            kept = self._find(place.response_id, owner)
            item = kept and _items(kept, split).find(item_id, place.position, in_output=place.in_output)
            if item:
                return item
        return None

    def _foreign_item(self, item_id: str, owner: str, split: Split) -> bytes | None:
        for response_id, position in reversed(self._foreign.get((owner, item_id), {}).items()):
            return _items(self._responses[response_id], split).find(item_id, position)
        return None

    def _loose_item(self, item_id: str, owner: str) -> bytes | None:
        for kept in reversed(self._conversations.values()):
            if kept.conversation.owner == owner and item_id in kept.items:
                return kept.items[item_id].body
        return None

    # Conversations

    async def create_conversation(self, conversation: Conversation, items: Sequence[StoredItem] = ()) -> None:
        if conversation.id in self._conversations:
            raise StoreConflict(conversation.id)
        self._conversations[conversation.id] = KeptConversation(conversation, {})
        self._append(conversation.id, conversation.owner, items)

    async def get_conversation(self, id: str, owner: str) -> Conversation | None:
        kept = self._conversation(id, owner)
        return None if kept is None else kept.conversation

    async def update_conversation(self, id: str, owner: str, metadata: bytes) -> Conversation | None:
        kept = self._conversation(id, owner)
        if kept is None:
            return None
        kept.conversation = msgspec.structs.replace(kept.conversation, metadata=metadata)
        return kept.conversation

    async def delete_conversation(self, id: str, owner: str) -> bool:
        kept = self._conversation(id, owner)
        if kept is not None:
            del self._conversations[id]
        return kept is not None

    async def add_items(self, id: str, owner: str, items: Sequence[StoredItem]) -> bool:
        try:
            self._append(id, owner, items)
        except StoreUnknown:
            return False
        return True

    async def conversation_items(
        self, id: str, owner: str, *, after: str | None = None, limit: int | None = None, descending: bool = False
    ) -> Sequence[StoredItem] | None:
        kept = self._conversation(id, owner)
        if kept is None or (after is not None and after not in kept.items):
            return None
        items = list(kept.items.values())
        if descending:
            items.reverse()
        start = 0 if after is None else items.index(kept.items[after]) + 1
        return items[start : None if limit is None else start + limit]

    async def get_item(self, conversation_id: str, item_id: str, owner: str) -> StoredItem | None:
        kept = self._conversation(conversation_id, owner)
        return None if kept is None else kept.items.get(item_id)

    async def delete_item(self, conversation_id: str, item_id: str, owner: str) -> bool:
        kept = self._conversation(conversation_id, owner)
        return kept is not None and kept.items.pop(item_id, None) is not None

    def _conversation(self, id: str, owner: str) -> KeptConversation | None:
        kept = self._conversations.get(id)
        return kept if kept is not None and kept.conversation.owner == owner else None

    def _append(self, id: str, owner: str, items: Sequence[StoredItem]) -> None:
        kept = self._conversation(id, owner)
        if kept is None:
            raise StoreUnknown(id)
        for item in items:
            kept.items.setdefault(item.id, item)

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
        if response.id in self._jobs:
            raise StoreConflict(response.id)
        await self.put(response)
        self._log(response.id, events)
        times = 0 if worker is None else 1
        job = Job(response_id=response.id, owner=response.owner, request=request, fence=times, attempts=times)
        self._jobs[response.id] = KeptJob(job, None if worker is None else lease_until)
        return None if worker is None else job

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
        free = [
            kept
            for kept in self._jobs.values()
            if (kept.lease_until is None or kept.lease_until <= now)
            and id in (None, kept.job.response_id)
            and kept.job.owner not in without
        ]
        for kept in sorted(free, key=_suspect):
            if clean and _suspect(kept):
                return None
            job, silent = kept.job, kept.lease_until is not None
            kept.lease_until = now + lease
            kept.job = msgspec.structs.replace(
                job, fence=job.fence + 1, attempts=job.attempts + 1, crashes=job.crashes + silent
            )
            return kept.job
        return None

    async def release_job(self, response_id: str, fence: int) -> None:
        self._held(response_id, fence).lease_until = None

    async def heartbeat(self, response_id: str, fence: int, now: float, lease: float) -> bool:
        kept = self._held(response_id, fence)
        kept.lease_until = now + lease
        return kept.job.cancelled

    async def finish_job(self, response_id: str, fence: int) -> None:
        self._held(response_id, fence)
        del self._jobs[response_id]

    async def cancel_job(self, response_id: str, owner: str) -> bool:
        kept = self._jobs.get(response_id)
        if kept is None or kept.job.owner != owner:
            return False
        kept.job = msgspec.structs.replace(kept.job, cancelled=True)
        return True

    async def append_events(
        self, response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None = None
    ) -> None:
        kept = self._held(response_id, fence)
        self._log(response_id, events)
        if checkpoint is not None:
            kept.checkpoint = checkpoint

    async def append_batches(self, batches: Sequence[EventBatch]) -> Sequence[Exception | None]:
        refusals: list[Exception | None] = []
        for batch in batches:
            try:
                await self.append_events(batch.response_id, batch.fence, batch.events)
                refusals.append(None)
            except StoreError as error:
                refusals.append(error)
        return refusals

    async def events(self, response_id: str, owner: str, after: int = -1, limit: int = 1000) -> Sequence[LoggedEvent]:
        if self._find(response_id, owner) is None:
            return []
        events = self._events.get(response_id, [])
        return [event for event in events if event.sequence_number > after][:limit]

    async def checkpoint(self, response_id: str) -> bytes | None:
        kept = self._jobs.get(response_id)
        return None if kept is None else kept.checkpoint

    def _held(self, response_id: str, fence: int) -> KeptJob:
        kept = self._jobs.get(response_id)
        if kept is None or kept.job.fence != fence:
            raise FenceError(response_id)
        return kept

    def _log(self, response_id: str, events: Sequence[LoggedEvent]) -> None:
        log = self._events.get(response_id, [])
        last = log[-1].sequence_number if log else -1
        for event in events:
            if event.sequence_number <= last:
                raise StoreConflict(f"Event {event.sequence_number} comes after event {last}.")
            last = event.sequence_number
        self._events[response_id] = [*log, *events]

    # Upkeep

    async def purge(self, now: int) -> int:
        responses = [kept.response for kept in self._responses.values()]
        expired = [each for each in responses if each.expires_at is not None and each.expires_at <= now]
        for response in expired:
            self._remove(response)
        self.purge_limits(now)
        return len(expired) + self.purge_files(now)

    async def census(self, now: float) -> Census:
        running = sum(kept.lease_until is not None and kept.lease_until > now for kept in self._jobs.values())
        begun = [now - self._responses[id].response.created_at for id in self._jobs if id in self._responses]
        waiting, oldest = self.waiting_deliveries(now)
        return Census(len(self._jobs) - running, running, max(begun, default=0.0), waiting, oldest)

    def measures(self) -> Iterable[Measure]:
        return ()

    async def close(self) -> None:
        """Do nothing: there is nothing to finish."""


Split = dict[str, ResponseItems]
"""Responses whose items one look-up has taken apart, by id."""


def _items(kept: Kept, split: Split) -> ResponseItems:
    response = kept.response
    if response.id not in split:
        split[response.id] = ResponseItems(response.input, response.output)
    return split[response.id]
