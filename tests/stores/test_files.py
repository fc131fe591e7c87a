"""What every Store promises about uploaded files and about deliveries to webhooks."""

from __future__ import annotations

import asyncio
import random

import pytest

from antiphon.errors import StoreConflict, StoreUnknown
from antiphon.stores.base import Store, whole_file
from antiphon.stores.open import open_memory
from antiphon.stores.records import FILE_ROW, FileUsage

from .samples import ANN, BOB, NOW, delivery, file

# Files


async def test_a_file_comes_back_as_it_was_put(store: Store) -> None:
    content = bytes(range(256)) * 4096
    await store.files.put(file(), content)
    assert await store.files.get("file_001", ANN, NOW) == file()
    assert await store.files.content("file_001", ANN, NOW) == content
    with pytest.raises(StoreConflict):
        await store.files.put(file(), b"other")
    assert await store.files.content("file_001", ANN, NOW) == content


async def test_a_deleted_file_is_gone(store: Store) -> None:
    await store.files.put(file(), b"abc")
    assert await store.files.delete("file_001", ANN)
    assert await store.files.get("file_001", ANN, NOW) is None
    assert await store.files.content("file_001", ANN, NOW) is None
    assert await store.files.list(ANN, NOW) == []
    assert not await store.files.delete("file_001", ANN)


async def test_anothers_file_is_absent(store: Store) -> None:
    await store.files.put(file(), b"abc")
    assert await store.files.get("file_001", BOB, NOW) is None
    assert await store.files.content("file_001", BOB, NOW) is None
    assert await store.files.list(BOB, NOW) == []
    assert await store.files.list(BOB, NOW, after="file_001") is None
    assert not await store.files.delete("file_001", BOB)
    assert await store.files.get("file_001", ANN, NOW) == file()


async def test_files_in_pages(store: Store) -> None:
    for number in range(30):
        await store.files.put(file(number, purpose="vision" if number % 3 == 0 else "user_data"), b"abc")
    await store.files.put(file(99, owner=BOB), b"abc")

    async def page(**arguments: object) -> list[int] | None:
        found = await store.files.list(ANN, NOW, **arguments)  # type: ignore[arg-type]
        return None if found is None else [int(each.id[5:]) for each in found]

    assert await page() == list(range(30))
    assert await page(limit=2) == [0, 1]
    assert await page(after="file_004", limit=3) == [5, 6, 7]
    assert await page(descending=True, limit=2) == [29, 28]
    assert await page(descending=True, after="file_003") == [2, 1, 0]
    assert await page(purpose="vision", after="file_004", limit=2) == [6, 9]
    assert await page(after="file_029") == []
    assert await page(after="file_099") is None


async def test_an_expired_file_is_absent_and_purged(store: Store) -> None:
    await store.files.put(file(1, expires_at=int(NOW) + 10), b"abc")
    await store.files.put(file(2), b"abc")
    assert await store.files.get("file_001", ANN, NOW + 9) == file(1, expires_at=int(NOW) + 10)
    assert await store.files.get("file_001", ANN, NOW + 10) is None
    assert await store.files.content("file_001", ANN, NOW + 10) is None
    assert await store.files.list(ANN, NOW + 10) == [file(2)]
    assert await store.database.purge(int(NOW) + 9) == 0
    assert await store.database.purge(int(NOW) + 10) == 1
    assert await store.files.list(ANN, NOW) == [file(2)]


def rows_of(content: bytes) -> list[bytes]:
    return [content[place : place + FILE_ROW] for place in range(0, len(content), FILE_ROW)]


async def content_of(store: Store, *rows: bytes, owner: str = ANN, expires_at: int = int(NOW) + 3600) -> int:
    """Write a content; return its number."""
    content = await store.files.begin(owner, expires_at)
    size = 0
    for row in rows:
        await store.files.append(content, size, row)
        size += len(row)
    return content


async def test_a_file_of_many_rows_is_read_from_any_byte_on(store: Store) -> None:
    first, second, third = random.Random(1).randbytes(3 * FILE_ROW + 17), b"x" * 5, random.Random(2).randbytes(FILE_ROW)
    whole = first + second + third
    contents = [await content_of(store, *rows_of(part)) for part in (first, second, third)]
    assert await store.files.row(contents[0], FILE_ROW + 3) == first[FILE_ROW + 3 : 2 * FILE_ROW]
    assert await store.files.usage(ANN) == FileUsage(0, len(whole))
    assert await store.files.list(ANN, NOW) == []
    made = file(size=len(whole))
    await store.files.finish(made, contents)
    assert await store.files.get(made.id, ANN, NOW) == made
    assert await whole_file(store.files, made, NOW) == whole
    for start in (
        0,
        1,
        FILE_ROW - 1,
        FILE_ROW,
        len(first) - 1,
        len(first),
        len(first) + 4,
        len(first) + 5,
        len(whole) - 1,
    ):
        piece = await store.files.content(made.id, ANN, NOW, start)
        assert piece and len(piece) <= FILE_ROW and whole[start : start + len(piece)] == piece
    assert await store.files.content(made.id, ANN, NOW, len(whole)) == b""
    assert await store.files.content(made.id, BOB, NOW, 0) is None
    assert await store.files.usage(ANN) == FileUsage(1, len(whole))
    assert await store.files.delete(made.id, ANN)
    assert await store.files.content(made.id, ANN, NOW, 0) is None
    assert await store.files.usage(ANN) == FileUsage(0, 0)
    assert [await store.files.row(content, 0) for content in contents] == [b"", b"", b""]


