"""Files are embedded once, whoever dies meanwhile; the embedded engine runs models of embeddings."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.backends.llama.model import DEMO_FILE
from antiphon.composition.search_models import SearchModels
from antiphon.config import Config, FileSearchConfig, ToolsConfig
from antiphon.config.rules import check
from antiphon.errors import ConfigError
from antiphon.stores.open import open_memory, open_store
from antiphon.tools.retrieval.ingestion import IngestBounds, Ingestion
from antiphon.tools.retrieval.search import Searcher, SearchTerms
from tests.stores.postgres_server import Postgres, running
from tests.tools.retrieval.search_backend import SearchBackend, search_backend
from tests.tools.retrieval.test_ingestion import ANN, ended, filled

pytestmark = pytest.mark.slow

FILES = 3


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    created: str = request.getfixturevalue("postgres").create(f"embedding{time.monotonic_ns()}")
    return created


WORKER = """
import asyncio, sys, time
from antiphon.config import BackendConfig, Config, FileSearchConfig, ToolsConfig
from antiphon.backends.open import open_backends
from antiphon.tools.retrieval import ingestion
from antiphon.composition.search_models import SearchModels
from antiphon.stores.open import open_store
ingestion.LEASE, ingestion.POLL, ingestion.MOST_CRASHES = 0.5, 0.05, 1000
async def main():
    settings = FileSearchConfig(embeddings="b/mini", embedding_batch=2)
    config = Config(backends={"b": BackendConfig(url=sys.argv[2])}, tools=ToolsConfig(file_search=settings))
    backends = open_backends(config)
    embedder = SearchModels(config, lambda: backends, lambda kind, model, usage, owner: None).embedder
    bounds = ingestion.IngestBounds(tokens=100, overlap=0)
    worker = ingestion.Ingestion(open_store(sys.argv[1]), bounds, time.time, embedder)
    await worker.start()
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_whoever_takes_a_file_over_goes_on_behind_the_last_batch(url: str) -> None:
    store = open_store(url)
    id = await filled(store, count=FILES)
    with search_backend() as (address, backend):
        for wanted in (4, 9, 15, 10_000):
            worker = subprocess.Popen([sys.executable, "-c", WORKER, url, address])  # noqa: ASYNC220
            task = asyncio.create_task(ended(store, id))
            while len(backend.texts) < wanted and not task.done():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            worker.kill()
            worker.wait()
            task.cancel()
        files = await ended(store, id)
        assert [file.status for file in files] == ["completed"] * FILES
        texts = [text for file in files for text in await store.vector_stores.content(id, file.file_id, ANN, 0, 1000)]
        asked = Counter(backend.texts)
        assert set(asked) == set(texts) and len(texts) > 20
        # Each death costs one batch at most: that which was asked for, and not kept yet.
        assert sum(asked.values()) <= len(texts) + 3 * 2 and max(asked.values()) <= 3
        vectors = await store.vector_stores.nearest(id, ANN, "b/mini", [1.0] + [0.0] * 47, 1000)
        assert sorted(hit.text for hit in vectors.hits) == sorted(texts)
    await store.close()


async def test_a_stop_while_the_model_is_asked_again_gives_the_file_back(monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_memory()
    id = await filled(store, count=1)
    state = SearchBackend()
    state.status = 503
    reached = asyncio.Event()

    class Model:
        label, batch = "b/mini", 2

        async def texts(self, texts: list[str], owner: str) -> None:
            reached.set()
            await asyncio.Event().wait()

    worker = Ingestion(store, IngestBounds(), time.time, Model())  # type: ignore[arg-type]
    await worker.start()
    await reached.wait()
    await worker.close()
    job = await store.vector_stores.claim("other", time.time(), 10.0)
    assert job is not None and job.store_id == id and job.crashes == 0


# The embedded engine


async def test_a_gguf_file_is_run_by_the_embedded_engine() -> None:
    """The demo model is none of embeddings, but its states are vectors, too."""
    config = Config(tools=ToolsConfig(file_search=FileSearchConfig(embeddings=f"engine/{DEMO_FILE}")))
    check(config)
    models = SearchModels(config, dict, lambda kind, model, usage, owner: None)
    assert models.embedder is not None
    store = open_memory()
    try:
        id = await filled(store, count=1, content=b"Penguins live in the south. " * 40)
        worker = Ingestion(store, IngestBounds(tokens=100, overlap=0), time.time, models.embedder)
        await worker.start()
        (file,) = await ended(store, id)
        await worker.close()
        assert file.status == "completed", file.error_message
        terms = SearchTerms(stores=[id], owner=ANN, queries=["Where are penguins?"], limit=3, text_weight=0)
        found = await Searcher(store.vector_stores, models.embedder).search(terms)
        assert found and all("Penguins" in one.text for one in found)
        longer = "word " * 20_000  # beyond the model's context: cut, not refused
        (vector,) = await models.embedder.texts([longer])
        assert sum(value * value for value in vector) == pytest.approx(1)
    finally:
        await models.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"embeddings": "mini"}, "tools.file_search.embeddings: 'mini': expected BACKEND/MODEL"),
        ({"embeddings": "nobody/mini"}, "unknown backend 'nobody'"),
        ({"embeddings": "engine/none.gguf"}, "file not found: 'none.gguf'"),
        ({"rerank": "engine/a.gguf"}, "does not rerank"),
    ],
)
def test_names_of_models_are_checked(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check(Config(tools=ToolsConfig(file_search=FileSearchConfig(**settings))))  # type: ignore[arg-type]
