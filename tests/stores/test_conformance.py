"""What every Store promises."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.base import FenceError, Store
from antiphon.stores.log_records import SHOWN_ITEM
from antiphon.stores.records import StoredItem, StoredResponse
from tests.stores.store_chains import arrays

from .samples import ANN, BOB, base, conversation, event, item, response


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


async def test_conversations_are_listed_newest_first_with_first_and_last_items(store: Store) -> None:
    for number in range(5):
        await store.conversations.create(
            conversation(number, owner=ANN if number != 2 else BOB),
            [StoredItem(f"msg_{place}", b'{"n":%d}' % place) for place in range(number)],
        )
    huge = StoredItem("msg_huge", b'"%s"' % (b"x" * SHOWN_ITEM))
    await store.conversations.add_items("conv_1", ANN, [huge])
    listed = await store.conversations.list(ANN)
    assert listed is not None
    shown = [(one.conversation.id, one.items, list(one.first), one.last) for one in listed]
    items = [b'{"n":%d}' % place for place in range(4)]
    assert shown == [
        ("conv_4", 4, items, items[3]),
        ("conv_3", 3, items[:3], items[2]),
        ("conv_1", 2, [items[0], b""], b""),
        ("conv_0", 0, [], b""),
    ]
    everybody = await store.conversations.list(None, after="conv_3", limit=2)
    assert everybody is not None
    assert [(one.conversation.id, one.conversation.owner) for one in everybody] == [("conv_2", BOB), ("conv_1", ANN)]
    assert await store.conversations.list(ANN, after="conv_2") is None
    assert await store.conversations.list(ANN, after="conv_none") is None
    assert await store.conversations.list(ANN, after="conv_0") == []
    assert [await store.conversations.summary(one.conversation.id) for one in everybody] == everybody
    assert await store.conversations.summary("conv_none") is None
