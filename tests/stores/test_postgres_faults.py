"""PostgreSQL that fails: every call is answered in time, what is known is told at once, and it recovers by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from antiphon.core import gcra
from antiphon.core.gcra import Charge, Meter
from antiphon.errors import APIError, ConfigError
from antiphon.stores.base import Store
from antiphon.stores.open import open_postgres
from antiphon.stores.postgres import database, sql
from antiphon.stores.postgres.connection import preparation
from antiphon.stores.records import Delivery, Slot, StoredItem
from tests.bounds import bound

from . import databases
from .pgbouncer import pooled
from .postgres_server import Postgres
from .proxy import Proxy, proxied
from .samples import ANN, conversation, event, item, response

pytestmark = pytest.mark.slow

PATIENCE = 1.5
SLACK = bound(1.5)  # seconds more that a busy machine may take


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[Proxy]:
    """A way to the database that can be cut."""
    with proxied(postgres_url) as each:
        yield each


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less long than in production."""
    monkeypatch.setattr(database, "PATIENCE", PATIENCE)
    monkeypatch.setattr(database, "PROBE_SECONDS", 0.7)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """Open a store, close it afterwards."""
    store = open_postgres(url)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def held(url: str, statement: str) -> AsyncIterator[None]:
    """Hold what a statement locks."""
    holder = await asyncpg.connect(url)
    try:
        async with holder.transaction():
            await holder.execute(statement)
            yield
    finally:
        await holder.close()


LOCK_ROW = "SELECT FROM antiphon.conversations WHERE id = 'conv_1' FOR UPDATE"


async def refused(call: Awaitable[object], seconds: float) -> None:
    """Await a call that is refused within some seconds."""
    began = time.monotonic()
    with pytest.raises(APIError) as caught:
        await call
    assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
    assert caught.value.headers["retry-after"]
    assert time.monotonic() - began < seconds


async def well(store: Store) -> None:
    """Return once a store takes writes."""
    async with asyncio.timeout(20):
        while store.database.condition.reason is not None:  # noqa: ASYNC110  # nobody is told of it
            await asyncio.sleep(0.01)


async def ill(store: Store) -> None:
    """Return once a store is known to take none."""
    async with asyncio.timeout(20):
        while store.database.condition.reason is None:  # noqa: ASYNC110  # nobody is told of it
            await asyncio.sleep(0.01)


CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "put": lambda store: store.responses.put(response(50)),
    "put_bound": lambda store: store.responses.put(
        response(51, conversation_id="conv_1"), conversation_items=[StoredItem("msg_1", b"{}")]
    ),
    "get": lambda store: store.responses.get(response(1).id, ANN),
    "history": lambda store: store.responses.history(response(1).id, ANN),
    "add_items": lambda store: store.conversations.add_items("conv_1", ANN, [item("z")]),
    "enqueue": lambda store: store.responses.enqueue(response(52, background=True), b"{}", [event(0)]),
    "claim": lambda store: store.jobs.claim("worker", 0.0, 15.0),
    "charge": lambda store: store.limits.charge([], 0.0),
    "delete": lambda store: store.responses.delete(response(1).id, ANN),
    "purge": lambda store: store.database.purge(0),
}


async def test_no_call_outlives_its_deadline_in_a_black_hole(proxy: Proxy) -> None:
    async with opened(proxy.url("&pool_size=3")) as store:
        await store.conversations.create(conversation())
        await store.responses.put(response(1))
        proxy.mode = "swallow"
        calls = [call(store) for call in CALLS.values() for _ in range(3)]
        await asyncio.gather(*(refused(call, PATIENCE + SLACK) for call in calls))
        await ill(store)
        for name in ("put", "get", "enqueue"):
            await refused(CALLS[name](store), 0.1)
        proxy.mode = "pass"
        await well(store)
        await store.responses.put(response(2))
        assert await store.responses.get(response(2).id, ANN) == response(2)


async def test_a_caller_that_leaves_in_a_black_hole_takes_no_connection_with_it(proxy: Proxy) -> None:
    async with opened(proxy.url("&pool_size=2")) as store:
        await store.responses.put(response(1))
        proxy.mode = "swallow"
        calls = [asyncio.ensure_future(store.responses.delete(response(number).id, ANN)) for number in range(4)]
        await asyncio.sleep(0.2)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        proxy.mode = "pass"
        await asyncio.sleep(PATIENCE)
        await well(store)
        assert await store.responses.get(response(1).id, ANN) == response(1)


