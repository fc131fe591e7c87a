"""What every Store promises about vector stores: their files, batches, leases, chunks and the search in them."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.core.retrieval.words import query_words, words
from antiphon.errors import StoreConflict
from antiphon.stores.base import FenceError, Store
from antiphon.stores.records import Chunk, FileBatch, FileCounts, Hits, IngestJob, ListPage, VectorFile, VectorStore

from .samples import ANN, BOB, NOW, file

MOST = 1000
START = int(NOW)


def shelf(number: int = 1, owner: str = ANN, **fields: Any) -> VectorStore:
    return VectorStore(id=f"vs_{number:03}", owner=owner, created_at=START, last_active_at=START, name="ä\0", **fields)


def entry(number: int = 1, **fields: Any) -> VectorFile:
    return VectorFile(file_id=f"file_{number:03}", filename=f"ä {number}.txt", created_at=START, **fields)


def chunk(text: str) -> Chunk:
    return Chunk(text, words(text))


async def held(store: Store, now: float = NOW, worker: str = "w") -> IngestJob:
    job = await store.vector_stores.claim(worker, now, 10.0)
    assert job is not None
    return job


async def ingested(store: Store, *texts: str, id: str = "vs_001", number: int = 1, **fields: Any) -> None:
    """Attach a file to a vector store and complete it."""
    assert await store.vector_stores.attach(id, ANN, [entry(number, **fields)], most=MOST)
    await store.vector_stores.complete(await held(store), [chunk(text) for text in texts], most=MOST)


async def found(store: Store, query: str, **arguments: Any) -> Hits:
    return await store.vector_stores.search("vs_001", ANN, query_words(query), arguments.pop("limit", 10), **arguments)


async def texts(store: Store, query: str, **arguments: Any) -> list[str]:
    return [hit.text for hit in (await found(store, query, **arguments)).hits]


# Vector stores


async def test_a_vector_store_comes_back_as_it_was_put(store: Store) -> None:
    made = shelf(expires_days=7, metadata=b'{"a":"b"}', description="what it is")
    await store.vector_stores.create(made)
    assert await store.vector_stores.get("vs_001", ANN, NOW) == made
    assert await store.vector_stores.count(ANN) == 1
    with pytest.raises(StoreConflict):
        await store.vector_stores.create(made)


async def test_a_vector_store_is_changed(store: Store) -> None:
    await store.vector_stores.create(shelf())
    changed = VectorStore(
        id="vs_001",
        owner=ANN,
        created_at=START,
        last_active_at=START + 5,
        name="new",
        metadata=b'{"c":"d"}',
        expires_days=1,
    )
    assert await store.vector_stores.update(changed)
    assert await store.vector_stores.get("vs_001", ANN, NOW) == changed
    await store.vector_stores.touch(["vs_001", "vs_002"], ANN, NOW + 9.5)
    touched = await store.vector_stores.get("vs_001", ANN, NOW)
    assert touched is not None and touched.last_active_at == START + 9


async def test_vector_stores_in_pages(store: Store) -> None:
    for number in range(9):
        await store.vector_stores.create(shelf(number))
    await store.vector_stores.create(shelf(99, owner=BOB))

    async def page(**fields: Any) -> list[int] | None:
        listed = await store.vector_stores.list(ANN, NOW, ListPage(**fields))
        return None if listed is None else [int(one.id[3:]) for one in listed]

    assert await page() == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert await page(descending=False, limit=2) == [0, 1]
    assert await page(after="vs_006", limit=2) == [5, 4]
    assert await page(before="vs_006") == [8, 7]
    assert await page(after="vs_002", before="vs_005", descending=False) == [3, 4]
    assert await page(after="vs_099") is None
    assert await page(before="vs_099") is None


async def test_anothers_vector_store_is_absent(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "some text")
    stores = store.vector_stores
    assert await stores.get("vs_001", BOB, NOW) is None
    assert await stores.list(BOB, NOW, ListPage()) == []
    assert not await stores.update(shelf(owner=BOB))
    assert not await stores.attach("vs_001", BOB, [entry(2)], most=MOST)
    assert await stores.file("vs_001", "file_001", BOB) is None
    assert await stores.files("vs_001", BOB, ListPage()) is None
    assert await stores.set_attributes("vs_001", "file_001", BOB, b"{}") is None
    assert await stores.content("vs_001", "file_001", BOB, 0, 9) == []
    assert dict(await stores.attributes("vs_001", BOB)) == {}
    assert (await stores.search("vs_001", BOB, ["text"], 10)).hits == ()
    assert not await stores.detach("vs_001", "file_001", BOB)
    assert not await stores.delete("vs_001", BOB)
    assert await texts(store, "text") == ["some text"]


async def test_a_deleted_vector_store_leaves_nothing(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "some text")
    assert await store.vector_stores.attach("vs_001", ANN, [entry(2)], most=MOST)
    job = await held(store)
    assert await store.vector_stores.delete("vs_001", ANN)
    assert not await store.vector_stores.delete("vs_001", ANN)
    with pytest.raises(FenceError):
        await store.vector_stores.complete(job, [chunk("late")], most=MOST)
    assert await store.vector_stores.claim("w", NOW + 99, 10.0) is None
    await store.vector_stores.create(shelf())
    assert await texts(store, "text") == []
    assert await store.vector_stores.files("vs_001", ANN, ListPage()) == []


async def test_an_expired_vector_store_is_without_files(store: Store) -> None:
    await store.vector_stores.create(shelf(expires_days=1))
    await ingested(store, "some text")
    day = NOW + 86_400
    before = await store.vector_stores.get("vs_001", ANN, day - 1)
    assert before is not None and before.counts.completed == 1 and before.usage_bytes == 9
    at = await store.vector_stores.get("vs_001", ANN, day)
    assert at is not None and at.counts.total == 0 and at.usage_bytes == 0
    await store.vector_stores.touch(["vs_001"], ANN, day)
    assert await store.vector_stores.get("vs_001", ANN, day) == at
    assert await store.database.purge(int(day)) == 1
    assert await texts(store, "text") == []
    assert await store.database.purge(int(day)) == 0
    await ingested(store, "more text")
    assert await texts(store, "text") == ["more text"]


# Files


async def test_a_file_is_in_progress_and_then_completed(store: Store) -> None:
    await store.vector_stores.create(shelf())
    waiting = entry(attributes=b'{"a":1}', chunk_tokens=100, chunk_overlap=5)
    assert await store.vector_stores.attach("vs_001", ANN, [waiting], most=MOST)
    assert await store.vector_stores.file("vs_001", "file_001", ANN) == waiting
    job = await held(store)
    assert (job.store_id, job.owner, job.file, job.crashes) == ("vs_001", ANN, waiting, 0)
    assert await store.vector_stores.claim("w", NOW, 10.0) is None
    await store.vector_stores.complete(job, [chunk("one ä\0"), chunk("two"), chunk("three")], most=MOST)
    done = await store.vector_stores.file("vs_001", "file_001", ANN)
    assert done is not None and done.status == "completed" and done.usage_bytes == len("one ä\0twothree".encode())
    shown = await store.vector_stores.get("vs_001", ANN, NOW)
    assert shown is not None and shown.counts == FileCounts(completed=1) and shown.usage_bytes == done.usage_bytes
    assert await store.vector_stores.content("vs_001", "file_001", ANN, 0, 2) == ["one ä\0", "two"]
    assert await store.vector_stores.content("vs_001", "file_001", ANN, 2, 2) == ["three"]
    assert await store.vector_stores.content("vs_001", "file_001", ANN, 3, 2) == []
    with pytest.raises(FenceError):
        await store.vector_stores.complete(job, [chunk("again")], most=MOST)
    assert dict(await store.vector_stores.attributes("vs_001", ANN)) == {"file_001": b'{"a":1}'}


async def test_a_file_that_fails_says_why(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "some text")
    assert await store.vector_stores.attach("vs_001", ANN, [entry()], most=MOST)
    assert await texts(store, "text") == ["some text"]  # until the new chunks are there
    await store.vector_stores.fail(await held(store), "invalid_file", "It is broken.")
    failed = await store.vector_stores.file("vs_001", "file_001", ANN)
    assert failed is not None
    assert (failed.status, failed.error_code, failed.error_message) == ("failed", "invalid_file", "It is broken.")
    assert await texts(store, "text") == []
    shown = await store.vector_stores.get("vs_001", ANN, NOW)
    assert shown is not None and shown.counts == FileCounts(failed=1)


async def test_a_file_that_is_added_again_is_ingested_anew(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "old text", "old words")
    await ingested(store, "new text")
    assert await texts(store, "text words old") == ["new text"]
    shown = await store.vector_stores.get("vs_001", ANN, NOW)
    assert shown is not None and shown.counts == FileCounts(completed=1)


async def test_a_file_that_is_added_again_meanwhile_is_not_completed_by_who_held_it(store: Store) -> None:
    await store.vector_stores.create(shelf())
    assert await store.vector_stores.attach("vs_001", ANN, [entry()], most=MOST)
    first = await held(store)
    assert await store.vector_stores.attach("vs_001", ANN, [entry()], most=MOST)
    second = await held(store)
    with pytest.raises(FenceError):
        await store.vector_stores.complete(first, [chunk("first")], most=MOST)
    with pytest.raises(FenceError):
        await store.vector_stores.heartbeat(first, NOW, 10.0)
    await store.vector_stores.complete(second, [chunk("second")], most=MOST)
    assert await texts(store, "first second") == ["second"]


async def test_a_lease_that_ran_out_is_taken_over(store: Store) -> None:
    await store.vector_stores.create(shelf())
    assert await store.vector_stores.attach("vs_001", ANN, [entry(1), entry(2)], most=MOST)
    first = await held(store)
    await store.vector_stores.heartbeat(first, NOW + 5, 10.0)
    other = await held(store, NOW + 12)
    assert other.file.file_id == "file_002"
    await store.vector_stores.release(other)
    taken = await held(store, NOW + 15, worker="v")
    assert (taken.file.file_id, taken.crashes) == ("file_002", 0)  # what was given back comes before what crashed
    over = await held(store, NOW + 15.1, worker="v")
    assert (over.file.file_id, over.crashes) == ("file_001", 1)
    with pytest.raises(FenceError):
        await store.vector_stores.release(first)
    with pytest.raises(FenceError):
        await store.vector_stores.fail(first, "server_error", "")
    await store.vector_stores.complete(over, [chunk("text")], most=MOST)
    assert await texts(store, "text") == ["text"]


async def test_owners_can_be_passed_over(store: Store) -> None:
    await store.vector_stores.create(shelf(1))
    await store.vector_stores.create(shelf(2, owner=BOB))
    assert await store.vector_stores.attach("vs_001", ANN, [entry(1), entry(2)], most=MOST)
    assert await store.vector_stores.attach("vs_002", BOB, [entry(3)], most=MOST)
    other = await store.vector_stores.claim("w", NOW, 10.0, without=[ANN])
    assert other is not None and other.owner == BOB
    assert await store.vector_stores.claim("w", NOW, 10.0, without=[ANN, BOB]) is None


async def test_a_detached_file_is_not_found(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "some text", "more text")
    await ingested(store, "third text", number=2)
    assert await store.vector_stores.detach("vs_001", "file_001", ANN)
    assert not await store.vector_stores.detach("vs_001", "file_001", ANN)
    assert await texts(store, "text") == ["third text"]
    assert await store.vector_stores.file("vs_001", "file_001", ANN) is None


async def test_a_deleted_file_leaves_all_vector_stores(store: Store) -> None:
    await store.files.put(file(1), b"abc")
    await store.files.put(file(2, expires_at=START + 10), b"abc")
    for number in (1, 2):
        await store.vector_stores.create(shelf(number))
        await ingested(store, "some text", id=f"vs_{number:03}")
        await ingested(store, "other text", id=f"vs_{number:03}", number=2)
    assert await store.vector_stores.attach("vs_001", ANN, [entry(1)], most=MOST)
    job = await held(store)
    await store.files.delete("file_001", ANN)
    with pytest.raises(FenceError):
        await store.vector_stores.complete(job, [chunk("late")], most=MOST)
    for swept in (False, True):
        assert await texts(store, "text") == ["other text"], swept
        assert await store.vector_stores.file("vs_001", "file_001", ANN) is None
        listed = await store.vector_stores.files("vs_001", ANN, ListPage())
        assert listed is not None and [one.file_id for one in listed] == ["file_002"]
        assert [*await store.vector_stores.attributes("vs_001", ANN)] == ["file_002"]
        await store.vector_stores.sweep()
    await store.database.purge(START + 10)
    assert await texts(store, "text") == []


async def test_attributes_are_replaced(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "some text")
    changed = await store.vector_stores.set_attributes("vs_001", "file_001", ANN, b'{"b":true}')
    assert changed is not None and changed.attributes == b'{"b":true}'
    assert (await found(store, "text")).hits[0].attributes == b'{"b":true}'
    assert await store.vector_stores.set_attributes("vs_001", "file_009", ANN, b"{}") is None


async def test_files_in_pages(store: Store) -> None:
    await store.vector_stores.create(shelf())
    for number in range(6):
        await ingested(store, "text", number=number)
    assert await store.vector_stores.attach("vs_001", ANN, [entry(6)], most=MOST)

    async def page(status: str | None = None, **fields: Any) -> list[int] | None:
        listed = await store.vector_stores.files("vs_001", ANN, ListPage(**fields), status=status)
        return None if listed is None else [int(one.file_id[5:]) for one in listed]

    assert await page() == [6, 5, 4, 3, 2, 1, 0]
    assert await page("in_progress") == [6]
    assert await page("completed", descending=False, after="file_003") == [4, 5]
    assert await page(before="file_004", limit=1) == [6]
    assert await page(after="file_077") is None


async def test_a_vector_store_has_bounds(store: Store) -> None:
    await store.vector_stores.create(shelf())
    assert await store.vector_stores.attach("vs_001", ANN, [entry(1)], most=2)
    assert await store.vector_stores.attach("vs_001", ANN, [entry(1), entry(2)], most=2)
    with pytest.raises(StoreConflict):
        await store.vector_stores.attach("vs_001", ANN, [entry(3)], most=2)
    first, second = await held(store), await held(store)
    await store.vector_stores.complete(first, [chunk("one"), chunk("two")], most=3)
    with pytest.raises(StoreConflict):
        await store.vector_stores.complete(second, [chunk("three"), chunk("four")], most=3)
    await store.vector_stores.complete(second, [chunk("three")], most=3)


# Batches


async def test_a_batch_counts_its_files(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "text", number=1)
    batch = FileBatch(id="vsfb_1", store_id="vs_001", created_at=START)
    assert await store.vector_stores.attach("vs_001", ANN, [entry(2), entry(3), entry(4)], batch, most=MOST)
    assert await store.vector_stores.batch("vs_001", "vsfb_1", BOB) is None
    await store.vector_stores.complete(await held(store), [chunk("text")], most=MOST)
    seen = await store.vector_stores.batch("vs_001", "vsfb_1", ANN)
    assert seen is not None and seen.counts == FileCounts(completed=1, in_progress=2) and not seen.cancelled
    job = await held(store)
    cancelled = await store.vector_stores.cancel_batch("vs_001", "vsfb_1", ANN)
    assert cancelled is not None and cancelled.counts == FileCounts(completed=1, cancelled=2) and cancelled.cancelled
    with pytest.raises(FenceError):
        await store.vector_stores.complete(job, [chunk("late")], most=MOST)
    assert await store.vector_stores.claim("w", NOW + 99, 10.0) is None
    listed = await store.vector_stores.files("vs_001", ANN, ListPage(descending=False), batch="vsfb_1")
    assert listed is not None and [one.status for one in listed] == ["completed", "cancelled", "cancelled"]
    assert await store.vector_stores.files("vs_001", ANN, ListPage(), batch="vsfb_9") is None
    assert await store.vector_stores.cancel_batch("vs_001", "vsfb_9", ANN) is None


# Search


async def test_the_best_chunks_come_first(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(
        store, "Cats sleep.", "A cat eats fish, and fish only.", "Dogs bark all day at cars.", "Nothing here"
    )
    await ingested(store, "Fishing boats leave the harbour.", number=2)
    assert await texts(store, "which fish does the cat eat?") == [
        "A cat eats fish, and fish only.",
        "Cats sleep.",
        "Fishing boats leave the harbour.",
    ]
    assert await texts(store, "fish", limit=1) == ["A cat eats fish, and fish only."]
    assert await texts(store, "fish", files={"file_002"}) == ["Fishing boats leave the harbour."]
    assert await texts(store, "fish", files=set()) == []
    assert await texts(store, "unknown") == []
    assert await texts(store, "") == []


async def test_scores_are_those_of_bm25(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "red red blue", "red green", "blue", "yellow yellow yellow yellow", "green grass")
    hits = await found(store, "red blue")
    assert [(hit.text, round(hit.score, 6)) for hit in hits.hits] == [
        ("red red blue", 0.737509),
        ("blue", 0.441934),
        ("red green", 0.361092),
    ]
    assert (hits.chunks, hits.having) == (5, [2, 2])


async def test_a_word_in_most_chunks_weighs_little_but_finds(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "red", "red blue", "red green")
    assert await texts(store, "red") == ["red", "red blue", "red green"]
    assert await texts(store, "red green") == ["red green", "red", "red blue"]


async def test_words_of_any_script_are_found(store: Store) -> None:
    await store.vector_stores.create(shelf())
    await ingested(store, "全文検索エンジンです", "Das Straßenfest im Café", "quote \" and ' and ; and -- ")
    assert await texts(store, "検索") == ["全文検索エンジンです"]
    assert await texts(store, "STRASSENFEST cafe") == ["Das Straßenfest im Café"]
    assert await texts(store, 'quote" OR (x)') == ["quote \" and ' and ; and -- "]
