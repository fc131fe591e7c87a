"""Entries of the log that are made behind their responses' commits: who asks finds them, and no kill loses them."""

from __future__ import annotations

import asyncio
from math import inf
from pathlib import Path
from sqlite3 import Connection, OperationalError

import pytest

from antiphon.responses.log.entries import log_entry
from antiphon.responses.log.filling import LogFiller
from antiphon.responses.services import free_of_charge
from antiphon.stores.base import Store
from antiphon.stores.log_records import LogEntry, LogQuery
from antiphon.stores.open import open_sqlite
from antiphon.stores.records import StoredResponse
from antiphon.stores.sqlite.disk import behind
from antiphon.stores.sqlite.disk.behind import GROUP, Behind

from .samples import ANN, BOB, base, response

NOTED = b'{"duration":1.5,"first_token":0.25,"parameters":"{\\"top_p\\":0.5}"}'


def entry_of(stored: StoredResponse) -> LogEntry:
    return log_entry(stored, free_of_charge)


async def put(store: Store, *numbers: int, owner: str = ANN) -> None:
    for number in numbers:
        await store.responses.put(response(number, owner=owner, noted=NOTED), later=entry_of)


async def ids(store: Store, **query: str) -> list[str]:
    return [entry.id for entry in (await store.responses.log(LogQuery(limit=1000, **query))).entries]


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are made where somebody asks for them, and not before."""
    monkeypatch.setattr(behind, "PAUSE", 1e9)
    monkeypatch.setattr(behind, "IDLE_PAUSE", 1e9)


@pytest.mark.usefixtures("never")
async def test_who_asks_finds_what_was_stored_before(store: Store) -> None:
    numbers = range(1, 2 * GROUP + 8)
    await put(store, *numbers)
    await put(store, 500, owner=BOB)
    assert await ids(store, owner=ANN) == [f"resp_{base(number)}" for number in reversed(numbers)]
    assert await ids(store, owner=BOB) == [response(500).id]
    entry = await store.responses.entry(response(3).id)
    assert entry == entry_of(response(3, noted=NOTED))
    assert entry is not None
    assert (entry.duration, entry.first_token, entry.parameters) == (1.5, 0.25, '{"top_p":0.5}')


@pytest.mark.usefixtures("never")
async def test_one_alone_is_found_by_its_id(store: Store) -> None:
    await put(store, 1)
    assert await store.responses.entry(response(1).id) == entry_of(response(1, noted=NOTED))
    await put(store, 2)
    assert await store.responses.unlogged("~", "", 10) == []


@pytest.mark.usefixtures("never")
async def test_what_was_deleted_meanwhile_leaves_nothing(store: Store) -> None:
    await put(store, 1, 2, 3)
    assert await store.responses.delete(response(2).id, ANN)
    await store.responses.put(response(3, expires_at=5, noted=NOTED), later=entry_of)
    await store.database.purge(6)
    assert await ids(store) == [response(1).id]
    assert await store.responses.entry(response(2).id) is None


@pytest.mark.usefixtures("never")
async def test_an_entry_that_cannot_be_made_keeps_no_other_from_the_log(tmp_path: Path) -> None:
    def some(stored: StoredResponse) -> LogEntry:
        if stored.id == response(2).id:
            raise ValueError("no entry")
        return entry_of(stored)

    store = open_sqlite(tmp_path / "store.db")
    for number in (1, 2, 3):
        await store.responses.put(response(number), later=some)
    assert await ids(store) == [response(3).id, response(1).id]
    assert await store.responses.unlogged("~", "", 10) == [(response(2).id, ANN)]  # the filler tries again
    await store.close()


@pytest.mark.usefixtures("never")
async def test_a_process_that_dies_leaves_its_entries_to_the_next(tmp_path: Path) -> None:
    dying = open_sqlite(tmp_path / "store.db")
    await put(dying, 1, 2, 3)  # it is not closed before the other one opens: as after a kill
    following = open_sqlite(tmp_path / "store.db")
    assert await ids(following) == []
    await LogFiller(following.responses, free_of_charge).walk()
    assert await ids(following) == [response(number).id for number in (3, 2, 1)]
    assert await following.responses.entry(response(1).id) == entry_of(response(1, noted=NOTED))
    await following.close()
    await dying.close()  # which finds them written


@pytest.mark.usefixtures("never")
async def test_closing_writes_all(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "store.db")
    await put(store, *range(1, GROUP + 3))
    await store.close()
    again = open_sqlite(tmp_path / "store.db")
    assert len(await ids(again)) == GROUP + 2
    await again.close()


@pytest.mark.slow
async def test_another_process_finds_them_a_moment_later(tmp_path: Path) -> None:
    store, other = open_sqlite(tmp_path / "store.db"), open_sqlite(tmp_path / "store.db")
    await put(store, 1, 2)
    for _ in range(1500):
        if await ids(other) == [response(2).id, response(1).id]:
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("The entries do not come.")
    await other.close()
    await store.close()


@pytest.mark.usefixtures("never")
async def test_where_many_wait_entries_are_written_with_their_responses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "MOST", 2)
    store, other = open_sqlite(tmp_path / "store.db"), open_sqlite(tmp_path / "store.db")
    await put(store, 1, 2, 3, 4)
    assert await ids(other) == [response(4).id, response(3).id]
    assert await ids(store) == [response(number).id for number in (4, 3, 2, 1)]
    await put(store, 5)
    assert response(5).id not in await ids(other)
    await other.close()
    await store.close()


def test_ids_are_written_once_and_in_order() -> None:
    written: list[str] = []
    waits = Behind(lambda connection, ids: written.extend(ids))
    for id in ("a", "b", "a", "c"):
        waits.add(id)
    assert waits.due_at < inf
    waits.step(_run)
    assert (written, waits.waiting, waits.due_at) == (["a", "b", "c"], 0, inf)


def test_a_group_that_fails_is_tried_one_by_one() -> None:
    written: list[str] = []

    def write(connection: Connection, ids: object) -> None:
        assert isinstance(ids, list)
        if "b" in ids:
            raise OperationalError("b")
        written.extend(ids)

    waits = Behind(write)
    for id in ("a", "b", "c"):
        waits.add(id)
    waits.step(_run)
    assert (written, waits.waiting) == (["a", "c"], 0)


def _run(operation: object) -> bool:
    assert callable(operation)
    try:
        operation(None)
    except OperationalError:
        return False
    return True
