"""`ranking_options` of searches, as the tool `file_search` and `/v1/vector_stores/{id}/search` take them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.errors import InvalidRequest

NO_RANKER = "none"
RANKERS = ("auto", "default")
"""How the names of rankers begin that put what was found in order: `default-2024-11-15` and the like."""

Weight = Annotated[float, Meta(ge=0, le=1_000_000)]


class HybridSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Weights of the rankings by vectors and by words in their fusion (OpenAI's "HybridSearchOptions")."""

    embedding_weight: Weight = 1.0
    text_weight: Weight = 1.0


class RankingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How hits are ranked (OpenAI's "RankingOptions"): `none` is without a reranker; less relevant hits are left out."""

    ranker: str = "auto"
    score_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0
    hybrid_search: HybridSearch | None = None

    @property
    def reranks(self) -> bool:
        """Whether a reranker is to put the hits in order."""
        return self.ranker != NO_RANKER

    @property
    def weights(self) -> tuple[float, float]:
        """The weights of the rankings by words and by vectors."""
        hybrid = self.hybrid_search or HybridSearch()
        return hybrid.text_weight, hybrid.embedding_weight


DEFAULT_RANKING = RankingOptions()


def checked(options: RankingOptions | None, path: str) -> RankingOptions:
    """Return the options, the defaults for None. Raises InvalidRequest; `path` is where they stand."""
    if options is None:
        return DEFAULT_RANKING
    if options.ranker != NO_RANKER and not options.ranker.startswith(RANKERS):
        raise InvalidRequest(
            f"Invalid '{path}.ranker': must be one of none, auto, default-2024-11-15.", param=f"{path}.ranker"
        )
    if not any(options.weights):
        raise InvalidRequest(
            f"Invalid '{path}.hybrid_search': one of its weights must be more than 0.", param=f"{path}.hybrid_search"
        )
    return options
