"""SearchModels: the models that search asks, as the settings name them: of embeddings, rerankers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from antiphon.access.limits import Admission
from antiphon.backends.base import Backend, JsonEndpoints, Router
from antiphon.config import Config, EngineConfig
from antiphon.config.rules import ENGINE
from antiphon.errors import BackendError
from antiphon.responses.query_rewriting import QueryRewriter
from antiphon.tools.retrieval.model_calls import Embedder, Post, Reranker, TellUse

if TYPE_CHECKING:
    from antiphon.backends.llama.local_models import LocalModels


class SearchModels:
    """`embedder` and `reranker`, None where no setting names one. `backends` are those of the moment: a reload may replace them.

    A model of embeddings of the embedded engine has a process of its own, started with its first use. Raises ConfigError.
    """

    def __init__(self, config: Config, backends: Callable[[], Mapping[str, Backend]], tell: TellUse) -> None:
        settings = config.tools.file_search
        self._backends = backends
        self._rewrite = settings.rewrite
        self._engine: LocalModels | None = None
        self.embedder: Embedder | None = None
        self.reranker: Reranker | None = None
        if settings.embeddings:
            post, model = self._found(settings.embeddings, config)
            self.embedder = Embedder(
                post,
                model,
                settings.embeddings,
                tell,
                batch=settings.embedding_batch,
                text_prefix=settings.embedding_text_prefix,
                query_prefix=settings.embedding_query_prefix,
            )
        if settings.rerank:
            post, model = self._found(settings.rerank, config)
            self.reranker = Reranker(post, model, settings.rerank, tell)

    def _found(self, name: str, config: Config) -> tuple[Post, str]:
        """Return how a model is asked, and its name there."""
        backend, _, model = name.partition("/")
        if backend == ENGINE:
            from antiphon.composition.engine import open_embedder

            self._engine, id = open_embedder(config.engine or EngineConfig(), model, self._backends().get(ENGINE))
            return self._engine.post, id
        return self._post_to(backend), model

    def _post_to(self, name: str) -> Post:
        async def post(endpoint: str, body: bytes) -> bytes:
            backend = self._backends().get(name)
            if not isinstance(backend, JsonEndpoints):
                raise BackendError(503, f"There is no backend '{name}' at present.", code="backend_unavailable")
            return await backend.post(endpoint, body)

        return post

    def rewriter(self, router: Router, limiter: Admission, count: Callable[[str], None]) -> QueryRewriter | None:
        """Return what rewrites queries, None where no setting names a model for it."""
        return QueryRewriter(router, self._rewrite, limiter, count) if self._rewrite else None

    async def close(self) -> None:
        """End the engine's process."""
        if self._engine is not None:
            await self._engine.close()
