"""Models of the embedded engine behind the relayed routes: a second model for embeddings, completions of the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.backends.llama.child import RANK
from antiphon.backends.llama.gguf import GgufInfo
from antiphon.backends.llama.model import _type
from antiphon.config import Config, EngineConfig
from antiphon.config.rules import check
from antiphon.errors import ConfigError
from tests.backends.llama.tiny_bert import MEAN, WIDTH, write_bert
from tests.server.serving import serving
from tests.server.whole import Client


def engine(**settings: Any) -> Config:
    config = Config(store="memory", shutdown_grace=0, engine=EngineConfig(parallel=1, **settings))
    check(config)
    return config


@contextmanager
def serve(config: Config) -> Iterator[Client]:
    from antiphon.composition import app

    with serving(app.build(config), config) as served:
        yield Client(served.url)


@pytest.mark.slow
def test_a_second_model_for_embeddings(tmp_path: Path) -> None:
    second = write_bert(tmp_path / "vectors.gguf", "tiny-vectors", MEAN)
    with serve(engine(embeddings=str(second))) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        assert {model.id: getattr(model, "type", "") for model in client.models.list()} == {
            "antiphon-demo": "text_generation",
            "tiny-vectors": "embedding",
        }
        made = client.embeddings.create(model="tiny-vectors", input=["the cat sat", "the cat sat", "the king"])
        first, same, other = (one.embedding for one in made.data)
        assert first == pytest.approx(same, abs=1e-5) and first != other
        assert len(first) == WIDTH and made.usage.prompt_tokens > 0
        status, refused = server.post("/v1/embeddings", model="tiny-vectors", input="a", dimensions=7)
        assert (status, refused["error"]["param"]) == (400, "dimensions")
        assert server.post("/v1/embeddings", model="antiphon-demo", input="a")[0] == 400
        assert server.post("/v1/rerank", model="tiny-vectors", query="a", documents=["b"])[0] == 400
        assert server.post("/v1/responses", model="tiny-vectors", input="a")[0] == 400
        chunks = list(client.completions.create(model="antiphon-demo", prompt="Hello", max_tokens=4, stream=True))
        reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
        assert reasons[-1] in ("stop", "length")


@pytest.mark.slow
def test_a_reranker(tmp_path: Path) -> None:
    model = write_bert(tmp_path / "ranker.gguf", "tiny-ranker", RANK)
    with serve(engine(model=str(model))) as server:
        assert [one["type"] for one in server.get("/v1/models")[1]["data"]] == ["rerank"]
        documents = ["the cat sat", "the king", "a dog"]
        status, ranked = server.post("/v1/rerank", query="what is the cat ?", documents=documents, top_n=2)
        assert status == 200, ranked
        scores = [one["relevance_score"] for one in ranked["results"]]
        assert len(scores) == 2 and scores == sorted(scores, reverse=True) and len(set(scores)) == 2
        assert ranked["results"][0]["document"]["text"] == documents[ranked["results"][0]["index"]]
        status, refused = server.post("/v1/embeddings", model="tiny-ranker", input="a")
        assert (status, refused["error"]["code"]) == (400, "unsupported_model")


def info(architecture: str, **numbers: int) -> GgufInfo:
    values = {f"{architecture}.{name}": value for name, value in numbers.items()}
    return GgufInfo(metadata={"general.architecture": architecture, **values}, parameters=1)


def test_what_a_file_says_that_it_is_for() -> None:
    assert _type(info("llama")) == _type(info("qwen3", pooling_type=0)) == "text_generation"
    assert _type(info("nomic-bert")) == _type(info("qwen3", pooling_type=3)) == "embedding"
    assert _type(info("bert", pooling_type=RANK)) == "rerank"


@pytest.mark.parametrize("value", ["nothing", "nowhere.gguf"])
def test_a_second_model_that_is_none(value: str) -> None:
    with pytest.raises(ConfigError, match=r"engine\.embeddings"):
        check(Config(store="memory", engine=EngineConfig(embeddings=value)))
