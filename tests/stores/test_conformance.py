"""What every Store promises."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from antiphon.core.tools.call_thoughts import thoughts_id
from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.base import FenceError, Store
from antiphon.stores.records import EventBatch, LoggedEvent, StoredResponse

from .samples import ANN, BOB, base, conversation, event, item, response


def arrays(*responses: StoredResponse) -> Sequence[bytes]:
    return [part for each in responses for part in (each.input, each.output)]


async def chain(store: Store, *numbers: int, behind: str | None = None) -> list[StoredResponse]:
    """Put responses, each behind the one before."""
    rows = []
    for number in numbers:
        rows.append(response(number, previous_response_id=behind))
        await store.responses.put(rows[-1])
        behind = rows[-1].id
    return rows


# Responses


async def test_a_response_comes_back_as_it_was_put(store: Store) -> None:
    full = response(
        previous_response_id="resp_gone",
        conversation_id="conv_gone",
        expires_at=1_900_000_000,
        background=True,
        foreign_ids={"msg_theirs": 0},
        status="incomplete",
    )
    await store.responses.put(full)
    assert await store.responses.get(full.id, ANN) == full
    plain = response(2)
    await store.responses.put(plain)
    assert await store.responses.get(plain.id, ANN) == plain


async def test_bytes_that_are_not_text_survive(store: Store) -> None:
    odd = response(body=b'{"output":[]}\x00\xff', output_span=(10, 12), input=b"[]\x00")
    await store.responses.put(odd)
    assert await store.responses.get(odd.id, ANN) == odd


async def test_a_foreign_owner_sees_and_does_nothing(store: Store) -> None:
    mine = response(foreign_ids={"theirs": 0})
    await store.responses.enqueue(mine, b"{}", [event(0)])
    assert await store.responses.get(mine.id, BOB) is None
    assert await store.responses.history(mine.id, BOB) is None
    assert await store.responses.items([f"msg_{base(1)}0000", f"msg_{base(1)}i0000", "theirs"], BOB) == {}
    assert await store.jobs.events(mine.id, BOB) == []
    assert not await store.jobs.cancel(mine.id, BOB)
    assert not await store.responses.delete(mine.id, BOB)
    with pytest.raises(StoreConflict):
        await store.responses.put(response(owner=BOB, text="stolen"))
    assert await store.responses.get(mine.id, ANN) == mine


async def test_put_replaces(store: Store) -> None:
    await store.responses.put(response(text="old", outputs=1, status="in_progress"))
    new = response(text="new", outputs=3)
    await store.responses.put(new)
    assert await store.responses.get(new.id, ANN) == new
    assert await store.responses.history(new.id, ANN) == arrays(new)


async def test_delete(store: Store) -> None:
    row = response()
    assert not await store.responses.delete(row.id, ANN)
    await store.responses.put(row)
    assert await store.responses.delete(row.id, ANN)
    assert await store.responses.get(row.id, ANN) is None
    assert await store.responses.items([f"msg_{base(1)}0000"], ANN) == {}
    assert not await store.responses.delete(row.id, ANN)


async def test_many_writers_at_once(store: Store) -> None:
    rows = [response(number) for number in range(500)]
    await asyncio.gather(*(store.responses.put(row) for row in rows))
    assert [await store.responses.get(row.id, ANN) for row in rows] == rows


async def test_one_failure_leaves_the_others_alone(store: Store) -> None:
    """The failing ones fail before and after they have written something."""
    await store.conversations.create(conversation())
    await store.responses.put(response(100, owner=BOB))
    torn = response(100, conversation_id="conv_1")  # another owner's id
    lost = response(101, conversation_id="conv_unknown")
    outcomes = await asyncio.gather(
        store.responses.put(response(1)),
        store.responses.put(torn, conversation_items=[item("torn")]),
        store.responses.put(lost, conversation_items=[item("lost")]),
        store.responses.put(response(102), fence=7),
        store.responses.put(response(2)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), StoreConflict, StoreUnknown, FenceError, type(None)]
    assert await store.responses.get(response(1).id, ANN) and await store.responses.get(response(2).id, ANN)
    assert await store.responses.get(lost.id, ANN) is None
    assert await store.conversations.list_items("conv_1", ANN) == []


async def test_a_cancelled_caller_disturbs_nobody(store: Store) -> None:
    impatient = asyncio.ensure_future(store.responses.put(response(1)))
    await asyncio.sleep(0)
    impatient.cancel()
    await store.responses.put(response(2))
    assert await store.responses.get(response(2).id, ANN)


# History


async def test_history_is_the_chain_oldest_first(store: Store) -> None:
    rows = await chain(store, *range(40))
    assert await store.responses.history(rows[-1].id, ANN) == arrays(*rows)
    assert await store.responses.history(rows[20].id, ANN) == arrays(*rows[:21])
    assert await store.responses.history(rows[0].id, ANN) == arrays(rows[0])


async def test_history_of_an_unknown_response(store: Store) -> None:
    assert await store.responses.history("resp_unknown", ANN) is None


async def test_forks_share_what_came_before(store: Store) -> None:
    trunk = await chain(store, 0, 1, 2, 3)
    left = await chain(store, 10, 11, behind=trunk[1].id)
    right = await chain(store, 20, behind=trunk[1].id)
    twig = await chain(store, 30, 31, behind=left[0].id)
    assert await store.responses.history(trunk[3].id, ANN) == arrays(*trunk)
    assert await store.responses.history(left[1].id, ANN) == arrays(*trunk[:2], *left)
    assert await store.responses.history(right[0].id, ANN) == arrays(*trunk[:2], *right)
    assert await store.responses.history(twig[1].id, ANN) == arrays(*trunk[:2], left[0], *twig)


async def test_forks_made_at_once(store: Store) -> None:
    trunk = await chain(store, 0, 1)
    forks = [response(number, previous_response_id=trunk[1].id) for number in range(10, 30)]
    await asyncio.gather(*(store.responses.put(fork) for fork in forks))
    for fork in forks:
        assert await store.responses.history(fork.id, ANN) == arrays(*trunk, fork)


async def test_a_deleted_ancestor_cuts_the_chain(store: Store) -> None:
    rows = await chain(store, *range(5))
    fork = await chain(store, 10, behind=rows[2].id)
    await store.responses.delete(rows[2].id, ANN)
    assert await store.responses.history(rows[4].id, ANN) == arrays(*rows[3:])
    assert await store.responses.history(fork[0].id, ANN) == arrays(*fork)
    assert await store.responses.history(rows[1].id, ANN) == arrays(*rows[:2])


async def test_a_deleted_response_is_not_replaced_by_its_successor_in_place(store: Store) -> None:
    """Neither the children nor the forks of a deleted response may inherit what is written after it."""
    rows = await chain(store, 0, 1, 2)
    fork = await chain(store, 10, behind=rows[2].id)
    await store.responses.delete(rows[2].id, ANN)
    late = await chain(store, 20, 21, behind=rows[1].id)
    assert await store.responses.history(fork[0].id, ANN) == arrays(*fork)
    assert await store.responses.history(late[1].id, ANN) == arrays(rows[0], rows[1], *late)


async def test_numbers_of_vanished_threads_are_not_confused(store: Store) -> None:
    (gone,) = await chain(store, 1)
    await store.responses.delete(gone.id, ANN)
    (stranger,) = await chain(store, 2)
    orphan = await chain(store, 3, behind=gone.id)
    assert await store.responses.history(orphan[0].id, ANN) == arrays(*orphan)
    assert await store.responses.history(stranger.id, ANN) == arrays(stranger)


async def test_anothers_response_is_no_ancestor(store: Store) -> None:
    theirs = response(1, owner=BOB)
    await store.responses.put(theirs)
    (mine,) = await chain(store, 2, behind=theirs.id)
    assert await store.responses.history(mine.id, ANN) == arrays(mine)


async def test_a_replaced_response_keeps_its_place(store: Store) -> None:
    await chain(store, 1, 2, 3)
    second = response(2, text="again", previous_response_id=response(1).id)
    await store.responses.put(second)
    assert (await store.responses.history(response(3).id, ANN) or [])[2:4] == arrays(second)


# Items


async def test_items_by_id_alone(store: Store) -> None:
    row = response(outputs=20, inputs=3)
    await store.responses.put(row)
    wanted = [f"msg_{base(1)}0000", f"msg_{base(1)}0013", f"msg_{base(1)}i0002"]
    assert await store.responses.items(wanted, ANN) == {
        f"msg_{base(1)}0000": f'{{"id":"msg_{base(1)}0000","text":"text of 1 ö 0"}}'.encode(),
        f"msg_{base(1)}0013": f'{{"id":"msg_{base(1)}0013","text":"text of 1 ö 19"}}'.encode(),
        f"msg_{base(1)}i0002": f'{{"id":"msg_{base(1)}i0002","text":"text of 1 ? 2"}}'.encode(),
    }


@pytest.mark.parametrize(
    "id",
    [
        *(f"msg_{base(1)}{end}" for end in ("0001", "i0001", "zzzz", "i", "")),
        *(f"rs_{base(1)}0000", f"msg_{base(2)}0000", "msg_0000", "msg_", "", "_", "i", "x" * 300, "msg_ä"),
        "'; DROP TABLE responses",
    ],
)
async def test_no_such_item(store: Store, id: str) -> None:
    await store.responses.put(response())
    assert await store.responses.items([id], ANN) == {}


async def test_an_id_base_that_ends_like_a_separator(store: Store) -> None:
    name = "a" * 31 + "i"
    row = response(
        id=f"resp_{name}",
        body=b'{"output":[{"id":"msg_%b0000"}]}' % name.encode(),
        output_span=(10, 61),
        input=b'[{"id":"msg_%bi0000"}]' % name.encode(),
    )
    assert row.output == b'[{"id":"msg_%b0000"}]' % name.encode()
    await store.responses.put(row)
    assert len(await store.responses.items([f"msg_{name}0000", f"msg_{name}i0000"], ANN)) == 2


async def test_foreign_ids(store: Store) -> None:
    row = response(
        body=b'{"output":[{"id":"out_0"},{"id":"out_1"}]}',
        output_span=(10, 41),
        input=b'[{"id":"in_0"},{"id":"in_1"}]',
        foreign_ids={"in_1": 1, "out_0": 2, "out_1": 3},
    )
    await store.responses.put(row)
    assert await store.responses.items(["in_1", "out_0", "out_1", "in_0"], ANN) == {
        "in_1": b'{"id":"in_1"}',
        "out_0": b'{"id":"out_0"}',
        "out_1": b'{"id":"out_1"}',
    }


async def test_thoughts_by_call(store: Store) -> None:
    """An id made of a call's finds what stands at its place, whatever id that has; for the owner alone, and no longer than it."""
    id = thoughts_id("call_1", 0)
    row = response(body=b'{"output":[{"id":"rs_1"},{"id":"fc_1"}]}', output_span=(10, 39), foreign_ids={id: 1})
    await store.responses.put(row)
    assert await store.responses.items([id, thoughts_id("call_2", 0)], ANN) == {id: b'{"id":"rs_1"}'}
    assert await store.responses.items([id], BOB) == {}
    await store.responses.delete(row.id, ANN)
    assert await store.responses.items([id], ANN) == {}


