"""What only the store in PostgreSQL promises: many servers, restarts of the database, nothing that text can break."""

from __future__ import annotations

import asyncio
import time

import pytest

from antiphon.core import gcra
from antiphon.core.gcra import Charge, Meter
from antiphon.responses.background.event_log import LOOK_INTERVAL, Beat, EventLog, Follower
from antiphon.stores.base import FenceError, Store
from antiphon.stores.postgres.connection.listener import Listener
from antiphon.stores.records import LoggedEvent
from antiphon.types.events import Event
from tests.bounds import bound
from tests.stores.postgres_servers import servers

from . import databases
from .postgres_server import Postgres
from .samples import ANN, NOW, conversation, event, item, response

pytestmark = pytest.mark.slow


async def heard(store: Store) -> None:
    """Return once a store listens."""
    store.jobs.on_cancel(lambda id: None)
    async with asyncio.timeout(5):
        while not databases.postgres(store).listener.listening:  # noqa: ASYNC110  # nobody is told of it
            await asyncio.sleep(0.01)


# Many servers


async def test_servers_see_what_others_write(postgres_url: str) -> None:
    async with servers(postgres_url, 2) as (one, two):
        await one.conversations.create(conversation(), [item("a")])
        await one.responses.put(response(1))
        await two.responses.put(response(2, previous_response_id=response(1).id, conversation_id="conv_1"))
        await two.conversations.add_items("conv_1", ANN, [item("b")])
        assert len(await one.responses.history(response(2).id, ANN) or []) == 4
        assert await one.conversations.list_items("conv_1", ANN) == [item("a"), item("b")]


async def test_a_job_is_claimed_by_one_server(postgres_url: str) -> None:
    async with servers(postgres_url, 3) as stores:
        await asyncio.gather(*(stores[0].responses.enqueue(response(number), b"{}", []) for number in range(60)))

        async def claim_all(store: Store) -> list[str]:
            claimed = []
            while job := await store.jobs.claim("worker", 0.0, 60.0):
                claimed.append(job.response_id)
            return claimed

        claimed = await asyncio.gather(*(claim_all(store) for store in stores for _ in range(4)))
        assert sorted(id for ids in claimed for id in ids) == sorted(response(number).id for number in range(60))


async def test_items_added_at_once_stay_together(postgres_url: str) -> None:
    async with servers(postgres_url, 3) as stores:
        await stores[0].conversations.create(conversation())
        groups = [[item(f"{number:02}_{place}") for place in range(5)] for number in range(30)]
        adding = (
            stores[number % 3].conversations.add_items("conv_1", ANN, group) for number, group in enumerate(groups)
        )
        assert all(await asyncio.gather(*adding))
        found = await stores[0].conversations.list_items("conv_1", ANN) or []
        together = [found[start : start + 5] for start in range(0, 150, 5)]
        assert sorted(together, key=lambda group: group[0].id) == groups


async def test_responses_that_join_conversations_in_any_order_do_not_block_each_other(postgres_url: str) -> None:
    async with servers(postgres_url, 2) as stores:
        for number in (1, 2, 3):
            await stores[0].conversations.create(conversation(number))
        rows = [response(number, conversation_id=f"conv_{1 + number % 3}") for number in range(120)]
        putting = (
            stores[number % 2].responses.put(row, conversation_items=[item(str(number))])
            for number, row in enumerate([*rows[:60], *reversed(rows[60:])])
        )
        await asyncio.wait_for(asyncio.gather(*putting), 10)
        for number in (1, 2, 3):
            assert len(await stores[1].conversations.list_items(f"conv_{number}", ANN) or []) == 40


async def test_limits_are_shared(postgres_url: str) -> None:
    minute = [Charge(Meter(name="ann/requests", limit=7, window=60.0), 1)]
    month = [Charge(Meter(name="ann/month", limit=100, expires_at=NOW + 99), 1)]
    async with servers(postgres_url, 3) as stores:
        calls = [
            store.limits.charge(charges, NOW) for _ in range(20) for store in stores for charges in (minute, month)
        ]
        answers = await asyncio.gather(*calls)
        assert sum(gcra.fits(minute[0], values[0], NOW) for values in answers[::2]) == 7
        assert sorted(values[0] for values in answers[1::2]) == [float(n) for n in range(60)]


async def test_an_append_holds_the_lease_while_it_writes(postgres_url: str) -> None:
    """Whichever of a claim and the old holder's append comes first, an append under the old fence is not seen after."""
    async with servers(postgres_url, 2) as (old, new):
        for number in range(30):
            row = response(number, background=True)
            await old.responses.enqueue(row, b"{}", [])
            job = await old.jobs.claim("old", 0.0, 10.0, row.id)
            assert job is not None
            _, taken = await asyncio.gather(
                old.jobs.append_events(row.id, job.fence, [event(0)]),
                new.jobs.claim("new", 20.0, 10.0, row.id),
                return_exceptions=True,
            )
            if not isinstance(taken, BaseException) and taken is not None:
                seen = await new.jobs.events(row.id, ANN)
                with pytest.raises(FenceError):
                    await old.jobs.append_events(row.id, job.fence, [event(1)])
                assert await new.jobs.events(row.id, ANN) == seen


