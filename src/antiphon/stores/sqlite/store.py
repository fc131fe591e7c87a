"""SQLiteStore: writes through the one writer thread, reads through connections of their own.

Small reads (one row or one page) run on the event loop: there they take some 20 µs of which a hand-over to a thread
would make 100. Reads that can be long (a deep history, a whole conversation) run in the reader thread.
In WAL mode a reader waits for nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from time import perf_counter
from typing import Concatenate, ParamSpec, TypeVar

from antiphon.core.gcra import Charge
from antiphon.errors import InvalidRequest, StoreUnknown
from antiphon.runtime.offload import LARGE
from antiphon.stores.base import PolledStore
from antiphon.stores.condition import Census, Condition, Labels, Measure
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
from antiphon.stores.sqlite import conversations, jobs, limits, responses
from antiphon.stores.sqlite import deliveries as webhooks
from antiphon.stores.sqlite import files as uploads
from antiphon.stores.sqlite import keys as clients
from antiphon.stores.sqlite.conversations import Page
from antiphon.stores.sqlite.database import Synchronous, connect_reader, open_database
from antiphon.stores.sqlite.files import FilePage
from antiphon.stores.sqlite.jobs import Claim
from antiphon.stores.sqlite.keeper import WAL_LIMIT, Keeper
from antiphon.stores.sqlite.responses import Allowance, Extensive
from antiphon.stores.sqlite.upkeep import census
from antiphon.stores.sqlite.writer import Writer

T = TypeVar("T")
P = ParamSpec("P")

SHALLOW = 16  # turns of history, or items by their ids, that are read on the event loop
MOST_HISTORY = 256 * 1024 * 1024
"""Bytes of a chain's items: what is read for one request is held in memory."""
MOST_ARRAYS = 200_000
"""Arrays of a chain's items, two for each response."""
READ_SECONDS = 0.25  # that a read on the event loop waits for another program
PURGE_GROUP = 50  # rows deleted in one transaction: between two of them other writers get their turn
PURGE_REST = 2.0  # times as long as a group takes, others have the file to themselves


