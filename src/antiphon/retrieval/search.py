"""Search in vector stores: all queries in all of them, one ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from antiphon.core.retrieval.filters import Test
from antiphon.core.retrieval.ranking import falling, fused, relevance
from antiphon.core.retrieval.words import query_words
from antiphon.stores.base import VectorStoreStore
from antiphon.stores.records import Hit

CANDIDATES = 50  # chunks of each vector store and query that are ranked together; more where more are asked for

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
        hits: dict[tuple[str, str], Hit] = {}
        relevances: dict[tuple[str, str], float] = {}
        rankings: list[tuple[float, list[tuple[str, str]]]] = []
        files = {store: await self._files(store, terms) for store in terms.stores} if terms.fits else {}
        for query in terms.queries:
            ranking: dict[tuple[str, str], float] = {}
            for store in terms.stores:
                found = await self._stores.search(
                    store, terms.owner, query_words(query), max(terms.limit, CANDIDATES), files.get(store)
                )
                for hit in found.hits:
                    key = (hit.file_id, hit.text)  # a file may be in several of them
                    share = relevance(hit.score, found.most)
                    if share >= terms.threshold:
                        hits[key] = hit
                        ranking[key] = max(share, ranking.get(key, 0.0))
            for key, share in ranking.items():
                relevances[key] = max(share, relevances.get(key, 0.0))
            rankings.append((1.0, sorted(ranking, key=lambda key: -ranking[key])))
        order = fused(rankings)[: terms.limit]
        scores = falling(order, relevances)
        return [_found(hits[key], score) for key, score in zip(order, scores, strict=True)]

    async def _files(self, store: str, terms: SearchTerms) -> set[str]:
        """Return the files that fit the filter."""
        assert terms.fits is not None
        known = await self._stores.attributes(store, terms.owner)
        return {file for file, attributes in known.items() if terms.fits(_attributes.decode(attributes))}


def _found(hit: Hit, score: float) -> FoundChunk:
    return FoundChunk(
        file_id=hit.file_id,
        filename=hit.filename,
        score=round(score, 4),
        attributes=_attributes.decode(hit.attributes),
        text=hit.text,
    )
