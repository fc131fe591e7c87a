"""Background jobs in every store: claims, leases, events; what is deleted from time to time."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.errors import StoreConflict
from antiphon.stores.base import FenceError, Store
from antiphon.stores.records import EventBatch, LoggedEvent
from tests.stores.store_chains import arrays

from .samples import ANN, base, event, response

# Background


async def test_the_life_of_a_job(store: Store) -> None:
    queued = response(status="queued", background=True)
    await store.responses.enqueue(queued, b'{"input":"x"}', [event(0), event(1)])
    assert await store.responses.get(queued.id, ANN) == queued
    job = await store.jobs.claim("worker", 100.0, 10.0)
    assert job is not None
    assert (job.response_id, job.owner, job.request) == (queued.id, ANN, b'{"input":"x"}')
    assert (job.fence, job.attempts, job.cancelled) == (1, 1, False)
    await store.jobs.append_events(queued.id, job.fence, [event(2), event(3)], b'{"turn":1}')
    assert await store.jobs.checkpoint(queued.id) == b'{"turn":1}'
    await store.jobs.append_events(queued.id, job.fence, [], b'{"turn":2}')
    assert await store.jobs.checkpoint(queued.id) == b'{"turn":2}'
    done = response(background=True)
    await store.responses.put(done, fence=job.fence)
    await store.jobs.finish(queued.id, job.fence)
    assert await store.jobs.claim("worker", 1e9, 10.0) is None
    assert await store.jobs.checkpoint(queued.id) is None
    assert await store.responses.get(queued.id, ANN) == done
    assert await store.jobs.events(queued.id, ANN) == [event(number) for number in range(4)]
    with pytest.raises(FenceError):
        await store.responses.put(done, fence=job.fence)


async def test_jobs_are_claimed_in_order_and_once(store: Store) -> None:
    for number in (3, 1, 2):
        await store.responses.enqueue(response(number), b"{}", [])
    claimed = [await store.jobs.claim("worker", 0.0, 10.0) for _ in range(4)]
    assert [job and job.response_id for job in claimed] == [response(3).id, response(1).id, response(2).id, None]


async def test_a_job_is_claimed_by_id(store: Store) -> None:
    for number in (1, 2):
        await store.responses.enqueue(response(number), b"{}", [])
    job = await store.jobs.claim("worker", 0.0, 10.0, response(2).id)
    assert job is not None and job.response_id == response(2).id
    assert await store.jobs.claim("other", 5.0, 10.0, response(2).id) is None
    assert await store.jobs.claim("other", 5.0, 10.0, "resp_unknown") is None


async def test_owners_are_passed_over(store: Store) -> None:
    for number in (1, 2):
        await store.responses.enqueue(response(number), b"{}", [])
    await store.responses.enqueue(response(3, owner="bob"), b"{}", [])
    job = await store.jobs.claim("worker", 0.0, 10.0, without=[ANN, "o'\0nobody"])
    assert job is not None and job.owner == "bob"
    assert await store.jobs.claim("worker", 0.0, 10.0, without=[ANN]) is None
    assert await store.jobs.claim("worker", 0.0, 10.0, response(1).id, without=[ANN]) is None
    assert await store.jobs.claim("worker", 20.0, 10.0, without=["bob"]) is not None


async def test_jobs_with_time_come_behind_those_that_are_due(store: Store) -> None:
    for number, due in ((1, 300.0), (2, 200.0), (3, 40.0), (4, 20.0)):
        await store.responses.enqueue(response(number), b"{}", [], due=due)
    dead = await store.responses.enqueue(response(5), b"{}", [], worker="dead", lease_until=1.0, due=30.0)
    assert dead is not None
    for only, wanted in (
        ({"clean": True, "due": True}, 4),
        ({"clean": True, "busy": [ANN]}, 3),
        ({"clean": True, "due": True}, None),
        ({"clean": True, "busy": [ANN]}, None),
        ({"busy": ["bob"]}, 5),  # it is due: one that crashed comes before those that have time
        ({"due": True}, None),
        ({"busy": [ANN]}, None),
        ({"busy": ["bob"]}, 2),
        ({}, 1),
        ({}, None),
    ):
        job = await store.jobs.claim("worker", 100.0, 1000.0, **only)  # type: ignore[arg-type]
        assert (job and job.response_id) == (wanted and response(wanted).id), (only, wanted)


async def test_what_has_waited_long_enough_is_as_others(store: Store) -> None:
    for number, due in ((1, 300.0), (2, 100.0), (3, 310.0)):
        await store.responses.enqueue(response(number), b"{}", [], due=due)
    claimed = [await store.jobs.claim("worker", 305.0, 10.0, due=True) for _ in range(3)]
    assert [job and job.response_id for job in claimed] == [response(2).id, response(1).id, None]


async def test_a_job_is_claimed_as_it_is_enqueued(store: Store) -> None:
    job = await store.responses.enqueue(response(background=True), b"{}", [event(0)], worker="mine", lease_until=50.0)
    assert job is not None
    assert (job.response_id, job.owner, job.request, job.fence, job.attempts) == (response().id, ANN, b"{}", 1, 1)
    assert await store.jobs.claim("other", 49.0, 10.0) is None
    assert await store.jobs.heartbeat(response().id, job.fence, 45.0, 10.0) is False
    taken = await store.jobs.claim("other", 55.0, 10.0)
    assert taken is not None and (taken.fence, taken.attempts) == (2, 2)
    assert await store.responses.enqueue(response(2), b"{}", []) is None


async def test_a_job_is_enqueued_once(store: Store) -> None:
    await store.responses.enqueue(response(), b"{}", [event(0)])
    with pytest.raises(StoreConflict):
        await store.responses.enqueue(response(text="again"), b"{}", [event(0)])
    assert await store.responses.get(response().id, ANN) == response()


async def test_a_lost_lease_changes_nothing(store: Store) -> None:
    row = response(background=True)
    await store.responses.enqueue(row, b"{}", [event(0)])
    old = await store.jobs.claim("dead", 0.0, 10.0)
    assert old is not None
    assert await store.jobs.heartbeat(row.id, old.fence, 5.0, 10.0) is False
    assert await store.jobs.claim("other", 14.9, 10.0) is None
    new = await store.jobs.claim("other", 15.0, 10.0)
    assert new is not None and (new.fence, new.attempts) == (2, 2)
    for attempt in (
        store.jobs.heartbeat(row.id, old.fence, 16.0, 10.0),
        store.jobs.append_events(row.id, old.fence, [event(1)], b"{}"),
        store.responses.put(response(text="late"), fence=old.fence),
        store.jobs.finish(row.id, old.fence),
    ):
        with pytest.raises(FenceError):
            await attempt
    assert await store.responses.get(row.id, ANN) == row
    assert await store.jobs.events(row.id, ANN) == [event(0)]
    assert await store.jobs.checkpoint(row.id) is None
    await store.jobs.append_events(row.id, new.fence, [event(1)])


async def test_a_job_whose_holder_fell_silent_is_told_from_one_that_was_given_back(store: Store) -> None:
    row = response(background=True)
    job = await store.responses.enqueue(row, b"{}", [event(0)], worker="first", lease_until=10.0)
    assert job is not None and job.crashes == 0
    await store.jobs.release(row.id, job.fence)
    given = await store.jobs.claim("second", 1.0, 10.0)
    assert given is not None and (given.fence, given.attempts, given.crashes) == (2, 2, 0)
    with pytest.raises(FenceError):
        await store.jobs.release(row.id, job.fence)
    await store.jobs.heartbeat(row.id, given.fence, 10.0, 10.0)
    assert await store.jobs.claim("third", 19.0, 10.0) is None
    silent = await store.jobs.claim("third", 20.0, 10.0)
    assert silent is not None and (silent.attempts, silent.crashes) == (3, 1)
    await store.jobs.release(row.id, silent.fence)
    again = await store.jobs.claim("fourth", 21.0, 10.0)
    assert again is not None and (again.attempts, again.crashes) == (4, 1), "giving it back does not wipe out the crash"
    last = await store.jobs.claim("fifth", 40.0, 10.0)
    assert last is not None and (last.attempts, last.crashes) == (5, 2)


async def test_clean_jobs_are_claimed_before_the_others_and_alone(store: Store) -> None:
    for number in (1, 2, 3, 4):
        await store.responses.enqueue(response(number), b"{}", [], worker="dead", lease_until=10.0)
    job = await store.jobs.claim("dead", 20.0, 10.0, response(2).id)  # one crash, given back
    assert job is not None and job.crashes == 1
    await store.jobs.release(response(2).id, job.fence)
    await store.jobs.release(response(3).id, 1)
    await store.responses.enqueue(response(5), b"{}", [])
    order = [await store.jobs.claim("alive", 20.0, 10.0, clean=True) for _ in range(3)]
    assert [one and one.response_id for one in order] == [response(3).id, response(5).id, None]
    assert await store.jobs.claim("alive", 20.0, 10.0, response(1).id, clean=True) is None
    order = [await store.jobs.claim("alive", 20.0, 10.0) for _ in range(4)]
    assert [one and (one.response_id, one.crashes) for one in order] == [
        (response(1).id, 1),
        (response(2).id, 1),
        (response(4).id, 1),
        None,
    ]


async def test_cancellation(store: Store) -> None:
    row = response(background=True)
    assert not await store.jobs.cancel(row.id, ANN)
    await store.responses.enqueue(row, b"{}", [])
    job = await store.jobs.claim("worker", 0.0, 10.0)
    assert job is not None
    assert await store.jobs.cancel(row.id, ANN)
    assert await store.jobs.cancel(row.id, ANN)
    assert await store.jobs.heartbeat(row.id, job.fence, 1.0, 10.0) is True
    again = await store.jobs.claim("worker", 20.0, 10.0)
    assert again is not None and again.cancelled


async def test_events_come_back_byte_for_byte(store: Store) -> None:
    row = response(background=True)
    job = await store.responses.enqueue(row, b"{}", [event(0)], worker="w", lease_until=50.0)
    assert job is not None
    odd = [LoggedEvent(n, "t", body) for n, body in enumerate((b"{}", '{"ä":\n"\\ud800"}'.encode(), b'{"a":"\\n"}'), 1)]
    await store.jobs.append_events(row.id, job.fence, odd[:2])
    await store.jobs.append_batches([EventBatch(row.id, job.fence, odd[2:])])
    assert list(await store.jobs.events(row.id, ANN)) == [event(0), *odd]


async def test_events_are_read_from_any_number(store: Store) -> None:
    row = response(background=True)
    await store.responses.enqueue(row, b"{}", [event(number) for number in range(50)])
    numbers = [each.sequence_number for each in await store.jobs.events(row.id, ANN, after=9, limit=5)]
    assert numbers == [10, 11, 12, 13, 14]
    assert await store.jobs.events(row.id, ANN, after=48) == [event(49)]
    assert await store.jobs.events(row.id, ANN, after=49) == []
    assert await store.jobs.events("resp_unknown", ANN) == []


async def test_event_numbers_rise(store: Store) -> None:
    row = response(background=True)
    await store.responses.enqueue(row, b"{}", [event(0), event(1)])
    job = await store.jobs.claim("worker", 0.0, 10.0)
    assert job is not None
    for wrong in ([event(1)], [event(2), event(2)], [event(3), event(2)]):
        with pytest.raises(StoreConflict):
            await store.jobs.append_events(row.id, job.fence, wrong, b"{}")
    assert await store.jobs.events(row.id, ANN) == [event(0), event(1)]
    assert await store.jobs.checkpoint(row.id) is None


async def test_deleting_a_response_ends_its_job(store: Store) -> None:
    row = response(background=True)
    await store.responses.enqueue(row, b"{}", [event(0)])
    job = await store.jobs.claim("worker", 0.0, 10.0)
    assert job is not None
    await store.jobs.append_events(row.id, job.fence, [], b"{}")
    assert await store.responses.delete(row.id, ANN)
    assert await store.jobs.events(row.id, ANN) == []
    assert await store.jobs.checkpoint(row.id) is None
    assert await store.jobs.claim("worker", 1e9, 10.0) is None
    with pytest.raises(FenceError):
        await store.jobs.append_events(row.id, job.fence, [event(1)])


async def test_batches_of_several_logs_stand_each_for_itself(store: Store) -> None:
    rows = [response(number, background=True) for number in range(3)]
    fences = []
    for row in rows:
        await store.responses.enqueue(row, b"{}", [event(0)])
        job = await store.jobs.claim("worker", 0.0, 60.0)
        assert job is not None
        fences.append(job.fence)
    refusals = await store.jobs.append_batches(
        [
            EventBatch(rows[0].id, fences[0], [event(1), event(2)]),
            EventBatch(rows[1].id, fences[1] + 1, [event(1)]),
            EventBatch(rows[2].id, fences[2], [event(1), event(1)]),
        ]
    )
    assert [type(refusal) for refusal in refusals] == [type(None), FenceError, StoreConflict]
    logged = [[one.sequence_number for one in await store.jobs.events(row.id, row.owner)] for row in rows]
    assert logged == [[0, 1, 2], [0], [0]]
    assert await store.jobs.append_batches([]) == []


# Upkeep


async def test_purge(store: Store) -> None:
    await store.responses.put(response(1))
    await store.responses.put(response(2, expires_at=100, foreign_ids={"x": 0}))
    await store.responses.put(response(3, expires_at=101, previous_response_id=response(2).id))
    await store.responses.enqueue(response(4, expires_at=50, background=True), b"{}", [event(0)])
    assert await store.database.purge(49) == 0
    assert await store.database.purge(100) == 2
    assert await store.responses.get(response(2).id, ANN) is None
    assert await store.responses.items(["x", f"msg_{base(2)}0000"], ANN) == {}
    assert await store.jobs.claim("worker", 0.0, 1.0) is None
    assert await store.jobs.events(response(4).id, ANN) == []
    assert await store.responses.history(response(3).id, ANN) == arrays(response(3))
    assert await store.responses.get(response(1).id, ANN) == response(1)


async def test_purge_of_many(store: Store) -> None:
    await asyncio.gather(*(store.responses.put(response(number, expires_at=number)) for number in range(1200)))
    assert await store.database.purge(1099) == 1100
    assert await store.database.purge(5000) == 100


async def test_close_finishes_what_waits(store: Store) -> None:
    pending = [asyncio.ensure_future(store.responses.put(response(number))) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*pending)


async def test_events_expire_before_their_response(store: Store) -> None:
    """Those of one that was finished with a time; not those that stay with their response, nor of one that has gone."""
    numbers = (1, 2, 3, 4)
    for number in numbers:
        row = response(number, background=True)
        job = await store.responses.enqueue(row, b"{}", [event(0), event(1)], worker="w", lease_until=1e10)
        assert job is not None
        await store.jobs.finish(row.id, job.fence, {1: 5000, 2: 9000, 4: 5000}.get(number))
    assert await store.responses.delete(response(4).id, ANN)
    assert await store.database.purge(5000) == 1
    assert [len(await store.jobs.events(response(number).id, ANN)) for number in numbers] == [0, 2, 2, 0]
    assert await store.database.purge(5000) == 0
    again = response(1, background=True)
    assert await store.responses.get(again.id, ANN) == again, "the response stays"
    assert await store.database.purge(10_000) == 1
    assert await store.responses.delete(response(2).id, ANN)
