"""Models that search asks beside the one that answers: of embeddings, and rerankers; by the endpoints that servers share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import exp
from time import monotonic
from typing import TypeVar

import msgspec

from antiphon.core.retrieval.vectors import MOST_DIMENSIONS, Vector, unit
from antiphon.errors import BackendError
from antiphon.runtime.offload import by_size
from antiphon.types.response import Usage

Post = Callable[[str, bytes], Awaitable[bytes]]
"""Asks an endpoint of a model's server, such as `/embeddings`, with JSON; returns the answer. Raises BackendError."""

TellUse = Callable[[str, str, Usage, str], None]
"""Takes note of a call: what for (`embedding`, `rerank`), the model, its tokens, and the owner, "" for the one who asks."""

CHARACTERS_PER_TOKEN = 4  # about, where a server tells no usage

SEARCH_SECONDS = 5.0  # that a search waits for a model, until it goes on without
REST_SECONDS = 5.0  # in which a model that failed is not asked by searches
MOST_CUTS = 6  # halvings of a text that is too long for the model
LEAST_TEXT = 64  # characters of a text that is cut no more
MOST_RERANKED = 1 << 20  # characters of the texts that a reranker gets at once

T = TypeVar("T")


class EmbeddedText(msgspec.Struct, frozen=True):
    """A vector of an answer. Servers that give no `index` keep the order of the texts."""

    embedding: list[float]
    index: int | None = None


class SearchTokens(msgspec.Struct, frozen=True):
    """Tokens as such answers tell them."""

    prompt_tokens: int | None = None
    total_tokens: int | None = None


class EmbeddingAnswer(msgspec.Struct, frozen=True):
    """The answer of `/embeddings`."""

    data: list[EmbeddedText]


class _SearchUsed(msgspec.Struct):
    usage: SearchTokens | None = None


class RankedText(msgspec.Struct, frozen=True):
    """How well a text answers the query; some servers say `score`."""

    index: int
    relevance_score: float | None = None
    score: float | None = None


class RerankAnswer(msgspec.Struct, frozen=True):
    """The answer of `/rerank`."""

    results: list[RankedText] = []
    data: list[RankedText] = []


_vectors = msgspec.json.Decoder(EmbeddingAnswer)
_ranking = msgspec.json.Decoder(RerankAnswer | list[RankedText])
_search_used = msgspec.json.Decoder(_SearchUsed)


def _tell_nobody(kind: str, model: str, usage: Usage, owner: str) -> None:
    """Take no note."""


