"""Files of vector stores as they are completed in PostgreSQL: in several statements, beside searches that do not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from antiphon.stores.base import Store
from antiphon.stores.open import open_postgres
from antiphon.stores.postgres import vector_stores
from antiphon.stores.postgres.vectors import postings

from .samples import ANN, NOW
from .test_vector_stores import chunk, found, ingested, shelf, texts

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgresql")]


@pytest.fixture
async def postgres_store(postgres_url: str) -> AsyncIterator[Store]:
    store = open_postgres(postgres_url)
    await store.vector_stores.create(shelf())
    yield store
    await store.close()


@pytest.mark.parametrize("inline", [0, 1000])
async def test_a_long_file_is_found_from_end_to_end(
    postgres_store: Store, monkeypatch: pytest.MonkeyPatch, inline: int
) -> None:
    monkeypatch.setattr(vector_stores, "GROUP", 7)
    monkeypatch.setattr(vector_stores, "INLINE", inline)
    monkeypatch.setattr(postings, "LINES", 5)
    many = [f"word{number} common word{number + 1}" for number in range(40)]
    await ingested(postgres_store, "word0 first", number=2)
    await ingested(postgres_store, *many)
    for number in (0, 6, 7, 39):
        assert many[number] in await texts(postgres_store, f"word{number}")
    assert (await found(postgres_store, "common")).having == [40]
    await ingested(postgres_store, *many[:3])  # in the place of those before
    assert (await found(postgres_store, "common")).having == [3]
    assert await postgres_store.vector_stores.content("vs_001", "file_001", ANN, 0, 10) == many[:3]
    await ingested(postgres_store, number=3)
    assert (await found(postgres_store, "common")).chunks == 4


def test_words_are_lines_of_arrays() -> None:
    lines = postings.postings([chunk("red red blue"), chunk("blue")], 5)
    assert lines == ["red\t{5}\t{2}\t{3}\nblue\t{5,6}\t{1,1}\t{3,1}"]
    assert postings.postings([], 1) == []


async def test_to_note_a_use_waits_for_no_ingestion(postgres_store: Store, postgres_url: str) -> None:
    holder = await asyncpg.connect(postgres_url)
    async with holder.transaction():
        await holder.execute("SELECT FROM antiphon.vector_stores FOR UPDATE")
        await postgres_store.vector_stores.touch(["vs_001"], ANN, NOW + 100)
    await holder.close()
    known = await postgres_store.vector_stores.get("vs_001", ANN, NOW)
    assert known is not None and known.last_active_at == int(NOW)
    await postgres_store.vector_stores.touch(["vs_001"], ANN, NOW + 100)
    known = await postgres_store.vector_stores.get("vs_001", ANN, NOW)
    assert known is not None and known.last_active_at == int(NOW) + 100