async def test_who_has_thoughts_by_call(store: Store) -> None:
    """No thoughts are missed; a store that cannot tell says that everybody has some."""
    unsure = await store.responses.may_have_thoughts("nobody")
    row = response(body=b'{"output":[{"id":"rs_1"}]}', output_span=(10, 25), foreign_ids={thoughts_id("call_1", 0): 0})
    await store.responses.put(row)
    await store.responses.put(row)
    await store.responses.put(response(2, foreign_ids={"theirs": 0}, owner=BOB))
    assert await store.responses.may_have_thoughts(ANN)
    assert await store.responses.may_have_thoughts(BOB) == unsure
    await store.responses.delete(row.id, ANN)
    assert await store.responses.may_have_thoughts(ANN) == unsure


async def test_the_newest_of_a_foreign_id_wins(store: Store) -> None:
    for number in (1, 2, 3):
        await store.responses.put(response(number, input=b'[{"id":"x","n":%d}]' % number, foreign_ids={"x": 0}))
    assert await store.responses.items(["x"], ANN) == {"x": b'{"id":"x","n":3}'}
    await store.responses.put(response(1, input=b'[{"id":"x","n":4}]', foreign_ids={"x": 0}))
    assert await store.responses.items(["x"], ANN) == {"x": b'{"id":"x","n":4}'}
    await store.responses.put(response(1, input=b"[]"))
    assert await store.responses.items(["x"], ANN) == {"x": b'{"id":"x","n":3}'}
    await store.responses.delete(response(3).id, ANN)
    assert await store.responses.items(["x"], ANN) == {"x": b'{"id":"x","n":2}'}
    assert await store.responses.items(["x"], BOB) == {}


