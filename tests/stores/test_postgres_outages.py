"""PostgreSQL restarts, long outages, time-outs, text and plans."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from antiphon.errors import APIError
from antiphon.responses.background.event_log import Beat, EventLog
from antiphon.stores.base import FenceError, Store
from antiphon.stores.postgres import database
from antiphon.stores.postgres.sql import Query, escape, queries, unescape
from antiphon.stores.records import StoredItem
from antiphon.types.events import Event
from tests.bounds import bound
from tests.stores.postgres_servers import servers

from . import databases
from .postgres_server import Postgres
from .samples import ANN, NOW, conversation, event, file, item, response

pytestmark = pytest.mark.slow


async def well(store: Store) -> None:
    """Return once a store takes writes."""
    async with asyncio.timeout(20):
        while store.database.condition.reason is not None:  # noqa: ASYNC110  # nobody is told of it
            await asyncio.sleep(0.01)


# The database goes away


@pytest.fixture
def restored(postgres: Postgres) -> Iterator[Postgres]:
    """The server, which is running again afterwards."""
    yield postgres
    postgres.start_if_stopped()


async def test_a_restart_is_waited_for(restored: Postgres, postgres_url: str) -> None:
    async with servers(postgres_url, 1) as (store,):
        await store.responses.enqueue(response(0, background=True), b"{}", [])
        job = await store.jobs.claim("worker", 0.0, 60.0)
        assert job is not None
        stop = asyncio.create_task(asyncio.to_thread(restored.stop))
        writes = [asyncio.create_task(store.responses.put(response(number))) for number in range(1, 50)]
        appends = [asyncio.create_task(store.jobs.append_events(response(0).id, job.fence, [event(0)]))]
        await stop
        reads = [asyncio.create_task(store.responses.get(response(number).id, ANN)) for number in range(1, 50)]
        await asyncio.to_thread(restored.start)
        await asyncio.wait_for(asyncio.gather(*writes, *appends, *reads), 10)
        assert await store.responses.get(response(49).id, ANN) == response(49)
        assert await store.jobs.events(response(0).id, ANN) == [event(0)]


async def test_a_long_outage_is_told(restored: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.3)
    async with servers(postgres_url, 1) as (store,):
        await store.responses.put(response(1))
        await asyncio.to_thread(restored.stop)
        with pytest.raises(APIError) as caught:
            await store.responses.put(response(2))
        assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
        assert caught.value.headers == {"retry-after": "2"}
        assert "postgres" not in caught.value.message
        began = time.perf_counter()
        for _ in range(20):
            with pytest.raises(APIError):
                await store.responses.get(response(1).id, ANN)
        assert time.perf_counter() - began < bound(3), "in a known outage nobody waits again"
        await asyncio.to_thread(restored.start)
        await well(store)
        assert await store.responses.get(response(1).id, ANN) == response(1)


async def test_an_append_whose_answer_was_lost_is_no_error(postgres_url: str) -> None:
    async with servers(postgres_url, 1) as (store,):
        await store.responses.enqueue(response(background=True), b"{}", [])
        job = await store.jobs.claim("worker", 0.0, 60.0)
        assert job is not None
        real = databases.postgres(store).pool._attempt
        lost: list[int] = []

        async def losing(work: object, again: bool, deadline: float) -> object:
            outcome = await real(work, again, deadline)  # type: ignore[arg-type]
            if not lost:
                lost.append(1)
                raise ConnectionResetError
            return outcome

        databases.postgres(store).pool._attempt = losing  # type: ignore[method-assign, assignment]
        await store.jobs.append_events(response().id, job.fence, [event(0), event(1)])
        lost.clear()
        await store.responses.put(response(2))
        lost.clear()
        await store.responses.enqueue(response(3, background=True), b"{}", [event(0)])
        lost.clear()
        await store.jobs.finish(response().id, job.fence)
        assert await store.jobs.events(response().id, ANN) == [event(0), event(1)]
        with pytest.raises(FenceError):
            await store.jobs.finish(response().id, job.fence)


async def test_a_log_goes_on_after_an_outage_without_a_gap(
    restored: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    async with servers(postgres_url, 1) as (store,):
        await store.responses.enqueue(response(background=True), b"{}", [])
        job = await store.jobs.claim("worker", 0.0, 60.0)
        assert job is not None
        log = EventLog(Beat(store.jobs), response().id, job.fence, 0)
        stop = asyncio.create_task(asyncio.to_thread(restored.stop))
        for number in range(40):
            log.send([Event("response.output_text.delta", b"%d" % number)])
            await asyncio.sleep(0.02)
        await stop
        await asyncio.sleep(0.5)
        await asyncio.to_thread(restored.start)
        await well(store)
        log.send([Event("response.completed", b"40")])
        await log.close()
        assert [each.sequence_number for each in await store.jobs.events(response().id, ANN)] == list(range(41))


async def test_a_statement_that_takes_too_long_is_cut_off(postgres: Postgres, postgres_url: str) -> None:
    async with servers(f"{postgres_url}&statement_timeout=200", 1) as (store,):
        slow = Query("SELECT pg_sleep(60)")
        began = time.perf_counter()
        with pytest.raises(APIError, match="cannot be reached"):
            await databases.postgres(store).pool.row(slow)
        assert time.perf_counter() - began < bound(20)


# Text


WEIRD = [
    "'; DROP TABLE antiphon.responses; --",
    "$1",
    "%s",
    ":id",
    "\0",
    "a\0b",
    "\ufdd0",
    "\ufdd00",
    "é\U0001f600",
    "\\x00",
]


@pytest.mark.parametrize("text", WEIRD)
async def test_any_text_is_only_text(postgres_url: str, text: str) -> None:
    async with servers(postgres_url, 1) as (store,):
        row = response(id=text, owner=text, model=text, previous_response_id=text, foreign_ids={text: 0})
        await store.responses.put(row)
        assert await store.responses.get(text, text) == row
        assert len(await store.responses.history(text, text) or []) == 2
        await store.conversations.create(conversation(owner=text), [item("a")])
        strange = StoredItem(text, b'{"id":"x"}')
        assert await store.conversations.add_items("conv_1", text, [strange])
        assert await store.conversations.list_items("conv_1", text, after="a") == [strange]
        assert await store.responses.items([text], text) == {text: strange.body}
        await store.files.put(file(owner=text), b"")
        assert await store.files.list(text, NOW, after=text) is None
        assert await store.responses.get("other", text) is None
        assert await store.responses.delete(text, text)


def test_escaping_can_be_undone() -> None:
    for text in [*WEIRD, "plain", "\ufdd0\0\ufdd01\0"]:
        assert unescape(escape(text)) == text
        assert "\0" not in escape(text)


# Plans


def test_no_query_scans_what_grows(postgres: Postgres, postgres_url: str) -> None:
    """Every statement finds its rows by an index; the jobs that wait, the keys and the slots are few."""
    for noun in ("responses", "conversations", "jobs", "files", "deliveries", "keys", "limits"):
        for name, query in queries(noun).items():
            plan = postgres.psql(f"SET enable_seqscan = off; EXPLAIN (GENERIC_PLAN) {query.text};", "shared")
            assert "cost=" in plan
            for table in ("responses", "events", "foreign_items", "conversation_items", "files", "checkpoints"):
                assert f"Seq Scan on {table}" not in plan, (noun, name, plan)
