"""Search in vector stores: all queries in all of them, one ranking."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from antiphon.core.retrieval.filters import Test
from antiphon.core.retrieval.ranking import SAME, falling, fused, relevance, rescored, smoothed, weight
from antiphon.core.retrieval.words import query_words, words
from antiphon.stores.base import VectorStoreStore
from antiphon.stores.records import Hit

CANDIDATES = 20  # chunks of each vector store and query that are ranked together; more where more are asked for
FEW = 50  # chunks of a vector store, up to which its own weights of words say little
INLINE = 3  # chunks that are looked at again on the event loop

Key = tuple[str, str]
"""A chunk: the id of its file, and its text."""

_attributes = msgspec.json.Decoder(dict[str, str | float | bool])


class SearchTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched: `fits` chooses files by their attributes, what is less relevant than `threshold` is left out."""

    stores: Sequence[str]
    owner: str
    queries: Sequence[str]
    limit: int
    fits: Test | None = None
    threshold: float = 0.0


class FoundChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that was found. `score` is its relevance, 0 to 1."""

    file_id: str
    filename: str
    score: float
    attributes: Mapping[str, str | float | bool]
    text: str


class Searcher:
    """Finds chunks for queries."""

    def __init__(self, stores: VectorStoreStore) -> None:
        self._stores = stores

    async def search(self, terms: SearchTerms) -> list[FoundChunk]:
        """Return the best chunks, the best first, ranked over all vector stores and queries together.

        Of a chunk's relevances to the queries the highest is its score. None has a lower score than one behind it.
        """
        hits: dict[Key, Hit] = {}
        best: dict[Key, float] = {}
        sums: dict[Key, float] = {}
        rankings: list[tuple[float, list[Key]]] = []
        files = {store: await self._files(store, terms) for store in terms.stores} if terms.fits else {}
        for query in terms.queries:
            ranking: dict[Key, float] = {}
            for hit, share in await self._found(query, terms, files):
                key = (hit.file_id, hit.text)  # a file may be in several of them
                if share >= terms.threshold:
                    hits[key] = hit
                    ranking[key] = max(share, ranking.get(key, 0.0))
            for key, share in ranking.items():
                best[key] = max(share, best.get(key, 0.0))
                sums[key] = share + sums.get(key, 0.0)
            rankings.append((1.0, sorted(ranking, key=lambda key: -round(ranking[key], SAME))))
        order = fused(rankings, sums)[: terms.limit]
        scores = falling(order, best)
        return [_shown(hits[key], score) for key, score in zip(order, scores, strict=True)]

    async def _found(self, query: str, terms: SearchTerms, files: Mapping[str, set[str]]) -> list[tuple[Hit, float]]:
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


def _shown(hit: Hit, score: float) -> FoundChunk:
    return FoundChunk(
        file_id=hit.file_id,
        filename=hit.filename,
        score=round(score, 4),
        attributes=_attributes.decode(hit.attributes),
        text=hit.text,
    )