async def test_texts_for_the_model_are_kept_beside_the_items(store: Store) -> None:
    first, second = f"ws_{base(1)}0000", f"ws_{base(2)}0001"
    one = response(1, model_texts=b'{"%b":{"text":"seen \xc3\xb6"}}' % first.encode())
    await store.responses.put(one)
    await store.responses.put(response(2, model_texts=b'{"%b":{"text":"two"},"other":{"text":"?"}}' % second.encode()))
    await store.responses.put(response(3))
    assert await store.responses.get(one.id, ANN) == one
    wanted = [first, second, f"ws_{base(3)}0000", f"ws_{base(4)}0000", "nothing of ours", f"ws_{base(1)}0001"]
    assert await store.responses.model_texts(wanted, ANN) == {
        first: '{"text":"seen ö"}'.encode(),
        second: b'{"text":"two"}',
    }
    assert await store.responses.model_texts([first], BOB) == {}
    await store.responses.put(response(1))
    await store.responses.delete(response(2).id, ANN)
    assert await store.responses.model_texts(wanted, ANN) == {}
    assert await store.responses.model_texts([], ANN) == {}


# Conversations


async def test_a_conversation(store: Store) -> None:
    await store.conversations.create(conversation(), [item("a"), item("b")])
    assert await store.conversations.get("conv_1", ANN) == conversation()
    assert await store.conversations.list_items("conv_1", ANN) == [item("a"), item("b")]
    changed = await store.conversations.update("conv_1", ANN, b'{"c":"d"}')
    assert changed is not None and changed.metadata == b'{"c":"d"}'
    assert await store.conversations.get("conv_1", ANN) == changed
    with pytest.raises(StoreConflict):
        await store.conversations.create(conversation())
    assert await store.conversations.delete("conv_1", ANN)
    assert not await store.conversations.delete("conv_1", ANN)
    assert await store.conversations.get("conv_1", ANN) is None
    assert await store.responses.items(["a"], ANN) == {}


