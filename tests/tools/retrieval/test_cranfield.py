"""How good search is, on a test collection: by words alike in all databases, better together with vectors."""

from __future__ import annotations

import gzip
import json
from array import array
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from math import log
from pathlib import Path
from typing import Any

import pytest
from bench.retrieval import gain

from antiphon.core.retrieval.vectors import code, packed, unit
from antiphon.core.retrieval.words import words
from antiphon.stores.base import Store
from antiphon.stores.open import open_memory, open_postgres, open_sqlite
from antiphon.stores.records import Chunk, ChunkVector, Embedding, VectorFile, VectorStore
from antiphon.tools.retrieval.drafting import digest
from antiphon.tools.retrieval.model_calls import Embedder
from antiphon.tools.retrieval.search import Searcher, SearchTerms
from tests.stores.postgres_server import Postgres, running

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent / "cranfield"
OWNER, MODEL = "ann", "test/lsa"
LEAST_BY_WORDS, LEAST_HYBRID, SAME = 0.375, 0.41, 0.005


@cache
def read(name: str) -> Any:
    return json.loads(gzip.decompress((FOLDER / name).read_bytes()))


class WordVectors:
    """A model of embeddings: the sum of the vectors of a text's words."""

    def __init__(self) -> None:
        data = read("word_vectors.json.gz")
        self.size = data["dimensions"]
        numbers = array("b", b64decode(data["vectors"]))
        self._vectors = {
            word: [scale * number for number in numbers[place * self.size : (place + 1) * self.size]]
            for place, (word, scale) in enumerate(zip(data["words"], data["scales"], strict=True))
        }

    def embedded(self, text: str) -> list[float]:
        total = [0.0] * self.size
        for word, times in Counter(words(text)).items():
            weight, known = 1 + log(times), self._vectors.get(word)
            if known is not None:
                total = [value + weight * part for value, part in zip(total, known, strict=True)]
        return total

    async def post(self, endpoint: str, body: bytes) -> bytes:
        """Answer as a backend's `/embeddings` does."""
        assert endpoint == "/embeddings"
        texts = json.loads(body)["input"]
        return json.dumps({"data": [{"embedding": self.embedded(text)} for text in texts]}).encode()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    match request.param:
        case "memory":
            return open_memory()
        case "sqlite":
            return open_sqlite(tmp_path / "store.db")
        case _:
            return open_postgres(request.getfixturevalue("postgres").create("cranfield"))


async def filled(store: Store, model: WordVectors) -> dict[str, str]:
    """Put the collection into a vector store; return the documents' numbers by their texts."""
    texts = [text for text in read("collection.json.gz")["documents"] if text]
    await store.vector_stores.create(VectorStore(id="vs_1", owner=OWNER, created_at=1, last_active_at=1))
    await store.vector_stores.attach("vs_1", OWNER, [VectorFile(file_id="f", filename="f", created_at=1)], most=9)
    job = await store.vector_stores.claim("w", 1.0, 1e9)
    assert job is not None
    rows = []
    for text in texts:
        vector = unit(model.embedded(text))
        assert vector is not None
        rows.append(ChunkVector(digest(text), code(vector), packed(vector)))
    await store.vector_stores.draft(job, MODEL, rows)
    chunks = [Chunk(text, words(text)) for text in texts]
    embedding = Embedding(MODEL, model.size, [digest(text) for text in texts])
    await store.vector_stores.complete(job, chunks, most=9999, embedding=embedding)
    return {text: str(number) for number, text in enumerate(read("collection.json.gz")["documents"], 1)}


async def quality(searcher: Searcher, numbers: dict[str, str], **weights: float) -> float:
    """Return the mean nDCG@10 of all queries."""
    collection = read("collection.json.gz")
    gains = []
    for query, relevant in zip(collection["queries"], collection["relevant"], strict=True):
        terms = SearchTerms(stores=["vs_1"], owner=OWNER, queries=[query], limit=20, **weights)
        found: Sequence[str] = [numbers[one.text] for one in await searcher.search(terms)]
        gains.append(gain(found, {str(number) for number in relevant}))
    return sum(gains) / len(gains)


_by_words: list[float] = []


async def test_search_is_as_good_as_it_was(store: Store) -> None:
    model = WordVectors()
    numbers = await filled(store, model)
    searcher = Searcher(store.vector_stores, Embedder(model.post, "lsa", MODEL))
    by_words = await quality(searcher, numbers, embedding_weight=0.0)
    hybrid = await quality(searcher, numbers)
    print(f"nDCG@10 by words {by_words:.4f}, hybrid {hybrid:.4f}")
    assert by_words >= LEAST_BY_WORDS
    _by_words.append(by_words)
    assert max(_by_words) - min(_by_words) <= SAME  # alike in all databases
    assert hybrid >= LEAST_HYBRID
    await store.close()
