"""Inputs that go on from earlier ones: every store gives back what was sent; SQLite keeps once what they begin with."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from antiphon.core.context import keep_input
from antiphon.core.request.decoding import decode_items
from antiphon.core.text.encoded_texts import EncodedTexts
from antiphon.core.text.input_pieces import MOST_PIECES, SharedInput
from antiphon.stores import upkeep
from antiphon.stores.base import Store
from antiphon.stores.open import open_postgres, open_sqlite
from antiphon.stores.owned import OwnedTable
from antiphon.stores.postgres.connection.address import read_address
from antiphon.stores.postgres.imports.importing import import_sqlite
from antiphon.stores.records import StoredResponse
from antiphon.stores.sqlite.disk import owned
from antiphon.stores.sqlite.responses import one_moment
from antiphon.types.items import FunctionCallOutput, Item
from antiphon.types.raw import JsonText

from . import databases
from .samples import ANN, BOB, base, event, response

LONG = 'text with a "quote" and é\n' * 40


def turn(number: int) -> list[Item]:
    """A message without an id, a call with one of its own, its output without one."""
    call = {"type": "function_call", "id": f"own_{number}", "call_id": f"c{number}", "name": "f", "arguments": "{}"}
    entries: list[dict[str, Any]] = [
        {"type": "message", "role": "user", "content": f"question {number}"},
        call,
        {"type": "function_call_output", "call_id": f"c{number}", "output": f"{number} {LONG}"},
    ]
    return decode_items([Raw(json.dumps(entry).encode()) for entry in entries])


def remembered() -> EncodedTexts:
    return EncodedTexts(SharedInput("f" * 48, b"process"))


def grown(number: int, items: Sequence[Item], encoded: EncodedTexts, owner: str = ANN, **fields: Any) -> StoredResponse:
    """The response of this number with an input of which the beginning may be known."""
    own = keep_input(items, base(number), encoded)
    assert own.pieces is not None
    fields = {"foreign_ids": own.foreign_ids, **fields}
    return response(number, owner=owner, input=own.array, input_pieces=own.pieces, **fields)


def array(number: int, items: Sequence[Item]) -> bytes:
    return keep_input(items, base(number)).array


class Talk:
    """A conversation whose every input has all before it."""

    def __init__(self, store: Store, owner: str = ANN) -> None:
        self.store = store
        self.encoded = remembered()
        self.items: list[Item] = []
        self.inputs: dict[int, list[Item]] = {}
        self._owner = owner

    async def put(self, number: int, items: list[Item] | None = None, **fields: Any) -> None:
        self.items = [*self.items, *turn(number)] if items is None else items
        self.inputs[number] = self.items
        await self.store.responses.put(grown(number, self.items, self.encoded, self._owner, **fields))

    async def delete(self, number: int) -> None:
        assert await self.store.responses.delete(response(number).id, self._owner)
        del self.inputs[number]

    async def check(self) -> None:
        """Each response has the input that it was sent."""
        for number, items in self.inputs.items():
            found = await self.store.responses.get(response(number).id, self._owner)
            assert found is not None and found.input_pieces is None
            assert found.input == array(number, items)


def pieces(store: Store) -> list[tuple[int, int | None, int]]:
    """Ids of pieces, those before them, and whether their responses are there; none for other databases."""
    if type(store.database).__name__ != "SQLiteDatabase":
        return []
    reader = databases.sqlite(store).reader
    return reader.execute("SELECT id, parent, held FROM input_pieces ORDER BY id").fetchall()


async def test_what_is_read(store: Store) -> None:
    talk = Talk(store)
    for number in range(1, 6):
        await talk.put(number, previous_response_id=response(number - 1).id)
        await talk.check()
    history = await store.responses.history(response(5).id, ANN)
    assert history is not None
    assert list(history[::2]) == [array(number, items) for number, items in talk.inputs.items()]
    for number, items in talk.inputs.items():
        for stored in json.loads(array(number, items)):
            found = await store.responses.items([stored["id"]], ANN)
            assert json.loads(found[stored["id"]]) == stored
            assert await store.responses.items([stored["id"]], BOB) == {}
    assert await store.responses.get(response(1).id, BOB) is None
    many = {entry["id"] for number, items in talk.inputs.items() for entry in json.loads(array(number, items))}
    assert (await store.responses.items(sorted(many), ANN)).keys() == many


async def test_sqlite_keeps_what_is_added(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "store.db")
    talk = Talk(store)
    for number in range(1, 31):
        await talk.put(number)
    assert pieces(store) == [(number, number - 1 or None, 1) for number in range(1, 31)]
    reader = databases.sqlite(store).reader
    kept, columns = (
        reader.execute(f"SELECT sum(length({column})) FROM {table}").fetchall()[0][0]
        for column, table in (("added", "input_pieces"), ("input", "responses"))
    )
    assert kept < len(array(30, talk.items)) and columns < 100
    await store.close()


async def test_items_that_are_read_anew(store: Store) -> None:
    """Requests that are not byte for byte as those before them have equal items, not the same."""
    talk = Talk(store)
    for number in range(1, 5):
        await talk.put(number, [item for each in range(1, number + 1) for item in turn(each)])
    assert [parent for _, parent, _ in pieces(store)] in ([], [None, 1, 2, 3])
    await talk.check()
    changed = turn(1)
    changed[0] = msgspec.structs.replace(changed[0], phase=None)
    await talk.put(5, [*changed, *talk.items[3:]])
    assert [parent for _, parent, _ in pieces(store)][4:] in ([], [None])
    await talk.check()


@pytest.mark.parametrize("seed", range(12))
async def test_deleted_in_any_order(store: Store, seed: int) -> None:
    """Branches, repeated requests and new beginnings; nothing is left behind."""
    chance = random.Random(seed)
    talk, number = Talk(store), 0
    for _ in range(40):
        if talk.inputs and chance.random() < 0.35:
            await talk.delete(chance.choice(list(talk.inputs)))
        else:
            number += 1
            earlier = chance.choice([[], talk.items, talk.items, talk.items, *talk.inputs.values()])
            added = turn(number) if chance.random() < 0.9 or not earlier else []
            await talk.put(number, [*earlier, *added])
    await talk.check()
    for left in chance.sample(list(talk.inputs), len(talk.inputs)):
        await talk.delete(left)
        await talk.check()
    assert pieces(store) == []


async def test_expiry(store: Store) -> None:
    talk = Talk(store)
    for number in range(1, 5):
        await talk.put(number, expires_at=100 if number < 4 else 200)
    await store.database.purge(150)
    talk.inputs = {4: talk.inputs[4]}
    await talk.check()
    await store.database.purge(250)
    assert await store.responses.get(response(4).id, ANN) is None
    assert pieces(store) == []


async def test_owners_are_apart(store: Store) -> None:
    ann, bob = Talk(store), Talk(store, BOB)
    await ann.put(1)
    bob.encoded = ann.encoded  # it never is
    await bob.put(2, [*ann.items, *turn(2)])
    assert not any(parent for _, parent, _ in pieces(store))
    await ann.delete(1)
    await bob.check()


async def test_an_earlier_response_that_is_not_as_it_was(store: Store) -> None:
    talk = Talk(store)
    await talk.put(1)
    await talk.delete(1)
    await talk.put(2)
    written = response(2, input=b'[{"id":"x"}]')
    await store.responses.put(written)
    await talk.put(3)
    assert await store.responses.get(written.id, ANN) == written
    other, items = Talk(store), talk.inputs.pop(2)
    other.encoded = EncodedTexts(SharedInput("e" * 48, b"another process"))
    await other.put(2, items[:3])  # taken over by another process
    await talk.put(4)
    for each in (talk, other):
        await each.check()
        for number in list(each.inputs):
            await each.delete(number)
    assert pieces(store) == []


async def test_background_rows_are_written_again(store: Store) -> None:
    talk = Talk(store)
    await talk.put(1)
    talk.items = [*talk.items, *turn(2)]
    talk.inputs[2] = talk.items
    queued = grown(2, talk.items, talk.encoded, background=True, status="queued")
    job = await store.responses.enqueue(queued, b"{}", [event(0)], worker="w", lease_until=1e10)
    assert job is not None
    await talk.check()
    await talk.put(3)  # it goes on from the one that is queued
    await store.responses.put(grown(2, talk.inputs[2], talk.encoded, background=True), fence=job.fence)
    await store.jobs.finish(queued.id, job.fence)
    await talk.check()
    await talk.put(4)
    await talk.delete(2)
    await talk.check()
    for number in (1, 3, 4):
        await talk.delete(number)
    assert pieces(store) == []


async def test_ended_as_it_began(store: Store) -> None:
    """A response that is kept when it begins and when it ends adds the same both times, and the next one goes on from it."""
    talk = Talk(store)
    for number in (1, 2, 3):
        await talk.put(number)
        await talk.put(number, talk.items)
    assert [parent for _, parent, _ in pieces(store)] in ([], [None, 2, 4])
    await talk.check()


async def test_pieces_are_bounded(store: Store) -> None:
    talk = Talk(store)
    for number in range(1, 2 * MOST_PIECES + 3):
        await talk.put(number)
    roots = [id for id, parent, _ in pieces(store) if parent is None]
    assert roots in ([], [1, MOST_PIECES + 1, 2 * MOST_PIECES + 1])
    await talk.check()
    for number in range(1, 2 * MOST_PIECES + 3):
        await talk.delete(number)
    assert pieces(store) == []


def test_ids_in_texts_stay() -> None:
    """Only ids that were given are another response's in the next input, whatever texts say."""
    encoded, first = remembered(), turn(1)
    keep_input(first, base(1), encoded)
    item = {"type": "message", "role": "user", "content": f"msg_{base(1)}i0000 {base(2)} \\u0000 {'f' * 40}\0"}
    items = [*first, *decode_items([Raw(json.dumps(item).encode())])]
    for number in (2, 3):
        own = keep_input(items, base(number), encoded)
        assert own.pieces is not None and own.whole == array(number, items)
        assert own.foreign_ids == keep_input(items, base(number)).foreign_ids
        assert own.asking == keep_input(items, base(number)).asking