def _tokens_of(answer: bytes, characters: int) -> Usage:
    """Return the tokens that an answer tells of, or else about as many as the texts have."""
    try:
        told = _search_used.decode(answer).usage
    except (msgspec.DecodeError, ValueError, RecursionError):
        told = None
    count = (told.total_tokens or told.prompt_tokens) if told is not None else None
    return Usage(input_tokens=count if count else characters // CHARACTERS_PER_TOKEN)


class SearchModel:
    """A model that searches ask, within bounds of time; one that failed has a rest, in which searches go on without it."""

    def __init__(self, post: Post, model: str, label: str, tell: TellUse = _tell_nobody) -> None:
        self._post = post
        self._model = model
        self.label = label
        self._tell = tell
        self._resting_until = 0.0

    async def bounded(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do a search's work. Raises BackendError, at once while the model has its rest."""
        if monotonic() < self._resting_until:
            raise BackendError(503, "The model failed a moment ago.", code="backend_unavailable")
        try:
            async with asyncio.timeout(SEARCH_SECONDS):
                return await work()
        except TimeoutError:
            error = BackendError(504, "The backend did not answer in time.", code="backend_timeout", retriable=True)
        except BackendError as failed:
            error = failed
        if error.status >= 429:
            self._resting_until = monotonic() + REST_SECONDS
        raise error


class Embedder(SearchModel):
    """A model of embeddings. `text_prefix` and `query_prefix` are what it wants before texts and queries."""

    def __init__(
        self,
        post: Post,
        model: str,
        label: str,
        tell: TellUse = _tell_nobody,
        *,
        batch: int = 32,
        text_prefix: str = "",
        query_prefix: str = "",
    ) -> None:
        super().__init__(post, model, label, tell)
        self.batch = batch
        self._text_prefix = text_prefix
        self._query_prefix = query_prefix

    async def texts(self, texts: Sequence[str], owner: str = "") -> list[Vector]:
        """Return vectors of length 1, one for each text of a batch of an owner's. Raises BackendError."""
        return await self._embedded([self._text_prefix + text for text in texts], owner)

    async def queries(self, queries: Sequence[str]) -> list[Vector]:
        """Return the vectors of a search's queries. Raises BackendError."""
        asked = [self._query_prefix + query for query in queries]
        return await self.bounded(lambda: self._embedded(asked))

    async def _embedded(self, texts: Sequence[str], owner: str = "", cuts: int = 0) -> list[Vector]:
        """Return the vectors; what the model refuses is asked in halves: of the texts, then of the one that is too long."""
        try:
            return await self._asked(texts, owner)
        except BackendError as error:
            if not _is_too_much(error):
                raise
            if len(texts) > 1:
                half = len(texts) // 2
                return [*await self._embedded(texts[:half], owner), *await self._embedded(texts[half:], owner)]
            if cuts == MOST_CUTS or len(texts[0]) < LEAST_TEXT:
                raise
            return await self._embedded([texts[0][: len(texts[0]) // 2]], owner, cuts + 1)

    async def _asked(self, texts: Sequence[str], owner: str) -> list[Vector]:
        request = {"model": self._model, "input": texts, "encoding_format": "float"}
        size = sum(map(len, texts))
        body = await by_size(size, msgspec.json.encode, request)
        answer = await self._post("/embeddings", body)
        self._tell("embedding", self.label, await by_size(len(answer), _tokens_of, answer, size), owner)
        return await by_size(len(answer), _read_vectors, answer, len(texts))


def _is_too_much(error: BackendError) -> bool:
    """Tell whether fewer or shorter texts may be taken; llama.cpp answers 500 to a text that does not fit its batch."""
    return error.status in (400, 413, 422) or (error.status == 502 and "too large" in error.message)


def _read_vectors(answer: bytes, count: int) -> list[Vector]:
    try:
        data = _vectors.decode(answer).data
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise BackendError(502, "The backend's answer has no embeddings.") from None
    indexes = [index if one.index is None else one.index for index, one in enumerate(data)]
    if sorted(indexes) != list(range(count)):
        raise BackendError(502, f"The backend gave {len(data)} embeddings for {count} texts.")
    found: list[Vector] = [()] * count
    for index, one in zip(indexes, data, strict=True):
        found[index] = _vector(one.embedding)
    if len({len(one) for one in found}) > 1:
        raise BackendError(502, "The backend's embeddings have different sizes.")
    return found


def _vector(values: list[float]) -> Vector:
    if not 1 <= len(values) <= MOST_DIMENSIONS:
        raise BackendError(502, f"The backend's embeddings have {len(values)} dimensions.")
    vector = unit(values) or (unit([1.0] * len(values)) if not any(values) else None)  # of a text without words, zeros
    if vector is None:
        raise BackendError(502, "The backend's embeddings are no numbers.")
    return vector


class Reranker(SearchModel):
    """A model that reads a query together with each text."""

    async def relevances(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the query, 0 to 1. Raises BackendError."""
        most = MOST_RERANKED // max(1, len(texts))
        request = {"model": self._model, "query": query, "documents": [text[:most] for text in texts]}
        size = sum(map(len, texts))
        body = await by_size(size, msgspec.json.encode, {**request, "top_n": len(texts)})
        answer = await self.bounded(lambda: self._post("/rerank", body))
        self._tell("rerank", self.label, _tokens_of(answer, size + len(texts) * len(query)), "")
        try:
            read = _ranking.decode(answer)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise BackendError(502, "The backend's answer has no ranking.") from None
        ranked = read if isinstance(read, list) else read.results or read.data
        scores = {one.index: one.score if one.relevance_score is None else one.relevance_score for one in ranked}
        found = [scores.get(index) for index in range(len(texts))]
        if any(score is None for score in found):
            raise BackendError(502, "The backend's ranking leaves texts out.")
        return _shares([score for score in found if score is not None])


def _shares(scores: Sequence[float]) -> list[float]:
    """Return scores from 0 to 1; those beyond are logits."""
    if all(0 <= score <= 1 for score in scores):
        return [*scores]
    return [1 / (1 + exp(-max(-60.0, min(60.0, score)))) for score in scores]