async def test_a_file_of_one_row_is_read_from_any_byte_on(store: Store) -> None:
    await store.files.put(file(size=6), b"abcdef")
    assert [await store.files.content("file_001", ANN, NOW, start) for start in (0, 2, 6)] == [b"abcdef", b"cdef", b""]
    await store.files.put(file(2, size=0), b"")
    assert await whole_file(store.files, file(2, size=0), NOW) == b""


async def test_contents_that_become_no_file_are_dropped_or_expire(store: Store) -> None:
    dropped, old, new = [await content_of(store, b"x" * 10, expires_at=int(NOW) + n) for n in (900, 10, 20)]
    await store.files.drop([dropped])
    assert await store.files.row(dropped, 0) == b""
    with pytest.raises(StoreUnknown):
        await store.files.append(dropped, 10, b"more")
    assert await store.database.purge(int(NOW) + 10) == 0
    assert await store.files.usage(ANN) == FileUsage(0, 10)
    with pytest.raises(StoreUnknown):
        await store.files.finish(file(), [new, old])
    assert await store.files.list(ANN, NOW) == []
    await store.files.finish(file(size=10), [new])
    with pytest.raises(StoreUnknown):
        await store.files.finish(file(2), [new])
    await store.files.drop([new])
    assert await store.database.purge(int(NOW) + 900) == 0
    assert await store.files.content("file_001", ANN, NOW) == b"x" * 10


async def test_an_expired_file_takes_its_rows_along(store: Store) -> None:
    content = await content_of(store, *[b"x" * 100] * 70)
    await store.files.finish(file(size=7000, expires_at=int(NOW) + 10), [content])
    assert await store.database.purge(int(NOW) + 10) == 1
    assert await store.files.usage(ANN) == FileUsage(0, 0)
    assert await store.files.row(content, 0) == b""


async def test_a_file_with_a_taken_id_changes_nothing(store: Store) -> None:
    await store.files.put(file(), b"abc")
    content = await content_of(store, b"other")
    with pytest.raises(StoreConflict):
        await store.files.finish(file(), [content])
    assert await store.files.content("file_001", ANN, NOW) == b"abc"
    assert await store.files.row(content, 0) == b"other"


async def test_the_memory_store_drops_the_oldest_files() -> None:
    store = open_memory(max_file_bytes=100)
    for number in range(3):
        await store.files.put(file(number), b"x" * 40)
    assert await store.files.list(ANN, NOW) == [file(1), file(2)]
    await store.files.put(file(3), b"x" * 500)
    assert await store.files.list(ANN, NOW) == [file(3)]


# Deliveries


async def test_deliveries_are_claimed_as_they_are_due(store: Store) -> None:
    assert await store.deliveries.next_due() is None
    await store.deliveries.put([delivery(1, due=12.0), delivery(2, due=11.0)])
    assert await store.deliveries.next_due() == 11.0
    assert await store.deliveries.claim(10.9, 60.0) is None
    first = await store.deliveries.claim(20.0, 60.0)
    second = await store.deliveries.claim(20.0, 60.0)
    assert first is not None and (first.id, first.url, first.owner, first.body) == (
        "evt_2",
        "http://a/",
        ANN,
        b'{"n":2}',
    )
    assert (first.attempts, first.due) == (1, 80.0)
    assert second is not None and second.id == "evt_1"
    assert await store.deliveries.claim(79.9, 60.0) is None
    again = await store.deliveries.claim(80.0, 60.0)
    assert again is not None and again.attempts == 2


async def test_a_delivery_waits_once(store: Store) -> None:
    await store.deliveries.put([delivery(), delivery(url="http://b/")])
    await store.deliveries.put([delivery(due=0.0)])
    claimed = [await store.deliveries.claim(10.0, 60.0) for _ in range(3)]
    assert {each.url for each in claimed if each} == {"http://a/", "http://b/"} and claimed[2] is None


async def test_deliveries_are_postponed_and_finished(store: Store) -> None:
    await store.deliveries.put([delivery(), delivery(url="http://b/", due=50.0)])
    await store.deliveries.postpone("evt_1", "http://a/", 40.0)
    assert await store.deliveries.next_due() == 40.0
    await store.deliveries.finish("evt_1", "http://a/")
    assert await store.deliveries.next_due() == 50.0
    await store.deliveries.finish("evt_1", "http://a/")
    await store.deliveries.postpone("evt_1", "http://a/", 1.0)
    assert await store.deliveries.next_due() == 50.0


async def test_a_delivery_is_claimed_by_one_of_many(store: Store) -> None:
    await store.deliveries.put([delivery(number) for number in range(5)])
    claimed = await asyncio.gather(*(store.deliveries.claim(10.0, 60.0) for _ in range(20)))
    assert sorted(each.id for each in claimed if each) == [f"evt_{number}" for number in range(5)]