async def test_items_of_a_conversation(store: Store) -> None:
    await store.conversations.create(conversation(), [item("a"), item("b")])
    await store.conversations.create(conversation(2), [item("z")])
    assert await store.conversations.add_items("conv_1", ANN, [item("c"), item("a"), item("d")])
    assert await store.conversations.list_items("conv_1", ANN) == [item(name) for name in "abcd"]
    assert await store.conversations.get_item("conv_1", "c", ANN) == item("c")
    assert await store.conversations.get_item("conv_1", "z", ANN) is None
    assert await store.conversations.delete_item("conv_1", "b", ANN)
    assert not await store.conversations.delete_item("conv_1", "b", ANN)
    assert await store.conversations.add_items("conv_1", ANN, [item("b")])
    assert await store.conversations.list_items("conv_1", ANN) == [item(name) for name in "acdb"]
    assert await store.conversations.list_items("conv_2", ANN) == [item("z")]


async def test_pages_of_a_conversation(store: Store) -> None:
    names = [f"item_{number:03}" for number in range(100)]
    await store.conversations.create(conversation(), [item(name) for name in names])

    async def page(**arguments: object) -> list[str] | None:
        items = await store.conversations.list_items("conv_1", ANN, **arguments)  # type: ignore[arg-type]
        return None if items is None else [each.id for each in items]

    assert await page(limit=3) == names[:3]
    assert await page(after="item_002", limit=3) == names[3:6]
    assert await page(after="item_010", limit=60) == names[11:71]
    assert await page(descending=True, limit=2) == ["item_099", "item_098"]
    assert await page(descending=True, after="item_098") == names[97::-1]
    assert await page(after="item_099") == []
    assert await page(limit=0) == []
    assert await page(after="item_100") is None


async def test_anothers_conversation_is_absent(store: Store) -> None:
    await store.conversations.create(conversation(owner=BOB), [item("a")])
    assert await store.conversations.get("conv_1", ANN) is None
    assert await store.conversations.update("conv_1", ANN, b"{}") is None
    assert not await store.conversations.delete("conv_1", ANN)
    assert not await store.conversations.add_items("conv_1", ANN, [item("b")])
    assert await store.conversations.list_items("conv_1", ANN) is None
    assert await store.conversations.get_item("conv_1", "a", ANN) is None
    assert not await store.conversations.delete_item("conv_1", "a", ANN)
    assert await store.responses.items(["a"], ANN) == {}
    assert await store.responses.items(["a"], BOB) == {"a": item("a").body}
    with pytest.raises(StoreUnknown):
        await store.responses.put(response(conversation_id="conv_1"), conversation_items=[item("c")])


async def test_a_response_joins_its_conversation(store: Store) -> None:
    await store.conversations.create(conversation(), [item("a")])
    row = response(conversation_id="conv_1")
    await store.responses.put(row, conversation_items=[item("in"), item("out")])
    assert await store.conversations.list_items("conv_1", ANN) == [item("a"), item("in"), item("out")]
    await store.responses.delete(row.id, ANN)
    assert await store.responses.items(["out"], ANN) == {"out": item("out").body}
    await store.conversations.delete("conv_1", ANN)
    with pytest.raises(StoreUnknown):
        await store.responses.put(response(2, conversation_id="conv_1"), conversation_items=[item("in")])
    assert await store.responses.get(response(2).id, ANN) is None


async def test_an_item_in_two_conversations(store: Store) -> None:
    for number in (1, 2):
        await store.conversations.create(conversation(number), [item("a")])
    assert await store.responses.items(["a"], ANN) == {"a": item("a").body}
    await store.conversations.delete("conv_2", ANN)
    assert await store.responses.items(["a"], ANN) == {"a": item("a").body}


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