class SQLiteStore(PolledStore):
    """A Store in a file, which several processes may share.

    A commit survives the death of the process (`kill -9`). With `synchronous` "NORMAL" a power cut can take the last
    commits with it, never the file's integrity; "FULL" waits for the disk at every commit.
    """

    def __init__(self, path: str | Path, *, synchronous: Synchronous = "NORMAL", wal_limit: int = WAL_LIMIT) -> None:
        """Open or create the file and bring it to the newest schema. Raises ConfigError.

        `wal_limit`: bytes of the write-ahead log from which on writes are refused, 0 for never.
        """
        self._path = Path(path).expanduser()
        self._synchronous: Synchronous = synchronous
        self.condition = Condition(str(self._path))
        self._keeper = Keeper(self._path, self._open, self.condition, wal_limit=wal_limit)
        self._purged = 0
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix="antiphon-store-reader")
        self._writer = Writer(self._keeper)

    def _open(self) -> Connection:
        """Open the file, for the first time or anew. Connections that are in use elsewhere end with their use."""
        connection = open_database(self._path, synchronous=self._synchronous)
        self._reader = connect_reader(self._path, patience=READ_SECONDS)
        self._long_reader = connect_reader(self._path)
        return connection

    def _read(self, read: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read something short, here and now. Raises APIError 503 where the file fails."""
        try:
            return read(self._reader, *args, **kwargs)
        except sqlite3.Error as error:
            raise self._keeper.told(error) from error

    async def _read_long(self, read: Callable[[Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader_thread, read, self._long_reader)
        except sqlite3.Error as error:
            raise self._keeper.told(error) from error

    # Responses

    async def put(
        self, response: StoredResponse, *, conversation_items: Sequence[StoredItem] = (), fence: int = 0
    ) -> None:
        await self._writer.submit(lambda connection: responses.put(connection, response, conversation_items, fence))

    async def get(self, id: str, owner: str) -> StoredResponse | None:
        return self._read(responses.get, id, owner)

    async def delete(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: responses.delete(connection, id, owner), erases=True)

    async def recent(self, owner: str, limit: int, after: str | None = None) -> Sequence[ListedResponse]:
        return await self._read_long(lambda connection: responses.recent(connection, owner, limit, after))

    async def history(self, id: str, owner: str) -> Sequence[bytes] | None:
        if self._read(responses.is_short, id, owner, SHALLOW, LARGE):
            with contextlib.suppress(Extensive):  # a chain of many forks, or of large turns
                return self._read(responses.history, id, owner, Allowance(2 * SHALLOW, LARGE))
        try:
            allowance = Allowance(MOST_ARRAYS, MOST_HISTORY)
            return await self._read_long(lambda connection: responses.history(connection, id, owner, allowance))
        except Extensive:
            raise InvalidRequest(
                f"The history has more than {MOST_HISTORY} bytes or {MOST_ARRAYS // 2} responses.",
                param="previous_response_id",
            ) from None

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        if len(ids) <= SHALLOW:
            return self._read(responses.items, ids, owner)
        return await self._read_long(lambda connection: responses.items(connection, ids, owner))

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        return await self._read_long(lambda connection: responses.model_texts(connection, ids, owner))

    # Conversations

    async def create_conversation(self, conversation: Conversation, items: Sequence[StoredItem] = ()) -> None:
        await self._writer.submit(lambda connection: conversations.create(connection, conversation, items))

    async def get_conversation(self, id: str, owner: str) -> Conversation | None:
        return self._read(conversations.get, id, owner)

    async def update_conversation(self, id: str, owner: str, metadata: bytes) -> Conversation | None:
        return await self._writer.submit(lambda connection: conversations.update(connection, id, owner, metadata))

    async def delete_conversation(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: conversations.delete(connection, id, owner), erases=True)

    async def add_items(self, id: str, owner: str, items: Sequence[StoredItem]) -> bool:
        try:
            await self._writer.submit(lambda connection: conversations.append(connection, id, owner, items))
        except StoreUnknown:
            return False
        return True

    async def conversation_items(
        self, id: str, owner: str, *, after: str | None = None, limit: int | None = None, descending: bool = False
    ) -> Sequence[StoredItem] | None:
        page = Page(after=after, limit=limit, descending=descending)
        if limit is not None and limit <= SHALLOW:
            return self._read(conversations.page, id, owner, page)
        return await self._read_long(lambda connection: conversations.page(connection, id, owner, page))

    async def get_item(self, conversation_id: str, item_id: str, owner: str) -> StoredItem | None:
        return self._read(conversations.get_item, conversation_id, item_id, owner)

    async def delete_item(self, conversation_id: str, item_id: str, owner: str) -> bool:
        operation = partial(conversations.delete_item, id=conversation_id, item_id=item_id, owner=owner)
        return await self._writer.submit(operation, erases=True)

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
        def operation(connection: Connection) -> Job | None:
            responses.put(connection, response)
            jobs.insert(connection, response.id, response.owner, request)
            jobs.append(connection, response.id, 0, events)
            if worker is None:
                return None
            return jobs.take(connection, Claim(worker=worker, now=0.0, lease_until=lease_until, id=response.id))

        return await self._writer.submit(operation)

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
        claim = Claim(worker=worker, now=now, lease_until=now + lease, id=id, clean=clean, without=jobs.owners(without))
        if not self._read(jobs.waiting, claim):
            return None
        return await self._writer.submit(lambda connection: jobs.take(connection, claim))

    async def heartbeat(self, response_id: str, fence: int, now: float, lease: float) -> bool:
        return await self._writer.submit(lambda connection: jobs.heartbeat(connection, response_id, fence, now + lease))

    async def release_job(self, response_id: str, fence: int) -> None:
        await self._writer.submit(lambda connection: jobs.release(connection, response_id, fence))

    async def finish_job(self, response_id: str, fence: int) -> None:
        await self._writer.submit(lambda connection: jobs.finish(connection, response_id, fence))

    async def cancel_job(self, response_id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: jobs.cancel(connection, response_id, owner))

    async def append_events(
        self, response_id: str, fence: int, events: Sequence[LoggedEvent], checkpoint: bytes | None = None
    ) -> None:
        await self._writer.submit(lambda connection: jobs.append(connection, response_id, fence, events, checkpoint))

    async def append_batches(self, batches: Sequence[EventBatch]) -> Sequence[Exception | None]:
        return await self._writer.submit(lambda connection: jobs.append_batches(connection, batches))

    async def events(self, response_id: str, owner: str, after: int = -1, limit: int = 1000) -> Sequence[LoggedEvent]:
        return self._read(jobs.events, response_id, owner, after, limit)

    async def checkpoint(self, response_id: str) -> bytes | None:
        return self._read(jobs.checkpoint, response_id)

    # Files

    async def put_file(self, file: StoredFile, content: bytes) -> None:
        await self._writer.submit(lambda connection: uploads.insert(connection, file, content))

    async def get_file(self, id: str, owner: str, now: float) -> StoredFile | None:
        return self._read(uploads.get, id, owner, now)

    async def file_content(self, id: str, owner: str, now: float) -> bytes | None:
        return await self._read_long(lambda connection: uploads.content(connection, id, owner, now))

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
        return await self._read_long(lambda connection: uploads.page(connection, page))

    async def delete_file(self, id: str, owner: str) -> bool:
        return await self._writer.submit(lambda connection: uploads.delete(connection, id, owner), erases=True)

    # Webhooks

    async def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        await self._writer.submit(lambda connection: webhooks.insert(connection, deliveries))

    async def claim_delivery(self, now: float, lease: float) -> Delivery | None:
        due = self._read(webhooks.next_due)
        if due is None or due > now:
            return None
        return await self._writer.submit(lambda connection: webhooks.claim(connection, now, lease))

    async def postpone_delivery(self, id: str, url: str, due: float) -> None:
        await self._writer.submit(lambda connection: webhooks.postpone(connection, id, url, due))

    async def finish_delivery(self, id: str, url: str) -> None:
        await self._writer.submit(lambda connection: webhooks.finish(connection, id, url))

    async def next_delivery(self) -> float | None:
        return self._read(webhooks.next_due)

    # Keys

    async def secret(self, name: str, proposal: bytes) -> bytes:
        return await self._writer.submit(lambda connection: clients.secret(connection, name, proposal))

    async def put_key(self, key: StoredKey) -> None:
        await self._writer.submit(lambda connection: clients.put(connection, key))

    async def find_key(self, digest: bytes) -> StoredKey | None:
        return self._read(clients.find, digest)

    async def keys(self) -> Sequence[StoredKey]:
        return self._read(clients.everything)

    # Limits

    async def charge(self, charges: Sequence[Charge], now: float, *, enforce: bool = True) -> Sequence[float]:
        return await self._writer.submit(lambda connection: limits.charge(connection, charges, now, enforce))

    async def take_slot(self, slot: Slot, now: float, lease: float) -> bool:
        return await self._writer.submit(lambda connection: limits.take(connection, slot, now, now + lease))

    async def free_slot(self, slot: Slot) -> None:
        await self._writer.submit(lambda connection: limits.free(connection, slot))

    async def renew_slots(self, holder: str, now: float, lease: float) -> None:
        await self._writer.submit(lambda connection: limits.renew(connection, holder, now + lease))

    # Upkeep

    async def purge(self, now: int) -> int:
        await self._writer.submit(lambda connection: limits.purge(connection, now))
        return await self._purge(responses.purge, now) + await self._purge(uploads.purge, now)

    async def _purge(self, some: Callable[[Connection, int, int], int], now: int) -> int:
        total = 0
        while True:
            began = perf_counter()
            deleted = await self._writer.submit(lambda connection: some(connection, now, PURGE_GROUP))
            total += deleted
            self._purged += deleted
            if deleted < PURGE_GROUP:
                if total:  # once: to empty the log holds up whoever writes
                    await self._writer.submit(lambda connection: None, erases=True)
                return total
            await asyncio.sleep(PURGE_REST * (perf_counter() - began))

    async def census(self, now: float) -> Census:
        return await self._read_long(lambda connection: census(connection, now))

    def measures(self) -> Iterable[Measure]:
        file = self._keeper.file
        sizes: dict[Labels, float] = {("file",): float(file.bytes()), ("log",): float(file.wal_bytes())}
        yield Measure(
            name="bytes", help="Sizes of the store's file and of its write-ahead log.", labels=("part",), values=sizes
        )
        yield Measure(
            name="purged_total",
            help="Expired responses and files that this process has deleted.",
            kind="counter",
            values={(): float(self._purged)},
        )

    async def close(self) -> None:
        self._reader_thread.shutdown()
        self._reader.close()
        self._long_reader.close()
        await self._writer.close()