# Told by NOTIFY


async def test_a_follower_elsewhere_is_told_at_once(postgres_url: str) -> None:
    async with servers(postgres_url, 2) as (here, there):
        await heard(there)
        row = response(background=True)
        await here.responses.enqueue(row, b"{}", [])
        job = await here.jobs.claim("worker", 0.0, 60.0)
        assert job is not None
        log = EventLog(Beat(here.jobs), row.id, job.fence, 0)
        follower = Follower(there, row.id, ANN, -1, None)
        delays = []
        for number in range(20):
            waiting = asyncio.create_task(follower.next())
            await asyncio.sleep(0.05)
            log.send([Event("response.output_text.delta", b"{}")])
            await log.flush()
            began = time.perf_counter()
            assert [each.sequence_number for each in await asyncio.wait_for(waiting, 20)] == [number]
            delays.append(time.perf_counter() - began)
        assert sorted(delays)[10] < LOOK_INTERVAL / 4, "told, not found by looking"
        log.abandon()


async def test_no_event_is_missed_or_seen_twice(postgres_url: str) -> None:
    async with servers(postgres_url, 2) as (here, there):
        await heard(there)
        row = response(background=True)
        await here.responses.enqueue(row, b"{}", [event(0)])
        job = await here.jobs.claim("worker", 0.0, 60.0)
        assert job is not None

        async def follow() -> list[int]:
            seen: list[int] = []
            follower = Follower(there, row.id, ANN, -1, None)
            while events := await follower.next():
                seen += [each.sequence_number for each in events]
            return seen

        followers = [asyncio.create_task(follow()) for _ in range(5)]
        for number in range(1, 300):
            await here.jobs.append_events(row.id, job.fence, [event(number)])
        await here.jobs.append_events(row.id, job.fence, [LoggedEvent(300, "response.completed", b"{}")])
        assert await asyncio.wait_for(asyncio.gather(*followers), 20) == [list(range(301))] * 5


async def test_only_what_is_followed_is_told(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    hear = Listener._hear

    def overhear(self: Listener, connection: object, process: int, channel: str, payload: str) -> None:
        told.append(payload)
        hear(self, connection, process, channel, payload)

    monkeypatch.setattr(Listener, "_hear", overhear)
    async with servers(postgres_url, 2) as (here, there):
        await heard(there)
        for number in (1, 2):
            await here.responses.enqueue(response(number), b"{}", [])
            assert await here.jobs.claim("worker", 0.0, 60.0)
        assert await there.jobs.wait_for_events(response(2).id, -1, 1.0)
        for number in (1, 2):
            await here.jobs.append_events(response(number).id, 1, [event(0)])
        assert await there.jobs.wait_for_events(response(2).id, -1, 1.0)
        assert told[1:] == [f"events {response(2).id} 0"]


async def test_a_deletion_is_told(postgres_url: str) -> None:
    async with servers(postgres_url, 2) as (here, there):
        await heard(there)
        await here.responses.enqueue(response(background=True), b"{}", [])
        await here.jobs.claim("worker", 0.0, 60.0)
        following = asyncio.create_task(Follower(there, response().id, ANN, -1, None).next())
        await asyncio.sleep(0.1)
        began = time.perf_counter()
        await here.responses.delete(response().id, ANN)
        assert await asyncio.wait_for(following, 20) == ()
        assert time.perf_counter() - began < bound(2)


async def test_a_wish_to_cancel_reaches_all_servers(postgres_url: str) -> None:
    async with servers(postgres_url, 3) as stores:
        cancelled: list[asyncio.Queue[str]] = [asyncio.Queue() for _ in stores]
        for store, queue in zip(stores, cancelled, strict=True):
            await heard(store)
            store.jobs.on_cancel(queue.put_nowait)
        await stores[0].responses.enqueue(response(background=True), b"{}", [])
        began = time.perf_counter()
        assert await stores[1].jobs.cancel(response().id, ANN)
        for queue in cancelled:
            assert await asyncio.wait_for(queue.get(), 20) == response().id
        assert time.perf_counter() - began < bound(2)


async def test_a_lost_listener_is_replaced(postgres: Postgres, postgres_url: str) -> None:
    async with servers(postgres_url, 1) as (store,):
        await heard(store)
        await store.responses.enqueue(response(background=True), b"{}", [])
        await store.jobs.claim("worker", 0.0, 60.0)
        assert await store.jobs.wait_for_events(response().id, -1, 1.0)
        waiting = asyncio.create_task(store.jobs.wait_for_events(response().id, -1, 5.0))
        await asyncio.sleep(0.05)
        await postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT 1'")
        assert await asyncio.wait_for(waiting, 20) is False
        await heard(store)
        assert await store.jobs.wait_for_events(response().id, -1, 1.0)
        waiting = asyncio.create_task(store.jobs.wait_for_events(response().id, -1, 5.0))
        await asyncio.sleep(0.05)
        await store.jobs.append_events(response().id, 1, [event(0)])
        assert await asyncio.wait_for(waiting, 20) is True
