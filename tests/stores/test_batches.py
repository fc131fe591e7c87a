"""What every Store promises about batches."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from antiphon.errors import StoreConflict
from antiphon.stores.base import FenceError, Store
from antiphon.stores.batch_records import BatchCounts, BatchLease, BatchLine, LineOutcome, LineResult, StoredBatch
from antiphon.stores.records import ListPage

from .samples import ANN, BOB, NOW

MOST = 100


def batch(number: int = 1, **fields: object) -> StoredBatch:
    row = StoredBatch(
        id=f"batch_{number}",
        owner=ANN,
        front="openai",
        created_at=int(NOW),
        expires_at=int(NOW) + 86_400,
        details=b'{"endpoint":"/v1/responses"}',
    )
    return replace(row, **fields)


def line(number: int, custom_id: str = "") -> BatchLine:
    return BatchLine(line=number, custom_id=custom_id or f"id\0{number}", start=number * 10, size=10)


def result(number: int, failed: bool = False) -> LineResult:
    body = f"answer {number}".encode()
    return LineResult(line=number, failed=failed, body=body, input_tokens=5, cached_tokens=1, output_tokens=7)


async def held(store: Store, number: int = 1, lines: int = 3) -> BatchLease:
    """Return a batch in progress, with lines, that this worker holds."""
    await store.batches.create(batch(number), MOST)
    lease = await store.batches.claim("here", NOW, 30.0)
    assert lease is not None
    assert await store.batches.add_lines(lease, [line(n) for n in range(1, lines + 1)]) == []
    assert await store.batches.advance(lease, "validating", "in_progress", b'{"model":"m"}', total=lines)
    return lease


async def test_a_batch_comes_back_as_it_was_put(store: Store) -> None:
    made = batch(progress=b'{"a":1}', keep_until=5, cancelling_at=7)
    assert await store.batches.create(made, MOST)
    with pytest.raises(StoreConflict):
        await store.batches.create(made, MOST)
    assert await store.batches.get("batch_1", ANN) == made


async def test_anothers_batch_is_absent(store: Store) -> None:
    await store.batches.create(batch(), MOST)
    assert await store.batches.get("batch_1", BOB) is None
    assert await store.batches.cancel("batch_1", BOB, 5) is None
    assert not await store.batches.delete("batch_1", BOB)
    assert await store.batches.list(BOB, "openai", ListPage()) == []
    assert await store.batches.list(BOB, "openai", ListPage(after="batch_1")) is None
    assert await store.batches.get("batch_1", ANN) == batch()


async def test_an_owner_has_so_many_open_ones(store: Store) -> None:
    assert await store.batches.create(batch(1), 2)
    assert await store.batches.create(batch(2), 2)
    assert not await store.batches.create(batch(3), 2)
    assert await store.batches.create(batch(4, owner=BOB), 2)
    lease = await store.batches.claim("here", NOW, 30.0)
    assert lease is not None
    await store.batches.settle(lease)
    assert await store.batches.create(batch(5), 2)


async def test_lists_are_pages_of_one_front(store: Store) -> None:
    for number in range(1, 6):
        await store.batches.create(batch(number, front="anthropic" if number == 3 else "openai"), MOST)

    async def ids(page: ListPage, front: str = "openai") -> list[str]:
        found = await store.batches.list(ANN, front, page)
        assert found is not None
        return [one.id.removeprefix("batch_") for one in found]

    assert await ids(ListPage()) == ["5", "4", "2", "1"]
    assert await ids(ListPage(limit=2)) == ["5", "4"]
    assert await ids(ListPage(after="batch_4")) == ["2", "1"]
    assert await ids(ListPage(before="batch_2")) == ["5", "4"]
    assert await ids(ListPage(descending=False, after="batch_1", limit=1)) == ["2"]
    assert await ids(ListPage(), "anthropic") == ["3"]


async def test_a_batch_is_held_by_one_worker(store: Store) -> None:
    await store.batches.create(batch(), MOST)
    first = await store.batches.claim("here", NOW, 30.0)
    assert first is not None and (first.batch, first.crashes) == (batch(), 0)
    assert await store.batches.claim("there", NOW + 29, 30.0) is None
    assert await store.batches.heartbeat(first, NOW + 29, 30.0) == "validating"
    assert await store.batches.claim("there", NOW + 58, 30.0) is None
    second = await store.batches.claim("there", NOW + 60, 30.0)
    assert second is not None and second.crashes == 1
    for call in (
        store.batches.heartbeat(first, NOW, 30.0),
        store.batches.release(first),
        store.batches.clear_lines(first),
        store.batches.add_lines(first, [line(1)]),
        store.batches.advance(first, "validating", "in_progress", b"{}"),
        store.batches.begin_line(first),
        store.batches.settle(first),
    ):
        with pytest.raises(FenceError):
            await call
    await store.batches.release(second)
    third = await store.batches.claim("here", NOW + 60, 30.0)
    assert third is not None and third.crashes == 1


async def test_owners_are_passed_over(store: Store) -> None:
    await store.batches.create(batch(1), MOST)
    await store.batches.create(batch(2, owner=BOB), MOST)
    lease = await store.batches.claim("here", NOW, 30.0, [ANN])
    assert lease is not None and lease.batch.owner == BOB
    assert await store.batches.claim("here", NOW, 30.0, [ANN, BOB]) is None


async def test_one_of_many_claims_a_batch(store: Store) -> None:
    await store.batches.create(batch(), MOST)
    claims = await asyncio.gather(*(store.batches.claim(str(number), NOW, 30.0) for number in range(8)))
    assert sum(claim is not None for claim in claims) == 1


async def test_lines_are_asked_once_and_in_order(store: Store) -> None:
    lease = await held(store)
    begun = [await store.batches.begin_line(lease) for _ in range(4)]
    assert begun == [replace(line(number), asked=1) for number in (1, 2, 3)] + [None]


async def test_of_equal_ids_the_first_line_counts(store: Store) -> None:
    lease = await held(store)
    taken = await store.batches.add_lines(lease, [line(7, "id\0003"), line(8), line(9, "id\0008")])
    assert taken == [(7, 3), (9, 8)]
    await store.batches.clear_lines(lease)
    assert await store.batches.add_lines(lease, [line(1, "id\0003")]) == []


async def test_lines_without_answers_are_asked_again(store: Store) -> None:
    lease = await held(store)
    for _ in range(2):
        await store.batches.begin_line(lease)
    await store.batches.finish_line(lease, result(1))
    taken = await store.batches.claim("there", NOW + 60, 30.0)  # the worker died
    assert taken is not None
    again = await store.batches.begin_line(taken)
    assert again is not None and (again.line, again.asked) == (2, 2)
    await store.batches.release(taken)  # given back: that does not count as asked
    back = await store.batches.claim("here", NOW + 60, 30.0)
    assert back is not None
    again = await store.batches.begin_line(back)
    assert again is not None and (again.line, again.asked) == (2, 2)


async def test_an_answer_is_kept_and_counted_once(store: Store) -> None:
    lease = await held(store)
    for number, failed in ((1, False), (3, True), (1, True)):
        await store.batches.finish_line(lease, result(number, failed))
    counted = BatchCounts(total=3, completed=1, failed=1, input_tokens=10, cached_tokens=2, output_tokens=14)
    found = await store.batches.get("batch_1", ANN)
    assert found is not None and found.counts == counted
    wanted = [
        LineOutcome(line=1, custom_id="id\0001", answered=True, body=b"answer 1"),
        LineOutcome(line=2, custom_id="id\0002", answered=False),
        LineOutcome(line=3, custom_id="id\0003", answered=True, failed=True, body=b"answer 3"),
    ]
    assert await store.batches.outcomes(lease, 0, 10, 100) == wanted
    assert await store.batches.outcomes(lease, 1, 1, 100) == wanted[1:2]
    assert await store.batches.outcomes(lease, 0, 10, 10) == wanted[:2]
    assert await store.batches.outcomes(lease, 0, 10, 1) == wanted[:1]


async def test_a_status_follows_the_expected_one(store: Store) -> None:
    lease = await held(store)
    cancelled = await store.batches.cancel("batch_1", ANN, 77)
    assert cancelled is not None and (cancelled.status, cancelled.cancelling_at) == ("cancelling", 77)
    again = await store.batches.cancel("batch_1", ANN, 78)
    assert again is not None and again.cancelling_at == 77
    assert await store.batches.heartbeat(lease, NOW, 30.0) == "cancelling"
    assert not await store.batches.advance(lease, "in_progress", "finalizing", b"{}")
    assert await store.batches.advance(lease, "cancelling", "cancelled", b'{"b":2}', keep_until=99)
    found = await store.batches.get("batch_1", ANN)
    assert found is not None
    assert (found.status, found.progress, found.keep_until, found.counts.total) == ("cancelled", b'{"b":2}', 99, 3)
    ended = await store.batches.cancel("batch_1", ANN, 100)
    assert ended is not None and ended.status == "cancelled"


async def test_a_settled_batch_is_left_alone_and_expires(store: Store) -> None:
    lease = await held(store, lines=1000)
    await store.batches.advance(lease, "in_progress", "completed", b"{}", keep_until=int(NOW) + 100)
    await store.database.purge(int(NOW) + 200)
    assert await store.batches.get("batch_1", ANN) is not None, "its lines are still there"
    await store.batches.settle(lease)
    assert await store.batches.claim("there", NOW + 1000, 30.0) is None
    await store.database.purge(int(NOW) + 99)
    assert await store.batches.get("batch_1", ANN) is not None
    await store.database.purge(int(NOW) + 100)
    assert await store.batches.get("batch_1", ANN) is None


async def test_a_deleted_batch_is_gone_with_its_lines(store: Store) -> None:
    lease = await held(store)
    assert await store.batches.delete("batch_1", ANN)
    assert not await store.batches.delete("batch_1", ANN)
    with pytest.raises(FenceError):
        await store.batches.begin_line(lease)
