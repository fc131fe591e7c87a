"""Search in vector stores: all queries in all of them, one ranking."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from antiphon.core.retrieval.filters import Test
from antiphon.core.retrieval.options import RankingOptions
from antiphon.core.retrieval.ranking import SAME, falling, fused, relevance, rescored, smoothed, weight
from antiphon.core.retrieval.vectors import Vector
from antiphon.core.retrieval.words import query_words, words
from antiphon.errors import BackendError
from antiphon.stores.base import VectorStoreStore
from antiphon.stores.records import ChunkHit
from antiphon.tools.retrieval.model_calls import Embedder, Reranker

log = logging.getLogger("antiphon.tools.retrieval")

CANDIDATES = 20  # chunks of each vector store and query that are ranked together; more where more are asked for
FEW = 50  # chunks of a vector store, up to which its own weights of words say little
RERANKED = 30  # chunks that a reranker gets; more where more are asked for
MOST_TOLD = 1000  # vector stores of which it was told that their vectors are by another model
INLINE = 3  # chunks that are looked at again on the event loop

Key = tuple[str, str]
"""A chunk: the id of its file, and its text."""

_attributes = msgspec.json.Decoder(dict[str, str | float | bool])


class SearchTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched: `fits` chooses files by their attributes, what is less relevant than `threshold` is left out.

    `text_weight` and `embedding_weight` are those of the rankings by words and by vectors; `rerank`: a reranker has the last
    word, where there is one.
    """

    stores: Sequence[str]
    owner: str
    queries: Sequence[str]
    limit: int
    fits: Test | None = None
    threshold: float = 0.0
    text_weight: float = 1.0
    embedding_weight: float = 1.0
    rerank: bool = True


def ranked_by(terms: SearchTerms, options: RankingOptions) -> SearchTerms:
    """Return what is searched with the ranking that a request asks for."""
    text_weight, embedding_weight = options.weights
    return msgspec.structs.replace(
        terms,
        threshold=options.score_threshold,
        text_weight=text_weight,
        embedding_weight=embedding_weight,
        rerank=options.reranks,
    )


class FoundChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that was found. `score` is its relevance, 0 to 1."""

    file_id: str
    filename: str
    score: float
    attributes: Mapping[str, str | float | bool]
    text: str


class Ranked(msgspec.Struct):
    """What rankings have found: hits, the highest relevance of each, the sum of all of its relevances."""

    hits: dict[Key, ChunkHit] = {}
    best: dict[Key, float] = {}
    sums: dict[Key, float] = {}
    rankings: list[tuple[float, list[Key]]] = []

    def add(self, weight: float, found: Iterable[tuple[ChunkHit, float]]) -> None:
        """Take a ranking over, given as hits with their relevance, the best first where two are equal."""
        ranking: dict[Key, float] = {}
        for hit, share in found:
            key = (hit.file_id, hit.text)  # a file may be in several vector stores
            self.hits[key] = hit
            ranking[key] = max(share, ranking.get(key, 0.0))
        for key, share in ranking.items():
            self.best[key] = max(share, self.best.get(key, 0.0))
            self.sums[key] = share + self.sums.get(key, 0.0)
        self.rankings.append((weight, sorted(ranking, key=lambda key: -round(ranking[key], SAME))))


class Searcher:
    """Finds chunks for queries: by their words, by vectors where there is a model of embeddings, by both together.

    A model that cannot be had does not fail a search: it goes on without, and `count` is told why.
    """

    def __init__(
        self,
        stores: VectorStoreStore,
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
        count: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._stores = stores
        self._embedder = embedder
        self._reranker = reranker
        self._count = count
        self._told: set[str] = set()

    @property
    def hybrid(self) -> bool:
        """Tell whether there is a model of embeddings."""
        return self._embedder is not None

    async def search(self, terms: SearchTerms) -> list[FoundChunk]:
        """Return the best chunks, the best first, ranked over all vector stores and queries together.

        Of a chunk's relevances the highest is its score, or the reranker's. None has a lower score than one behind it.
        """
        files = {store: await self._files(store, terms) for store in terms.stores} if terms.fits else {}
        vectors = await self._vectors(terms)
        ranked = Ranked()
        for query in terms.queries if terms.text_weight or not vectors else ():
            ranked.add(terms.text_weight or 1.0, await self._found(query, terms, files))
        for vector in vectors:
            ranked.add(terms.embedding_weight, await self._near(vector, terms, files))
        order = fused(ranked.rankings, ranked.sums)
        order, best = await self._reranked(order, ranked, terms)
        order = [key for key in order if best[key] >= terms.threshold][: terms.limit]
        scores = falling(order, best)
        return [_shown(ranked.hits[key], score) for key, score in zip(order, scores, strict=True)]

    async def _vectors(self, terms: SearchTerms) -> Sequence[Vector]:
        """Return the vectors of the queries; none where there is no model, or it cannot be had."""
        if self._embedder is None or not terms.embedding_weight:
            return ()
        try:
            return await self._embedder.queries(terms.queries)
        except BackendError as error:
            self._count("embeddings_unavailable")
            log.warning(
                "file_search: embeddings model %s failed, searching by keywords alone: %s",
                self._embedder.label,
                error.message,
            )
            return ()

    async def _near(
        self, vector: Vector, terms: SearchTerms, files: Mapping[str, set[str]]
    ) -> list[tuple[ChunkHit, float]]:
        """Return the chunks nearest to a vector in all vector stores, the nearest first, each with its relevance."""
        assert self._embedder is not None
        label, limit = self._embedder.label, max(terms.limit, CANDIDATES)
        found: list[ChunkHit] = []
        for store in terms.stores:
            near = await self._stores.nearest(store, terms.owner, label, vector, limit, files.get(store))
            if near.model not in ("", label):
                self._tell_model(store, near.model, label)
            found += near.hits
        found.sort(key=lambda hit: -hit.score)
        return [(hit, min(1.0, max(0.0, hit.score))) for hit in found[:limit]]

    def _tell_model(self, store: str, model: str, label: str) -> None:
        """Tell once that a vector store has vectors by another model, and count it."""
        self._count("other_model")
        if store not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(store)
            log.warning(
                "file_search: vector store %s is searched by keywords alone: its embeddings are by model %s, the setting"
                " `embeddings` names %s; add its files again to have them embedded anew",
                *(store, model, label),
            )

    async def _reranked(
        self, order: list[Key], ranked: Ranked, terms: SearchTerms
    ) -> tuple[list[Key], Mapping[Key, float]]:
        """Return the chunks in the reranker's order, with its relevances; as they are without one."""
        if self._reranker is None or not terms.rerank or not order:
            return order, ranked.best
        order = order[: max(terms.limit, RERANKED)]
        try:
            shares = await self._reranker.relevances("\n".join(terms.queries), [text for _, text in order])
        except BackendError as error:
            self._count("reranker_unavailable")
            log.warning(
                "file_search: reranker %s failed, results are not reranked: %s", self._reranker.label, error.message
            )
            return order, ranked.best
        best = dict(zip(order, shares, strict=True))
        return sorted(order, key=lambda key: -best[key]), best

    async def _found(
        self, query: str, terms: SearchTerms, files: Mapping[str, set[str]]
    ) -> list[tuple[ChunkHit, float]]:
        """Return the hits of one query in all vector stores, each with its relevance."""
        wanted = query_words(query)
        limit = max(terms.limit, CANDIDATES)
        found = [
            await self._stores.search(store, terms.owner, wanted, limit, files.get(store)) for store in terms.stores
        ]
        total = sum(one.chunks for one in found)
        having = [sum(counts) for counts in zip(*(one.having for one in found if one.having), strict=True)]
        if len(found) == 1 and total > FEW:
            weights = [weight(total, count) for count in having]
            return [(hit, relevance(hit.score, weights)) for hit in found[0].hits]
        # Scores of several vector stores have different weights of words, and those of few chunks say little.
        hits = [hit for one in found for hit in one.hits]
        shared = [smoothed(total, count) for count in having]

        def rescore() -> list[float]:
            return rescored(wanted, [words(hit.text) for hit in hits], shared)

        shares = rescore() if len(hits) < INLINE else await asyncio.to_thread(rescore)
        return list(zip(hits, shares, strict=True))

    async def _files(self, store: str, terms: SearchTerms) -> set[str]:
        """Return the files that fit the filter."""
        assert terms.fits is not None
        known = await self._stores.attributes(store, terms.owner)
        return {file for file, attributes in known.items() if terms.fits(_attributes.decode(attributes))}


def _shown(hit: ChunkHit, score: float) -> FoundChunk:
    return FoundChunk(
        file_id=hit.file_id,
        filename=hit.filename,
        score=round(score, 4),
        attributes=_attributes.decode(hit.attributes),
        text=hit.text,
    )