def test_what_is_no_json_is_kept_whole() -> None:
    encoded, first = remembered(), turn(1)
    keep_input(first, base(1), encoded)
    items = [*first, FunctionCallOutput(call_id="c1", output=JsonText(Raw(b'["\0"]')))]
    own = keep_input(items, base(2), encoded)
    assert own.pieces is None and own.array == array(2, items)


def test_items_of_other_kinds_are_kept_whole() -> None:
    other = decode_items([Raw(b'{"type":"web_search_call","id":"ws_1","status":"completed"}')])
    own = keep_input([*turn(1), *other], base(1), remembered())
    assert own.pieces is None and own.array == array(1, [*turn(1), *other])


async def test_what_older_versions_do(tmp_path: Path) -> None:
    """They know nothing of pieces, and delete and replace rows by themselves."""
    store = open_sqlite(tmp_path / "store.db")
    talk = Talk(store)
    for number in (1, 2, 3, 4):
        await talk.put(number)
    with closing(sqlite3.connect(tmp_path / "store.db")) as older, older:
        older.execute("DELETE FROM responses WHERE id = ?", (response(2).id,))
        older.execute("UPDATE responses SET input = ? WHERE id = ?", (b"[]", response(4).id))
    del talk.inputs[2], talk.inputs[4]
    await talk.check()
    assert pieces(store) == [(1, None, 1), (2, 1, 0), (3, 2, 1)]
    with closing(sqlite3.connect(tmp_path / "store.db")) as older, older:
        older.execute("DELETE FROM responses")
    assert pieces(store) == []
    await store.close()


