"""What every Store promises about the log of responses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores import log_columns
from antiphon.stores.base import Store
from antiphon.stores.log_records import LogEntry, LogPage, LogQuery
from antiphon.stores.memory.memory_database import MemoryDatabase
from antiphon.stores.open import open_sqlite
from antiphon.stores.records import StoredResponse
from antiphon.stores.sqlite.listing import response_log

from . import databases
from .samples import ANN, BOB, response

WHOLE = LogEntry(
    id=response(1).id,
    owner=ANN,
    model="m\0",
    status="failed",
    created_at=7,
    background=True,
    previous_response_id="resp_0",
    conversation_id="conv_1",
    question="Wie heißt\0 DU?",
    answer="Żółw",
    reason="It broke.",
    error_code="server_error",
    tools=" get_weather web_search ",
    pairs=('["a","b\\u0000"]', '["c","d"]'),
    input_tokens=5,
    cached_tokens=2,
    output_tokens=3,
    reasoning_tokens=1,
    cost=0.5,
    duration=1.5,
    first_token=0.25,
    parameters='{"top_p":0.5}',
)


def entry_of(stored: StoredResponse, **fields: Any) -> LogEntry:
    own = {name: getattr(stored, name) for name in ("id", "owner", "model", "status", "created_at", "background")}
    return LogEntry(**{**own, "question": f"text of {stored.id[-1]}", **fields})


async def kept(store: Store, number: int, owner: str = ANN, **fields: Any) -> LogEntry:
    """Store a response with an entry."""
    names = ("model", "status", "created_at", "conversation_id", "background")
    stored = response(number, owner=owner, **{name: fields[name] for name in names if name in fields})
    entry = entry_of(stored, **fields)
    await store.responses.put(stored, entry=entry)
    return entry


async def ids(store: Store, **query: Any) -> list[int]:
    page = await store.responses.log(LogQuery(**query))
    return [int(entry.id.removeprefix("resp_"), 16) for entry in page.entries]


async def test_an_entry_comes_back_as_it_is(store: Store) -> None:
    same = ("model", "status", "created_at", "background", "previous_response_id", "conversation_id")
    stored = response(1, **{name: getattr(WHOLE, name) for name in same})
    await store.responses.put(stored, entry=WHOLE)
    assert await store.responses.entry(WHOLE.id) == WHOLE
    assert await store.responses.log(LogQuery(owner=ANN)) == LogPage([WHOLE], None)
    assert await store.responses.entry("resp_none") is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"owner": ANN}, [4, 3, 2, 1]),
        ({"owner": "nobody"}, []),
        ({"words": ["tortoise"]}, [3]),
        ({"words": ["TORTOISE", "slow"]}, [3]),
        ({"words": ["tortoise", "fast"]}, []),
        ({"words": ["straße"]}, [2]),
        ({"words": ["%"]}, [4]),
        ({"words": ["overloaded"]}, [4]),
        ({"model": "big"}, [2]),
        ({"status": "failed"}, [4]),
        ({"tool": "get_weather"}, [3]),
        ({"tool": "weather"}, []),
        ({"metadata": {"team": "a"}}, [3, 2]),
        ({"metadata": {"team": "a", "run": "1"}}, [3]),
        ({"conversation": "conv_1"}, [2]),
        ({"background": True}, [5]),
        ({"background": False, "owner": BOB}, []),
        ({"since": 1_700_000_003}, [5, 4, 3]),
        ({"until": 1_700_000_003}, [2, 1]),
        ({"ascending": True}, [1, 2, 3, 4, 5]),
        ({"sort": "cost"}, [3, 1, 5, 4, 2]),
        ({"sort": "total_tokens", "ascending": True}, [2, 3, 4, 5, 1]),
        ({"sort": "duration", "owner": ANN}, [2, 1, 3, 4]),
        ({"sort": "cost", "words": ["text"]}, [1, 5]),
    ],
    ids=str,
)
async def test_entries_are_found(store: Store, query: dict[str, Any], found: list[int]) -> None:
    await kept(store, 1, input_tokens=10, cost=0.1)
    await kept(
        store, 2, model="big", question="STRASSE", pairs=('["team","a"]',), conversation_id="conv_1", duration=9.0
    )
    tools, pairs = " get_weather ", ('["team","a"]', '["run","1"]')
    await kept(store, 3, question="A Tortoise", answer="is Slow", tools=tools, pairs=pairs, cost=0.5)
    await kept(store, 4, status="failed", question="100 %", reason="The model is overloaded.")
    await kept(store, 5, BOB, background=True)
    if query.get("sort"):  # equal ones stand by id
        assert set(await ids(store, **query)) == set(found)
        places = [
            log_columns.position_of(e, LogQuery(**query))
            for e in (await store.responses.log(LogQuery(**query))).entries
        ]
        assert places == sorted(places)
        assert (await ids(store, **query))[0] == found[0]
    else:
        assert await ids(store, **query) == found


@pytest.mark.parametrize(
    "query", [{}, {"ascending": True}, {"sort": "cost"}, {"sort": "duration", "ascending": True}], ids=str
)
@pytest.mark.parametrize("owner", [ANN, None])
async def test_pages_have_each_entry_once(store: Store, query: dict[str, Any], owner: str | None) -> None:
    for number in range(1, 12):
        await kept(store, number, cost=number % 3, duration=number % 4 or None)
    seen: list[str] = []
    after: str | None = None
    while True:
        page = await store.responses.log(LogQuery(owner=owner, limit=3, after=after, **query))
        seen += [entry.id for entry in page.entries]
        after = page.next
        if after is None:
            break
        assert len(page.entries) == 3
    assert len(seen) == len(set(seen)) == 11


async def test_the_entry_behind_which_a_sorted_page_begins_must_be_there(store: Store) -> None:
    with pytest.raises(StoreUnknown):
        await store.responses.log(LogQuery(sort="cost", after="resp_gone"))
    assert not (await store.responses.log(LogQuery(after="resp_gone"))).entries


async def test_an_entry_changes_with_its_response_and_goes_with_it(store: Store) -> None:
    queued = response(1, status="queued", background=True)
    await store.responses.enqueue(queued, b"{}", [], entry=entry_of(queued))
    assert await ids(store, status="queued") == [1]
    await store.responses.put(replace(queued, status="completed"), entry=entry_of(queued, status="completed"))
    assert (await ids(store, status="queued"), await ids(store, status="completed")) == ([], [1])
    assert await store.responses.delete(queued.id, ANN)
    assert await ids(store) == []


async def test_it_goes_when_its_response_expires(store: Store) -> None:
    stored = response(1, expires_at=10)
    await store.responses.put(stored, entry=entry_of(stored))
    await store.database.purge(11)
    assert await ids(store) == []


async def test_a_response_of_another_owner_gets_no_entry(store: Store) -> None:
    await kept(store, 1)
    with pytest.raises(StoreConflict):
        await store.responses.put(response(1, owner=BOB), entry=entry_of(response(1, owner=BOB), question="Bob's"))
    assert [entry.owner for entry in (await store.responses.log(LogQuery())).entries] == [ANN]


async def test_responses_without_an_entry_are_found_and_filled_in(store: Store) -> None:
    for number in (1, 2, 3):
        await store.responses.put(response(number))
    await kept(store, 4)
    bare = [(response(number).id, ANN) for number in (3, 2, 1)]
    assert await store.responses.unlogged("~", "", 10) == bare
    assert await store.responses.unlogged("~", "", 2) == bare[:2]
    assert await store.responses.unlogged(bare[0][0], bare[1][0], 10) == bare[1:2]
    await store.responses.fill(entry_of(response(3)))
    await store.responses.fill(entry_of(response(2), status="queued"))  # it is not so any more
    await store.responses.fill(entry_of(response(9)))  # deleted meanwhile
    assert await ids(store) == [4, 3]
    await store.responses.fill(entry_of(response(4), question="another"))  # it has one
    assert (await store.responses.log(LogQuery(limit=1))).entries[0].question == "text of 4"


async def test_what_an_older_version_has_ended_is_outdated(store: Store) -> None:
    queued = response(1, status="queued")
    await store.responses.put(queued, entry=entry_of(queued))
    await store.responses.put(response(1, status="completed"))
    found = await store.responses.outdated(10)
    assert found in ([(queued.id, ANN)], [])  # a store in memory is nobody else's
    if found:
        await store.responses.fill(entry_of(response(1), status="completed"))
        assert (await store.responses.outdated(10), await ids(store, status="completed")) == ([], [1])


async def test_a_page_looks_at_so_many_and_tells_where_it_stopped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(store.database, MemoryDatabase):
        return  # it looks at all
    monkeypatch.setattr(log_columns, "SCANNED", 4)
    for number in range(1, 11):
        await kept(store, number, question="rare" if number == 1 else "usual")
    seen, after, pages = [], None, 0
    while True:
        page = await store.responses.log(LogQuery(words=["rare"], after=after))
        seen += page.entries
        pages += 1
        if page.next is None:
            break
        after = page.next
    assert ([entry.question for entry in seen], pages) == (["rare"], 3)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("page", "SEARCH response_log USING INDEX response_log_by_owner"),
        ("page_of_all", "SEARCH response_log USING INDEX sqlite_autoindex_response_log_1"),
        ("reach", "SEARCH response_log USING COVERING INDEX response_log_by_owner"),
        ("sorted", "SEARCH response_log USING INDEX response_log_by_owner"),
        ("unlogged", "SEARCH responses USING INDEX sqlite_autoindex_responses_1"),
    ],
)
async def test_sqlite_reads_it_along_an_index(tmp_path: Path, name: str, index: str) -> None:
    store = open_sqlite(tmp_path / "store.db")
    reader = databases.sqlite(store).reader
    rows = reader.execute(f"EXPLAIN QUERY PLAN {response_log.SQL[name]}", _Anything()).fetchall()
    plan = [row[3] for row in rows]
    assert any(line.startswith(index) for line in plan), plan
    assert name == "sorted" or not any("TEMP B-TREE" in line for line in plan), plan
    await store.close()


class _Anything(dict[str, int]):
    def __missing__(self, name: str) -> int:
        return 1


def test_marks_where_texts_were_cut_are_not_searched() -> None:
    entry = replace(WHOLE, question="One …\nTwo…", answer="THREE…", reason="Straße…", error_code="Code")
    assert entry.folded == "one …\ntwo\nthree\nstrasse\ncode"
