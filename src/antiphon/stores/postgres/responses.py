"""PostgresResponses: responses, their items and their chains.

Alone among the nouns it uses others' statements: what it writes with conversations and jobs is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.runtime.offload import by_size
from antiphon.stores.base import FenceError
from antiphon.stores.item_ids import ItemPosition, ResponseItems, pick_texts, positions, responses_of
from antiphon.stores.log_records import LogEntry, LogPage, LogQuery
from antiphon.stores.postgres import conversations
from antiphon.stores.postgres.connection.batcher import Batcher
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Database, Row, Transaction
from antiphon.stores.postgres.jobs import event_arrays
from antiphon.stores.postgres.listing import response_log
from antiphon.stores.postgres.postgres_database import PURGE_GROUP, PostgresDatabase, Values
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import Job, LoggedEvent, StoredItem, StoredResponse
from antiphon.stores.response_columns import columns, response_of, with_array

SQL = queries("responses")
PURGING = 0x416E7470  # the lock of the one server that purges

_foreign_ids = msgspec.json.Decoder(dict[str, int])


class PostgresResponses:
    """Responses in a database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._pool = database.pool
        self._puts: Batcher[Values, str] = database.batcher(SQL["put"], "id")
        self._bound_puts: Batcher[Values, str] = database.batcher(SQL["put_bound"], "conversation_id", "id")
        database.expires(self._purge)

    async def put(
        self,
        response: StoredResponse,
        *,
        conversation_items: Sequence[StoredItem] = (),
        fence: int = 0,
        entry: LogEntry | None = None,
    ) -> None:
        values = _values(await with_array(response), entry)
        if fence or conversation_items:
            refusal = await self._bound_puts.submit({**values, **_bound_values(conversation_items, fence)})
        else:
            refusal = await self._puts.submit(values)
        if refusal == "fence":
            raise FenceError(response.id)
        if refusal == "conversation":
            raise StoreUnknown(response.conversation_id)
        if refusal:
            raise StoreConflict(response.id)

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
        times = 0 if worker is None else 1
        lease = {"worker": worker, "lease_until": None if worker is None else lease_until, "times": times}
        values = {
            **_values(await with_array(response), entry),
            "request": request,
            "due": due,
            **event_arrays(events),
            **lease,
        }
        if not await self._pool.value(SQL["enqueue"], **values):
            raise StoreConflict(response.id)
        job = Job(response_id=response.id, owner=response.owner, request=request, fence=times, attempts=times)
        return None if worker is None else job

    async def get(self, id: str, owner: str) -> StoredResponse | None:
        row = await self._pool.row(SQL["get"], id=id, owner=owner)
        return None if row is None else response_of(row, unescape)

    async def delete(self, id: str, owner: str) -> bool:
        async def work(transaction: Transaction) -> bool:
            number = await transaction.value(SQL["find"], id=id, owner=owner)
            return number is not None and await _remove(transaction, [number], [id]) > 0

        return await self._pool.transact(work)

    async def history(self, id: str, owner: str) -> Sequence[bytes] | None:
        rows = await self._pool.rows(SQL["history"], id=id, owner=owner)
        return [part for row in rows for part in row] or None

    async def items(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        found = await _derived(self._pool, ids, owner)
        for look in (_foreign, conversations.find_owned):
            missing = [id for id in ids if id not in found]
            if missing:
                found |= await look(self._pool, missing, owner)
        return {id: found[id] for id in ids if id in found}

    async def may_have_thoughts(self, owner: str) -> bool:
        return True  # a database's collation may have no range of the ids that begin so: it would be a scan

    async def model_texts(self, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
        rows = await self._pool.rows(SQL["model_texts"], ids=responses_of(ids), owner=owner)
        stored = [row[0] for row in rows]
        return await by_size(sum(map(len, stored)), pick_texts, ids, stored)

    async def log(self, query: LogQuery) -> LogPage:
        return await response_log.page(self._pool, query)

    async def entry(self, id: str) -> LogEntry | None:
        return await response_log.get(self._pool, id)

    async def unlogged(self, before: str, since: str, limit: int) -> Sequence[tuple[str, str]]:
        return await response_log.unlogged(self._pool, before, since, limit)

    async def outdated(self, limit: int) -> Sequence[tuple[str, str]]:
        return await response_log.outdated(self._pool, limit)

    async def fill(self, entry: LogEntry) -> None:
        await response_log.fill(self._pool, entry)

    async def _purge(self, now: int) -> int:
        """Delete up to `PURGE_GROUP` expired responses; return how many. 0 while another server does it."""

        async def work(transaction: Transaction) -> int:
            if not await transaction.value(SQL["purging"], key=PURGING):
                return 0
            rows = await transaction.rows(SQL["expired"], now=now, limit=PURGE_GROUP)
            if not rows:
                return 0
            return await _remove(transaction, [row[0] for row in rows], [unescape(row[1]) for row in rows])

        return await self._pool.transact(work, UPKEEP_PATIENCE)


def _values(response: StoredResponse, entry: LogEntry | None) -> dict[str, Any]:
    """Return the parameters that say what a response is, and what the log says of it."""
    return {
        **response_log.entry_values(entry),
        **columns(response),
        "item_ids": list(response.foreign_ids),
        "positions": list(response.foreign_ids.values()),
    }


def _bound_values(items: Sequence[StoredItem], fence: int) -> dict[str, Any]:
    """Return the further parameters of a response that needs a lease, or whose items join its conversation."""
    return {"fence": fence, "joining": [item.id for item in items], "bodies": [item.body for item in items]}


async def _remove(transaction: Transaction, numbers: list[int], ids: list[str]) -> int:
    await transaction.rows(SQL["remove_jobs"], ids=ids)
    await transaction.rows(SQL["remove_events"], numbers=numbers)
    await transaction.rows(SQL["remove_foreign_items"], numbers=numbers)
    return int(await transaction.value(SQL["remove"], numbers=numbers))


async def _derived(database: Database, ids: Iterable[str], owner: str) -> dict[str, bytes]:
    wanted = [(id, at) for id in ids for at in positions(id)]
    if not wanted:
        return {}
    rows = await database.rows(SQL["items"], ids=list({at.response_id for _, at in wanted}), owner=owner)
    return await by_size(_size(rows), _pick_derived, wanted, rows)


def _pick_derived(wanted: Sequence[tuple[str, ItemPosition]], rows: Sequence[Row]) -> dict[str, bytes]:
    responses = {unescape(row[0]): ResponseItems(row[1], row[2]) for row in rows}
    found: dict[str, bytes] = {}
    for id, at in wanted:
        response = responses.get(at.response_id)
        item = response and response.find(id, at.position, in_output=at.in_output)
        if item:
            found.setdefault(id, item)
    return found


async def _foreign(database: Database, ids: Sequence[str], owner: str) -> dict[str, bytes]:
    foreign = await database.rows(SQL["foreign_items"], ids=list(ids), owner=owner)
    if not foreign:
        return {}
    rows = await database.rows(SQL["items_at"], numbers=list({number for _, _, number in foreign}))
    return await by_size(_size(rows), _pick_foreign, foreign, rows)


def _pick_foreign(foreign: Sequence[Row], rows: Sequence[Row]) -> dict[str, bytes]:
    responses = {number: ResponseItems(input, output) for number, input, output in rows}
    found: dict[str, bytes] = {}
    for escaped, position, number in foreign:
        id = unescape(escaped)
        item = responses[number].find(id, position) if number in responses else None
        if item is not None:
            found[id] = item
    return found


def _size(rows: Sequence[Row]) -> int:
    """Return the bytes of responses' items."""
    return sum(len(input) + len(output) for _, input, output in rows)