async def test_export_and_erasure(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_sqlite(path)
    ann, bob = Talk(store), Talk(store, BOB)
    for number in (1, 2, 3):
        await ann.put(number)
        await bob.put(number + 10)
    await ann.delete(2)
    lines: list[bytes] = []
    await asyncio.to_thread(upkeep.export, str(path), ANN, lines.append)
    rows = [line["row"] for line in map(json.loads, lines) if line["table"] == "responses"]
    assert [row["input"] for row in rows] == [json.loads(array(number, ann.inputs[number])) for number in (1, 3)]
    await asyncio.to_thread(upkeep.erase, str(path), ANN)
    await bob.check()
    assert len(pieces(store)) == 3
    await asyncio.to_thread(upkeep.erase, str(path), BOB)
    assert pieces(store) == []
    await store.close()


async def test_written_during_an_erasure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an owner stores behind the erasure of responses keeps its input, and gets no other owner's."""
    path = tmp_path / "store.db"
    store = open_sqlite(path)
    ann, bob = Talk(store), Talk(store, BOB)
    for number in (1, 2):
        await ann.put(number)
    loop, groups = asyncio.get_running_loop(), owned._groups

    def written_between(connection: sqlite3.Connection, table: OwnedTable, owner: str) -> Iterator[Any]:
        yield from groups(connection, table, owner)
        if table.table == "responses":
            ann.inputs.clear()
            asyncio.run_coroutine_threadsafe(ann.put(3), loop).result()

    monkeypatch.setattr(owned, "_groups", written_between)
    await asyncio.to_thread(upkeep.erase, str(path), ANN)
    await bob.put(11)
    for talk in (ann, bob):
        await talk.check()
    await ann.delete(3)
    await bob.delete(11)
    assert pieces(store) == []
    await store.close()


@pytest.mark.needs("postgresql")
async def test_import(tmp_path: Path, postgres_url: str) -> None:
    source = open_sqlite(tmp_path / "store.db")
    talk = Talk(source)
    for number in (1, 2, 3):
        await talk.put(number)
    await source.close()
    await asyncio.to_thread(
        import_sqlite, tmp_path / "store.db", read_address(postgres_url), lambda noun, done, total: None
    )
    talk.store = open_postgres(postgres_url)
    await talk.check()
    await talk.store.close()


async def test_read_while_it_is_deleted(tmp_path: Path) -> None:
    """Another process deletes and writes between the statements of a read: it is as before, or gone."""
    path = tmp_path / "store.db"
    store = open_sqlite(path)
    talk = Talk(store)
    for number in (1, 2):
        await talk.put(number)
    seen: list[str] = []
    with closing(sqlite3.connect(path)) as other:

        def between(statement: str) -> None:
            seen.append(statement)
            if len(seen) == 4:  # the row was read, and read again
                with other:
                    other.execute("DELETE FROM responses")

        databases.sqlite(store).reader.set_trace_callback(between)
        found = await store.responses.get(response(2).id, ANN)
        databases.sqlite(store).reader.set_trace_callback(None)
        assert found is not None and found.input == array(2, talk.items)
        assert await store.responses.get(response(2).id, ANN) is None
    await store.close()


def test_a_disk_that_fails_during_a_read() -> None:
    """SQLite then ends the transaction by itself; the error that tells of the disk is the one that is raised."""

    def fail(error: Exception, *statements: str) -> None:
        with one_moment(connection):
            for statement in statements:
                connection.execute(statement)
            raise error

    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="disk"):
            fail(sqlite3.OperationalError("disk I/O error"), "ROLLBACK")
        with pytest.raises(ValueError, match="another"):
            fail(ValueError("another"))
        assert not connection.in_transaction
