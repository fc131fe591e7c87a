"""The event log of background responses: nothing is seen before its commit, nothing is missed or repeated."""

import asyncio

import pytest

from antiphon.errors import APIError
from antiphon.responses.background.event_log import Beat, EventLog, Follower
from antiphon.stores.base import FenceError
from antiphon.stores.open import open_memory
from antiphon.stores.records import StoredResponse
from antiphon.types.events import Event

ID = "resp_" + "a" * 48


def event(number, type="response.output_text.delta"):
    return Event(type, b'{"sequence_number":%d}' % number)


async def queued(store):
    response = StoredResponse(
        id=ID,
        owner="me",
        model="m",
        status="queued",
        created_at=0,
        body=b'{"output":[]}',
        output_span=(10, 12),
        background=True,
    )
    await store.responses.enqueue(response, b"{}", [])
    return await store.jobs.claim("worker", 0.0, 60.0)


async def collect(follower):
    seen = []
    while events := await follower.next():
        seen += [one.sequence_number for one in events]
    return seen


@pytest.mark.parametrize("after", [-1, 0, 3, 8])
async def test_followers_of_any_place_see_each_event_once(after):
    store = open_memory()
    job = await queued(store)
    log = EventLog(Beat(store.jobs), ID, job.fence, 0)
    follower = asyncio.create_task(collect(Follower(store, ID, "me", after, log)))
    for number in range(9):
        log.send([event(number)])
        await asyncio.sleep(0.005)
    log.send([event(9, "response.completed")])
    await log.close()
    assert await asyncio.wait_for(follower, 20) == list(range(after + 1, 10))
    assert await collect(Follower(store, ID, "me", after, None)) == list(range(after + 1, 10))


async def test_an_event_is_shown_after_its_commit_only():
    store = open_memory()
    job = await queued(store)
    gate = asyncio.Event()
    commit = store.jobs.append_events

    async def held(*args):
        await gate.wait()
        await commit(*args)

    store.jobs.append_events = held
    log = EventLog(Beat(store.jobs), ID, job.fence, 0)
    follower = Follower(store, ID, "me", -1, log)
    log.send([event(0)])
    waiting = asyncio.create_task(follower.next())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    gate.set()
    assert [one.sequence_number for one in await asyncio.wait_for(waiting, 20)] == [0]
    log.abandon()


async def test_a_log_that_the_store_refuses_for_now_waits_and_holds_up_no_other():
    store = open_memory()
    job = await queued(store)
    append = store.jobs.append_events
    away = [True]

    async def sometimes(id, *args):
        if id == ID and away:
            away.pop()
            raise APIError(503, "The store is away.", code="store_unavailable")
        if id == ID:
            await append(id, *args)

    async def batches(given):
        refusals = []
        for batch in given:
            try:
                refusals.append(await sometimes(batch.response_id, batch.fence, batch.events))
            except APIError as error:
                refusals.append(error)
        return refusals

    store.jobs.append_batches = batches
    beat = Beat(store.jobs)
    log, other = EventLog(beat, ID, job.fence, 0), EventLog(beat, "another", 1, 0)
    log.send([event(0)])
    other.send([event(0)])
    await asyncio.wait_for(other.more(0), 20)
    assert [one.sequence_number for one in other.committed] == [0] and log.committed == []
    log.send([event(1)])
    await asyncio.wait_for(log.more(0), 20)
    assert [one.sequence_number for one in log.committed] == [0, 1]
    assert len(other.committed) == 1
    assert [one.sequence_number for one in await store.jobs.events(ID, "me")] == [0, 1]
    for each in (log, other):
        each.abandon()


async def test_a_worker_that_lost_its_lease_writes_nothing_more():
    store = open_memory()
    job = await queued(store)
    log = EventLog(Beat(store.jobs), ID, job.fence, 0)
    log.send([event(0)])
    await log.flush()
    other = await store.jobs.claim("other", 1000.0, 60.0)
    assert other.fence > job.fence
    log.send([event(1)])
    with pytest.raises(FenceError):
        await log.flush()
    with pytest.raises(FenceError):
        await log.drain()
    log.abandon()
    assert [one.sequence_number for one in await store.jobs.events(ID, "me")] == [0]


async def test_a_follower_goes_on_where_another_worker_goes_on():
    store = open_memory()
    job = await queued(store)
    log = EventLog(Beat(store.jobs), ID, job.fence, 0)
    follower = asyncio.create_task(collect(Follower(store, ID, "me", -1, log)))
    log.send([event(0)])
    await log.flush()
    await asyncio.sleep(0.01)
    log.abandon()
    other = await store.jobs.claim("other", 1000.0, 60.0)
    second = EventLog(Beat(store.jobs), ID, other.fence, 1)
    second.send([event(1), event(2, "response.completed")])
    await second.close()
    assert await asyncio.wait_for(follower, 20) == [0, 1, 2]


async def test_a_deleted_response_ends_its_followers():
    store = open_memory()
    await queued(store)
    follower = asyncio.create_task(collect(Follower(store, ID, "me", -1, None)))
    await asyncio.sleep(0.05)
    await store.responses.delete(ID, "me")
    assert await asyncio.wait_for(follower, 20) == []


@pytest.mark.parametrize("after", [9, 12])
async def test_a_follower_behind_the_end_leaves_the_loop_to_others_while_the_log_is_still_found(after):
    """The log has ended, and the run that wrote it is about to be finished: whoever asks for more has to let it."""
    store = open_memory()
    job = await queued(store)
    log = EventLog(Beat(store.jobs), ID, job.fence, 0)
    log.send([event(number) for number in range(9)])
    log.send([event(9, "response.completed")])
    await log.close()
    looks = 0

    def find():
        nonlocal looks
        looks += 1
        assert looks < 100, "it looks again and again, and nothing else runs"
        return log

    follower = asyncio.create_task(Follower(store, ID, "me", after, None, find).next())
    await asyncio.sleep(0.05)
    assert looks < 5
    follower.cancel()
