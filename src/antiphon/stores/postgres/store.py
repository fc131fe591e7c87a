"""PostgresStore: many servers, one database. Hot writes are committed in groups, reads run on pooled connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any

from antiphon.core.gcra import Charge
from antiphon.errors import APIError, StoreConflict, StoreUnknown
from antiphon.stores.base import FenceError
from antiphon.stores.condition import Census, Measure
from antiphon.stores.postgres import conversations, jobs, limits, responses, upkeep
from antiphon.stores.postgres import deliveries as webhooks
from antiphon.stores.postgres import files as uploads
from antiphon.stores.postgres import keys as clients
from antiphon.stores.postgres.address import read_address
from antiphon.stores.postgres.batcher import Batcher
from antiphon.stores.postgres.conversations import Page
from antiphon.stores.postgres.database import Database
from antiphon.stores.postgres.files import FilePage
from antiphon.stores.postgres.jobs import Claim
from antiphon.stores.postgres.limits import Charging
from antiphon.stores.postgres.listener import Listener
from antiphon.stores.postgres.preparation import PATIENCE, prepare
from antiphon.stores.postgres.responses import PURGE_GROUP
from antiphon.stores.postgres.sql import Query
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

Values = Mapping[str, Any]


class PostgresStore:
    """A Store in a database that any number of servers share. Its methods raise APIError 503 while that is away."""

    remote = True

    def __init__(self, url: str, *, patience: float = PATIENCE) -> None:
        """Bring the database to the newest schema; wait `patience` seconds for it. Raises ConfigError."""
        self.address = read_address(url)
        prepare(self.address, patience)
        self._database = Database(self.address)
        self.condition = self._database.condition
        self._purged = 0
        self._listener = Listener(self.address, self._database)
        self._puts: Batcher[Values, str] = self._batcher(responses.SQL["put"], "id")
        self._bound_puts: Batcher[Values, str] = self._batcher(responses.SQL["put_bound"], "conversation_id", "id")
        self._appends: Batcher[Values, str] = self._batcher(jobs.SQL["append"], "response_id")
        self._beats: Batcher[Values, bool | None] = self._batcher(jobs.SQL["heartbeat"], "response_id")
        self._uncertain: set[str] = set()  # responses with an append that may have been committed
        self._charges: Batcher[Charging, Sequence[float]] = Batcher(partial(limits.charge, self._database))

    def _batcher(self, query: Query, *order: str) -> Batcher[Values, Any]:
        return Batcher(partial(self._database.many, query), lambda call: tuple(call[name] or "" for name in order))

    # Responses

    async def put(
        self, response: StoredResponse, *, conversation_items: Sequence[StoredItem] = (), fence: int = 0
    ) -> None:
        if fence or conversation_items:
            refusal = await self._bound_puts.submit(responses.bound_values(response, conversation_items, fence))
        else:
            refusal = await self._puts.submit(responses.values(response))
        if refusal == "fence":
            raise FenceError(response.id)
        if refusal == "conversation":
            raise StoreUnknown(response.conversation_id)
        if refusal:
            raise StoreConflict(response.id)

    async def get(self, id: str, owner: str) -> StoredResponse | None:
        return await responses.get(self._database, id, owner)

    async def delete(self, id: str, owner: str) -> bool:
        return await responses.delete(self._database, id, owner)

    async def recent(self, owner: str, limit: int, after: str | None = None) -> Sequence[ListedResponse]:
        return await responses.recent(self._database, owner, limit, after)

    async def history(self, id: str, owner: str) -> Sequence[bytes] | None:
        return await responses.history(self._database, id, owner)

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        return await responses.items(self._database, ids, owner)

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        return await responses.model_texts(self._database, ids, owner)

    # Conversations

    async def create_conversation(self, conversation: Conversation, items: Sequence[StoredItem] = ()) -> None:
        await conversations.create(self._database, conversation, items)

    async def get_conversation(self, id: str, owner: str) -> Conversation | None:
        return await conversations.get(self._database, id, owner)

    async def update_conversation(self, id: str, owner: str, metadata: bytes) -> Conversation | None:
        return await conversations.update(self._database, id, owner, metadata)

    async def delete_conversation(self, id: str, owner: str) -> bool:
        return await conversations.delete(self._database, id, owner)

    async def add_items(self, id: str, owner: str, items: Sequence[StoredItem]) -> bool:
        return await conversations.append(self._database, id, owner, items)

    async def conversation_items(
        self, id: str, owner: str, *, after: str | None = None, limit: int | None = None, descending: bool = False
    ) -> Sequence[StoredItem] | None:
        page = Page(after=after, limit=limit, descending=descending)
        return await conversations.page(self._database, id, owner, page)

    async def get_item(self, conversation_id: str, item_id: str, owner: str) -> StoredItem | None:
        return await conversations.get_item(self._database, conversation_id, item_id, owner)

    async def delete_item(self, conversation_id: str, item_id: str, owner: str) -> bool:
        return await conversations.delete_item(self._database, conversation_id, item_id, owner)

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
        return await jobs.enqueue(self._database, response, request, events, worker, lease_until)

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
        return await jobs.claim(
            self._database, Claim(worker=worker, now=now, lease_until=now + lease, id=id, clean=clean, without=without)
        )

    async def heartbeat(self, response_id: str, fence: int, now: float, lease: float) -> bool:
        values = {"response_id": response_id, "fence": fence, "lease_until": now + lease}
        cancelled = await self._beats.submit(values)
        if cancelled is None:
            raise FenceError(response_id)
        return cancelled

    async def release_job(self, response_id: str, fence: int) -> None:
        await jobs.release(self._database, response_id, fence)

    async def finish_job(self, response_id: str, fence: int) -> None:
        await jobs.finish(self._database, response_id, fence)

    async def cancel_job(self, response_id: str, owner: str) -> bool:
        return await jobs.cancel(self._database, response_id, owner)

    def on_cancel(self, tell: Callable[[str], None]) -> None:
        self._listener.on_cancel(tell)

    async def append_events(
        self, response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None = None
    ) -> None:
        orderly = jobs.rising(events)
        values = jobs.append_values(response_id, fence, events, checkpoint)
        refusal = await self._append(values if orderly else jobs.append_values(response_id, fence, (), None))
        if refusal == "fence":
            raise FenceError(response_id)
        if refusal or not orderly:
            raise StoreConflict("An event's number is not above those before it.")

    async def append_batches(self, batches: Sequence[EventBatch]) -> Sequence[Exception | None]:
        async def append(batch: EventBatch) -> Exception | None:
            try:
                await self.append_events(batch.response_id, batch.fence, batch.events)
            except Exception as error:
                return error
            return None

        return await asyncio.gather(*map(append, batches))  # they meet again in one statement (`_appends`)

    async def _append(self, values: Values) -> str:
        id = values["response_id"]
        try:
            refusal = await self._appends.submit({**values, "again": id in self._uncertain})
        except APIError:
            self._uncertain.add(id)
            raise
        self._uncertain.discard(id)
        return refusal

    async def events(self, response_id: str, owner: str, after: int = -1, limit: int = 1000) -> Sequence[LoggedEvent]:
        return await jobs.events(self._database, response_id, owner, after, limit)

    async def wait_for_events(self, response_id: str, after: int, seconds: float) -> bool:
        return await self._listener.wait(response_id, after, seconds)

    async def checkpoint(self, response_id: str) -> bytes | None:
        return await jobs.checkpoint(self._database, response_id)

    # Files

    async def put_file(self, file: StoredFile, content: bytes) -> None:
        await uploads.insert(self._database, file, content)

    async def get_file(self, id: str, owner: str, now: float) -> StoredFile | None:
        return await uploads.get(self._database, id, owner, now)

    async def file_content(self, id: str, owner: str, now: float) -> bytes | None:
        return await uploads.content(self._database, id, owner, now)

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
        page = FilePage(owner=owner, now=now, purpose=purpose, after=after, limit=limit, descending=descending)
        return await uploads.page(self._database, page)

    async def delete_file(self, id: str, owner: str) -> bool:
        return await uploads.delete(self._database, id, owner)

    # Webhooks

    async def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        await webhooks.insert(self._database, deliveries)

    async def claim_delivery(self, now: float, lease: float) -> Delivery | None:
        return await webhooks.claim(self._database, now, lease)

    async def postpone_delivery(self, id: str, url: str, due: float) -> None:
        await webhooks.postpone(self._database, id, url, due)

    async def finish_delivery(self, id: str, url: str) -> None:
        await webhooks.finish(self._database, id, url)

    async def next_delivery(self) -> float | None:
        return await webhooks.next_due(self._database)

    # Keys

    async def secret(self, name: str, proposal: bytes) -> bytes:
        return await clients.secret(self._database, name, proposal)

    async def put_key(self, key: StoredKey) -> None:
        await clients.put(self._database, key)

    async def find_key(self, digest: bytes) -> StoredKey | None:
        return await clients.find(self._database, digest)

    async def keys(self) -> Sequence[StoredKey]:
        return await clients.everything(self._database)

    # Limits

    async def charge(self, charges: Sequence[Charge], now: float, *, enforce: bool = True) -> Sequence[float]:
        return await self._charges.submit(Charging(charges, now, enforce))

    async def take_slot(self, slot: Slot, now: float, lease: float) -> bool:
        return await limits.take(self._database, slot, now, now + lease)

    async def free_slot(self, slot: Slot) -> None:
        await limits.free(self._database, slot)

    async def renew_slots(self, holder: str, now: float, lease: float) -> None:
        await limits.renew(self._database, holder, now + lease)

    # Upkeep

    async def purge(self, now: int) -> int:
        await limits.purge(self._database, now)
        return await self._purge(responses.purge, now) + await self._purge(uploads.purge, now)

    async def _purge(self, some: Callable[[Database, int], Awaitable[int]], now: int) -> int:
        total = 0
        while True:
            began = perf_counter()
            deleted = await some(self._database, now)
            total += deleted
            self._purged += deleted
            if deleted < PURGE_GROUP:
                return total
            await asyncio.sleep(perf_counter() - began)  # others have the disk meanwhile

    async def census(self, now: float) -> Census:
        row = await self._database.row(upkeep.SQL["census"], now=now)
        assert row is not None
        return Census(*row)

    def measures(self) -> Iterable[Measure]:
        return upkeep.measures(self._database, self._listener.listening, self._purged)

    async def close(self) -> None:
        await self._listener.close()
        for batcher in (self._puts, self._bound_puts, self._appends, self._beats):
            await batcher.close()
        await self._charges.close()
        await self._database.close()
