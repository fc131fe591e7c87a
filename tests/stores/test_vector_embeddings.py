"""What every Store promises about vectors of chunks: drafts, the model of a vector store, the search for the nearest."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import pytest

from antiphon.core.retrieval.vectors import code, packed, unit
from antiphon.stores.base import FenceError, Store
from antiphon.stores.open import open_postgres
from antiphon.stores.postgres.vectors.vector_embeddings import VectorSearch
from antiphon.stores.records import ChunkVector, Embedding, IngestJob, Neighbours

from .postgres_server import Postgres
from .samples import ANN, BOB, NOW
from .samples import file as uploaded
from .test_vector_stores import MOST, chunk, entry, held, shelf

MODEL = "local/mini"
SIZE = 24


def vector_of(text: str, size: int = SIZE) -> tuple[float, ...]:
    """Return a vector that is the same for the same text."""
    chance = random.Random(text)
    found = unit([chance.gauss(0, 1) for _ in range(size)])
    assert found is not None
    return found


def digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def vectors(texts: Sequence[str], size: int = SIZE) -> list[ChunkVector]:
    return [ChunkVector(digest(text), code(vector_of(text, size)), packed(vector_of(text, size))) for text in texts]


def embedding(texts: Sequence[str], model: str = MODEL, size: int = SIZE) -> Embedding:
    return Embedding(model, size, [digest(text) for text in texts])


async def embedded(
    store: Store, *texts: str, number: int = 1, model: str = MODEL, size: int = SIZE, **fields: Any
) -> IngestJob:
    """Attach a file to a vector store and complete it with vectors."""
    assert await store.vector_stores.attach("vs_001", ANN, [entry(number, **fields)], most=MOST)
    job = await held(store)
    await store.vector_stores.drafted(job, model)
    await store.vector_stores.draft(job, model, vectors(texts, size))
    chunks = [chunk(text) for text in texts]
    await store.vector_stores.complete(job, chunks, most=MOST, embedding=embedding(texts, model, size))
    return job


async def near(store: Store, text: str, owner: str = ANN, limit: int = 3, **arguments: Any) -> Neighbours:
    model, size = arguments.pop("model", MODEL), arguments.pop("size", SIZE)
    return await store.vector_stores.nearest("vs_001", owner, model, vector_of(text, size), limit, **arguments)


async def names(store: Store, text: str, **arguments: Any) -> list[str]:
    return [hit.text for hit in (await near(store, text, **arguments)).hits]


@pytest.fixture(params=[True, False], ids=["pgvector", "plain"])
async def shelved(request: pytest.FixtureRequest, store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with a vector store; of PostgreSQL once with pgvector, once without."""
    if not request.param:

        async def without(self: object) -> bool:
            return False

        monkeypatch.setattr(VectorSearch, "pgvector", without)
    await store.vector_stores.create(shelf())
    return store


async def test_the_nearest_come_first(shelved: Store) -> None:
    many = [f"text {number}" for number in range(40)]
    await embedded(shelved, *many, "ä\0 end")
    found = await near(shelved, "text 7")
    assert found.hits[0].text == "text 7" and found.model == MODEL
    scores = [hit.score for hit in found.hits]
    assert scores[0] == pytest.approx(1, abs=1e-3) and scores == sorted(scores, reverse=True)
    exact = {one: sum(a * b for a, b in zip(vector_of("text 7"), vector_of(one), strict=True)) for one in many}
    assert scores[1] == pytest.approx(sorted(exact.values())[-2], abs=2e-3)
    assert (await names(shelved, "ä\0 end"))[0] == "ä\0 end"
    assert found.hits[0].filename == "ä 1.txt" and found.hits[0].attributes == b"{}"


async def test_of_many_chunks_the_best_are_found_by_their_codes(shelved: Store) -> None:
    many = [f"text {number}" for number in range(900)]
    await embedded(shelved, *many)
    for number in (3, 700, 899):
        assert (await names(shelved, f"text {number}", limit=1)) == [f"text {number}"]


async def test_of_chosen_files_only(shelved: Store) -> None:
    await embedded(shelved, "one", "two")
    await embedded(shelved, "three", number=2)
    assert await names(shelved, "one", files={"file_002"}) == ["three"]
    assert sorted(await names(shelved, "one")) == ["one", "three", "two"]
    assert await names(shelved, "one", files=set()) == []


async def test_vectors_go_with_their_chunks(shelved: Store) -> None:
    store = shelved.vector_stores
    await shelved.files.put(uploaded(2), b"x")
    await embedded(shelved, "one", "two")
    await embedded(shelved, "three", number=2)
    await embedded(shelved, "four", number=1)  # in the place of those before
    assert sorted(await names(shelved, "one")) == ["four", "three"]
    await shelved.files.delete(uploaded(2).id, ANN)
    assert await names(shelved, "three") == ["four"]
    await store.sweep()
    assert await names(shelved, "three") == ["four"]
    assert await store.detach("vs_001", "file_001", ANN)
    assert await names(shelved, "four") == []
    await embedded(shelved, "five", number=3)
    assert await store.delete("vs_001", ANN)
    await store.create(shelf())
    assert (await near(shelved, "five")) == Neighbours()