async def test_a_refused_connection(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(proxy.url()) as store:
        await store.responses.put(response(1))
        proxy.mode = "refuse"
        await asyncio.gather(
            *(refused(store.responses.put(response(number)), PATIENCE + SLACK) for number in range(2, 20))
        )
        assert store.database.condition.reason == "unreachable"
        began = time.monotonic()
        for number in range(50):
            await refused(store.responses.put(response(number)), SLACK)
        assert time.monotonic() - began < 2 * SLACK, "in a known outage nobody waits"
        proxy.mode = "pass"
        await well(store)
        await store.responses.put(response(2))
        lines = [line for line in caplog.messages if "unavailable" in line or "available again" in line]
        assert len(lines) == 2, lines
        figures = {measure.name: measure.values for measure in store.database.measures()}
        assert figures["retries_total"][()] > 0 and store.database.condition.failures["unreachable"] > 50


async def test_a_database_that_became_read_only(postgres: Postgres, postgres_url: str) -> None:
    """As behind a failover: reads go on, writes are refused in time, however many reads succeed meanwhile."""
    async with opened(postgres_url) as store:
        await store.responses.put(response(1))
        try:
            await postgres.execute("ALTER DATABASE shared SET default_transaction_read_only = on")
            await _cut_all(postgres)
            stop = asyncio.Event()

            async def read() -> None:
                while not stop.is_set():
                    with suppress(APIError):
                        await store.responses.get(response(1).id, ANN)
                    await asyncio.sleep(0.05)

            reading = asyncio.create_task(read())
            writes = [refused(store.responses.put(response(number)), PATIENCE + SLACK) for number in range(2, 8)]
            await asyncio.gather(*writes)
            assert store.database.condition.reason == "read_only"
            assert await store.responses.get(response(1).id, ANN) == response(1)
            await refused(store.responses.put(response(9)), 0.5)
            stop.set()
            await reading
        finally:
            await postgres.execute("SET default_transaction_read_only = off; ALTER DATABASE shared RESET ALL")
        await well(store)
        await store.responses.put(response(9))


async def _cut_all(postgres: Postgres) -> None:
    await postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shared' AND pid <> pg_backend_pid()"
    )


async def test_a_locked_row_holds_up_nobody_else(postgres_url: str) -> None:
    async with opened(f"{postgres_url}&lock_timeout=300") as store:
        await store.conversations.create(conversation(1))
        await store.conversations.create(conversation(2))
        items = [StoredItem("msg_1", b"{}")]

        def put(number: int, where: str) -> Awaitable[None]:
            return store.responses.put(response(number, conversation_id=where), conversation_items=items)

        async with held(postgres_url, LOCK_ROW):
            locked = [refused(put(number, "conv_1"), 2 * PATIENCE + SLACK) for number in range(3)]
            others = [put(number, "conv_2") for number in range(10, 20)]
            await asyncio.wait_for(asyncio.gather(*locked, *others), 2 * PATIENCE + SLACK)
            assert store.database.condition.reason is None, "other requests are well"
            assert store.database.condition.failures["locked"] >= 3
        await put(1, "conv_1")


async def test_a_locked_table_is_an_outage(postgres_url: str) -> None:
    async with opened(f"{postgres_url}&lock_timeout=300") as store:
        await store.responses.put(response(1))
        async with held(postgres_url, "LOCK TABLE antiphon.responses IN ACCESS EXCLUSIVE MODE"):
            await refused(store.responses.put(response(2)), PATIENCE + SLACK)
            await ill(store)
            assert store.database.condition.reason in ("locked", "unreachable")
        await well(store)
        await store.responses.put(response(2))


async def test_a_pool_without_a_free_connection(postgres_url: str) -> None:
    async with opened(f"{postgres_url}&pool_size=2&lock_timeout=30000") as store:
        await store.responses.put(response(1))
        await store.conversations.create(conversation(1))
        async with held(postgres_url, LOCK_ROW):
            stuck = []
            for number in range(25):
                stuck.append(asyncio.ensure_future(store.conversations.add_items("conv_1", ANN, [item(str(number))])))
                await asyncio.sleep(0.1)
            figures = {measure.name: measure.values for measure in store.database.measures()}
            assert figures["connections_wanted"][()] > 0 or store.database.condition.reason
            began = time.monotonic()
            with suppress(APIError):  # a connection that was cut off may make room for it
                await store.responses.get(response(1).id, ANN)
            assert time.monotonic() - began < PATIENCE + SLACK
            assert store.database.condition.failures["busy"] + store.database.condition.failures["unreachable"]
        found = await asyncio.gather(*stuck, return_exceptions=True)
        assert all(isinstance(each, APIError) or each is True for each in found), found
        await well(store)
        assert await store.responses.get(response(1).id, ANN) == response(1)


