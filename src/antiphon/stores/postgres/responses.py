"""Responses, their items and their chains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from antiphon.runtime.offload import by_size
from antiphon.stores.item_ids import ItemPlace, ResponseItems, pick_texts, places, responses_of
from antiphon.stores.postgres import conversations
from antiphon.stores.postgres.database import UPKEEP_PATIENCE, Database, Row, Transaction
from antiphon.stores.postgres.sql import queries, unescape
from antiphon.stores.records import ListedResponse, StoredItem, StoredResponse
from antiphon.stores.response_columns import columns

SQL = queries("responses")
PURGING = 0x416E7470  # the lock of the one server that purges
PURGE_GROUP = 100  # rows deleted in one transaction

_foreign_ids = msgspec.json.Decoder(dict[str, int])


def values(response: StoredResponse) -> dict[str, Any]:
    """Return the parameters that say what a response is."""
    return {
        **columns(response),
        "item_ids": list(response.foreign_ids),
        "positions": list(response.foreign_ids.values()),
    }


def bound_values(response: StoredResponse, items: Sequence[StoredItem], fence: int) -> dict[str, Any]:
    """Return the parameters of a response that needs a lease, or whose items join its conversation."""
    joining = [item.id for item in items]
    return {**values(response), "fence": fence, "joining": joining, "bodies": [item.body for item in items]}


async def get(database: Database, id: str, owner: str) -> StoredResponse | None:
    """Return a response, or None."""
    row = await database.row(SQL["get"], id=id, owner=owner)
    if row is None:
        return None
    model, status, created_at, expires_at, background, previous, conversation = row[:7]
    start, end, foreign, input, body, texts = row[7:]
    return StoredResponse(
        id=id,
        owner=owner,
        model=unescape(model),
        status=status,
        created_at=created_at,
        expires_at=expires_at,
        background=background,
        previous_response_id=previous and unescape(previous),
        conversation_id=conversation and unescape(conversation),
        output_span=(start, end),
        foreign_ids=_foreign_ids.decode(foreign) if foreign else {},
        input=input,
        body=body,
        model_texts=texts or b"",
    )


async def recent(database: Database, owner: str, limit: int, after: str | None) -> list[ListedResponse]:
    """Return an owner's responses, newest first."""
    rows = await database.rows(SQL["recent"], owner=owner, limit=limit, after=after)
    return [
        ListedResponse(
            id=unescape(id),
            model=unescape(model),
            status=status,
            created_at=created_at,
            background=background,
            previous_response_id=previous and unescape(previous),
            conversation_id=conversation and unescape(conversation),
        )
        for id, model, status, created_at, background, previous, conversation in rows
    ]


async def history(database: Database, id: str, owner: str) -> Sequence[bytes] | None:
    """Return input and output arrays of the chain, oldest first, in one statement."""
    rows = await database.rows(SQL["history"], id=id, owner=owner)
    return [part for row in rows for part in row] or None


# Deletion


async def delete(database: Database, id: str, owner: str) -> bool:
    """Delete a response with all that hangs on it."""

    async def work(transaction: Transaction) -> bool:
        number = await transaction.value(SQL["find"], id=id, owner=owner)
        return number is not None and await _remove(transaction, [number], [id]) > 0

    return await database.transact(work)


async def purge(database: Database, now: int) -> int:
    """Delete up to `PURGE_GROUP` expired responses; return how many. 0 while another server does it."""

    async def work(transaction: Transaction) -> int:
        if not await transaction.value(SQL["purging"], key=PURGING):
            return 0
        rows = await transaction.rows(SQL["expired"], now=now, limit=PURGE_GROUP)
        return await _remove(transaction, [row[0] for row in rows], [unescape(row[1]) for row in rows]) if rows else 0

    return await database.transact(work, UPKEEP_PATIENCE)


async def _remove(transaction: Transaction, numbers: list[int], ids: list[str]) -> int:
    await transaction.rows(SQL["remove_jobs"], ids=ids)
    await transaction.rows(SQL["remove_events"], numbers=numbers)
    await transaction.rows(SQL["remove_foreign_items"], numbers=numbers)
    return int(await transaction.value(SQL["remove"], numbers=numbers))


# Items


async def items(database: Database, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
    """Look where the ids say, then among foreign ids, then in conversations; four statements at most."""
    found = await _derived(database, ids, owner)
    for look in (_foreign, conversations.find_owned):
        missing = [id for id in ids if id not in found]
        if missing:
            found |= await look(database, missing, owner)
    return {id: found[id] for id in ids if id in found}


async def model_texts(database: Database, ids: Sequence[str], owner: str) -> Mapping[str, bytes]:
    """Return what the model sees of those of the items that have such a text."""
    rows = await database.rows(SQL["model_texts"], ids=responses_of(ids), owner=owner)
    stored = [row[0] for row in rows]
    return await by_size(sum(map(len, stored)), pick_texts, ids, stored)


async def _derived(database: Database, ids: Iterable[str], owner: str) -> dict[str, bytes]:
    wanted = [(id, place) for id in ids for place in places(id)]
    if not wanted:
        return {}
    rows = await database.rows(SQL["items"], ids=list({place.response_id for _, place in wanted}), owner=owner)
    return await by_size(_size(rows), _pick_derived, wanted, rows)


def _pick_derived(wanted: Sequence[tuple[str, ItemPlace]], rows: Sequence[Row]) -> dict[str, bytes]:
    responses = {unescape(row[0]): ResponseItems(row[1], row[2]) for row in rows}
    found: dict[str, bytes] = {}
    for id, place in wanted:
        response = responses.get(place.response_id)
        item = response and response.find(id, place.position, in_output=place.in_output)
        if item:
            found.setdefault(id, item)
    return found


async def _foreign(database: Database, ids: Sequence[str], owner: str) -> dict[str, bytes]:
    places = await database.rows(SQL["foreign_items"], ids=list(ids), owner=owner)
    if not places:
        return {}
    rows = await database.rows(SQL["items_at"], numbers=list({number for _, _, number in places}))
    return await by_size(_size(rows), _pick_foreign, places, rows)


def _pick_foreign(places: Sequence[Row], rows: Sequence[Row]) -> dict[str, bytes]:
    responses = {number: ResponseItems(input, output) for number, input, output in rows}
    found: dict[str, bytes] = {}
    for escaped, position, number in places:
        id = unescape(escaped)
        item = responses[number].find(id, position) if number in responses else None
        if item is not None:
            found[id] = item
    return found


def _size(rows: Sequence[Row]) -> int:
    """Return the bytes of responses' items."""
    return sum(len(input) + len(output) for _, input, output in rows)
