"""Models that search asks: what they answer is checked, what they refuse is asked in smaller pieces."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from antiphon.core.retrieval.vectors import MOST_DIMENSIONS, unit
from antiphon.errors import BackendError
from antiphon.tools.retrieval import model_calls
from antiphon.tools.retrieval.model_calls import Embedder, Reranker
from tests.tools.retrieval.search_backend import SearchBackend, embedded


def embedder(backend: SearchBackend, **fields: Any) -> Embedder:
    async def post(endpoint: str, body: bytes) -> bytes:
        status, answer = backend.answer(endpoint, json.loads(body))
        if status != 200:
            code = {413: 413, 400: 400}.get(status, 502)
            raise BackendError(code, answer["error"]["message"], retriable=code == 502)
        return json.dumps(answer).encode()

    return Embedder(post, "mini", "b/mini", **fields)


def answering(answer: object) -> Embedder:
    async def post(endpoint: str, body: bytes) -> bytes:
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    return Embedder(post, "mini", "b/mini")


async def test_vectors_come_in_the_order_of_the_texts_and_have_length_1() -> None:
    vectors = await embedder(SearchBackend()).texts(["a car", "bread"])
    assert vectors == [unit(embedded("a car")), unit(embedded("bread"))]


async def test_a_text_without_words_has_a_vector_too() -> None:
    (vector,) = await embedder(SearchBackend()).texts(["…"])
    assert len({*vector}) == 1 and sum(value * value for value in vector) == pytest.approx(1)


async def test_prefixes_and_the_models_name_are_sent() -> None:
    backend = SearchBackend()
    model = embedder(backend, text_prefix="passage: ", query_prefix="query: ")
    await model.texts(["a"])
    await model.queries(["b"])
    assert backend.texts == ["passage: a", "query: b"]
    assert backend.asked[0] == ("/embeddings", {"model": "mini", "input": ["passage: a"], "encoding_format": "float"})


async def test_what_is_too_much_is_asked_in_pieces() -> None:
    backend = SearchBackend()
    backend.most, backend.longest = 3, 100
    vectors = await embedder(backend).texts(["short", "long " * 60, "c", "d", "e"])
    assert len(vectors) == 5 and vectors[1] == unit(embedded("long " * 15))
    backend.longest = 10
    with pytest.raises(BackendError, match="too large"):
        await embedder(backend).texts(["x" * 100_000])
    assert len(backend.asked) < 40


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"no JSON", "has no embeddings"),
        ({"data": [{"embedding": "text"}]}, "has no embeddings"),
        ({"data": []}, "0 embeddings for 1 texts"),
        ({"data": [{"embedding": [1.0], "index": 7}]}, "1 embeddings for 1 texts"),
        ({"data": [{"embedding": []}]}, "0 dimensions"),
        ({"data": [{"embedding": [0.5] * (MOST_DIMENSIONS + 1)}]}, "dimensions"),
        ({"data": [{"embedding": [1e200, 1e200]}]}, "no numbers"),
    ],
)
async def test_answers_that_are_none(answer: object, words: str) -> None:
    with pytest.raises(BackendError, match=words):
        await answering(answer).texts(["a"])


async def test_vectors_of_different_sizes() -> None:
    with pytest.raises(BackendError, match="different sizes"):
        await answering({"data": [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]}).texts(["a", "b"])


async def test_a_model_that_failed_has_a_rest() -> None:
    backend = SearchBackend()
    backend.failures = 1
    model = embedder(backend)
    for _ in range(3):
        with pytest.raises(BackendError):
            await model.queries(["a"])
    assert len(backend.asked) == 1
    assert len(await model.texts(["a"])) == 1  # ingestion asks all the same


async def test_searches_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_calls, "SEARCH_SECONDS", 0.01)

    async def post(endpoint: str, body: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    with pytest.raises(BackendError, match="in time"):
        await Embedder(post, "mini", "b/mini").queries(["a"])


@pytest.mark.parametrize(
    ("answer", "shares"),
    [
        ({"results": [{"index": 1, "relevance_score": 0.25}, {"index": 0, "relevance_score": 1}]}, [1, 0.25]),
        ({"data": [{"index": 0, "score": 0}, {"index": 1, "score": 0.5}]}, [0, 0.5]),
        ([{"index": 0, "score": 0}, {"index": 1, "score": 1000}], [0.5, 1.0]),
    ],
)
async def test_the_spellings_of_rerankers(answer: object, shares: list[float]) -> None:
    async def post(endpoint: str, body: bytes) -> bytes:
        return json.dumps(answer).encode()

    assert await Reranker(post, "m", "b/m").relevances("q", ["a", "b"]) == pytest.approx(shares)


@pytest.mark.parametrize("answer", [{}, [], "no", {"results": [{"index": 0, "relevance_score": 1}]}])
async def test_a_ranking_that_leaves_texts_out(answer: object) -> None:
    async def post(endpoint: str, body: bytes) -> bytes:
        return json.dumps(answer).encode()

    with pytest.raises(BackendError):
        await Reranker(post, "m", "b/m").relevances("q", ["a", "b"])