async def test_tables_that_another_version_took_away(postgres: Postgres, postgres_url: str) -> None:
    async with opened(postgres_url) as store:
        await store.responses.put(response(1))
        await postgres.execute("ALTER TABLE antiphon.responses RENAME TO moved", "shared")
        try:
            await refused(store.responses.put(response(2)), PATIENCE + SLACK)
            assert store.database.condition.reason == "schema"
        finally:
            await postgres.execute("ALTER TABLE antiphon.moved RENAME TO responses", "shared")
        await well(store)
        await store.responses.put(response(2))


# PgBouncer


@pytest.mark.needs("pgbouncer")
async def test_a_plain_url_through_pgbouncer_in_session_mode(postgres_url: str) -> None:
    with pooled(postgres_url, "session") as url:
        async with opened(url) as store, opened(url) as other:
            store.jobs.on_cancel(lambda id: None)
            await asyncio.gather(*(store.responses.put(response(number)) for number in range(30)))
            assert await other.responses.get(response(29).id, ANN) == response(29)
            async with asyncio.timeout(5):
                while not databases.postgres(store).listener.listening:  # noqa: ASYNC110  # nobody is told of it
                    await asyncio.sleep(0.01)


@pytest.mark.needs("pgbouncer")
async def test_transaction_mode_wants_a_setting(postgres_url: str) -> None:
    with pooled(postgres_url, "transaction") as url:
        with pytest.raises(ConfigError, match="Add pgbouncer=true to the URL"):
            open_postgres(url)
        async with opened(f"{url}&pgbouncer=true") as store:
            await asyncio.gather(*(store.responses.put(response(number)) for number in range(30)))
            assert await store.responses.get(response(29).id, ANN) == response(29)


@pytest.mark.needs("pgbouncer")
async def test_a_pgbouncer_without_room_is_told(postgres_url: str) -> None:
    with pooled(postgres_url, "session", size=3) as url:
        async with opened(f"{url}&pool_size=2") as store:
            await store.responses.put(response(1))
            async with opened(f"{url}&pool_size=5") as other:
                puts = [other.responses.get(response(1).id, ANN) for _ in range(20)]
                found = await asyncio.wait_for(asyncio.gather(*puts, return_exceptions=True), PATIENCE + SLACK + 2)
                assert all(isinstance(each, APIError) or each == response(1) for each in found)


# Clocks


@pytest.mark.parametrize("skew", [-3600.0, -30.0, -14.0, 10.0, 14.0, 30.0, 3600.0])
async def test_leases_go_by_the_databases_clock(
    postgres_url: str, skew: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose clock is wrong takes nothing over that another holds, and keeps what it holds itself."""
    lease = 15.0

    def wrong() -> float:
        return time.time() + skew

    async with opened(postgres_url) as store:
        until = time.time() + lease
        assert await store.responses.enqueue(response(1, background=True), b"{}", [], worker="right", lease_until=until)
        assert await store.limits.take_slot(Slot(name="n", holder="right", most=1), time.time(), lease)
        with monkeypatch.context() as context:
            context.setattr(sql, "time", wrong)
            assert await store.jobs.claim("wrong", wrong(), lease) is None
            assert not await store.limits.take_slot(Slot(name="n", holder="wrong", most=1), wrong(), lease)
            assert await store.responses.enqueue(
                response(2, background=True), b"{}", [], worker="wrong", lease_until=wrong() + lease
            )
            assert await store.jobs.heartbeat(response(2).id, 1, wrong(), lease) is False
            await store.responses.enqueue(response(3, background=True), b"{}", [])
            assert await store.jobs.claim("wrong", wrong(), lease, response(3).id)
            await store.deliveries.put([Delivery(id="evt_1", url="u", owner=ANN, body=b"{}", due=wrong())])
            due = await store.deliveries.next_due()
            assert due is not None and abs(due - wrong()) < 2
        assert await store.jobs.claim("right", time.time(), lease) is None
        assert await store.deliveries.claim(time.time() + 2, 60.0) is not None
        job = await store.jobs.claim("right", time.time() + lease + 2, lease)
        assert job is not None


async def test_limits_go_by_the_databases_clock(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    charge = [Charge(Meter(name="ann/requests", limit=6, window=60.0), 1)]
    admitted = 0
    async with opened(postgres_url) as store:
        for skew in (0.0, 30.0, -30.0) * 5:

            def wrong(skew: float = skew) -> float:
                return time.time() + skew

            monkeypatch.setattr(sql, "time", wrong)
            now = wrong()
            values = await store.limits.charge(charge, now)
            admitted += gcra.fits(charge[0], values[0], now)
    assert admitted == 6


def test_a_clock_that_is_wrong_is_told(
    postgres_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "time", lambda: time.time() - 30)
    open_postgres(postgres_url)
    assert "this server's clock is -30.0 seconds off the store's" in caplog.text