@pytest.mark.needs("postgresql")
async def test_postgresql_keeps_nothing_of_files_that_are_gone(postgres: Postgres) -> None:
    """There is no foreign key: a trigger removes what belongs to a file."""
    url = postgres.create("orphans")
    store = open_postgres(url)
    tables = ("vector_chunks", "vector_words", "vector_codes", "vector_embeddings", "vector_drafts")

    async def left() -> set[int]:
        counts = [await postgres.fetch(f"SELECT count(*) FROM antiphon.{table}", "orphans") for table in tables]
        return {count for ((count,),) in counts}

    for ending in ("delete", "detach", "purge"):
        await store.vector_stores.create(shelf(expires_days=1))
        await embedded(store, "one", "two")
        assert await store.vector_stores.attach("vs_001", ANN, [entry(2)], most=MOST)
        await store.vector_stores.draft(await held(store), MODEL, vectors(["three"]))
        assert 0 not in await left()
        if ending == "detach":
            for number in (1, 2):
                await store.vector_stores.detach("vs_001", f"file_{number:03}", ANN)
        elif ending == "purge":
            await store.database.purge(int(NOW) + 10 * 86_400)
        else:
            await store.vector_stores.delete("vs_001", ANN)
        assert await left() == {0}
        await store.vector_stores.delete("vs_001", ANN)
    await store.close()


async def test_anothers_vectors_are_absent(shelved: Store) -> None:
    await embedded(shelved, "one")
    assert await near(shelved, "one", owner=BOB) == Neighbours()
    assert await shelved.vector_stores.nearest("vs_404", ANN, MODEL, vector_of("one"), 3) == Neighbours()


async def test_an_expired_vector_store_has_no_vectors(store: Store) -> None:
    await store.vector_stores.create(shelf(expires_days=1))
    await embedded(store, "one")
    assert await store.database.purge(int(NOW) + 86_400) == 1
    assert await near(store, "one") == Neighbours()
    await embedded(store, "two", model="other", size=9)
    assert await names(store, "two", model="other", size=9) == ["two"]


@pytest.mark.parametrize("other", [{"model": "other"}, {"size": 16}])
async def test_vectors_by_another_model_are_told_and_not_compared(shelved: Store, other: dict[str, Any]) -> None:
    await embedded(shelved, "one")
    assert await near(shelved, "one", **other) == Neighbours(model=MODEL)


async def test_a_new_model_takes_the_place_of_the_one_before(shelved: Store) -> None:
    await embedded(shelved, "one")
    await embedded(shelved, "two", number=2, model="new", size=10)
    assert await near(shelved, "one") == Neighbours(model="new")
    assert await names(shelved, "two", model="new", size=10) == ["two"]
    assert (await shelved.vector_stores.search("vs_001", ANN, ["on"], 9)).chunks == 2  # the words are still there


async def test_a_file_without_vectors_beside_others(shelved: Store) -> None:
    await embedded(shelved, "one")
    assert await shelved.vector_stores.attach("vs_001", ANN, [entry(2)], most=MOST)
    await shelved.vector_stores.complete(await held(shelved), [chunk("two")], most=MOST)
    assert await names(shelved, "two") == ["one"]


# Drafts


async def test_drafts_outlive_whoever_made_them(store: Store) -> None:
    await store.vector_stores.create(shelf())
    assert await store.vector_stores.attach("vs_001", ANN, [entry()], most=MOST)
    first = await held(store)
    assert set(await store.vector_stores.drafted(first, MODEL)) == set()
    await store.vector_stores.draft(first, MODEL, vectors(["one"]))
    heir = await held(store, NOW + 99)
    for late in (store.vector_stores.drafted(first, MODEL), store.vector_stores.draft(first, MODEL, vectors(["x"]))):
        with pytest.raises(FenceError):
            await late
    assert set(await store.vector_stores.drafted(heir, MODEL)) == {digest("one")}
    await store.vector_stores.draft(heir, MODEL, vectors(["two", "one"]))
    texts = ["one", "two", "one"]
    await store.vector_stores.complete(heir, [chunk(text) for text in texts], most=MOST, embedding=embedding(texts))
    assert sorted(await names(store, "two")) == ["one", "one", "two"]


async def test_drafts_by_another_model_are_removed(store: Store) -> None:
    await store.vector_stores.create(shelf())
    assert await store.vector_stores.attach("vs_001", ANN, [entry()], most=MOST)
    job = await held(store)
    await store.vector_stores.draft(job, MODEL, vectors(["one"]))
    assert set(await store.vector_stores.drafted(job, "new")) == set()
    assert set(await store.vector_stores.drafted(job, MODEL)) == set()


@pytest.mark.parametrize("ending", ["fail", "detach", "complete"])
async def test_drafts_go_with_the_work(store: Store, ending: str) -> None:
    stores = store.vector_stores
    await stores.create(shelf())
    assert await stores.attach("vs_001", ANN, [entry()], most=MOST)
    job = await held(store)
    await stores.draft(job, MODEL, vectors(["one"]))
    if ending == "fail":
        await stores.fail(job, "server_error", "no")
    elif ending == "detach":
        await stores.detach("vs_001", "file_001", ANN)
    else:
        await stores.complete(job, [chunk("two")], most=MOST)
    assert await stores.attach("vs_001", ANN, [entry()], most=MOST)
    assert set(await stores.drafted(await held(store), MODEL)) == set()
