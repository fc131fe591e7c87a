"""Models of the embedded engine behind the relayed routes: a second model for embeddings, completions of the first."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from antiphon.backends.llama.gguf import GgufInfo
from antiphon.backends.llama.model import DEMO_FILE, RANK, _type
from antiphon.config import Config, EngineConfig
from antiphon.config.rules import check
from antiphon.errors import ConfigError
from tests.server.serving import serving
from tests.server.whole import Client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    from antiphon.composition import app

    # The demo model knows no language, but gives vectors as any model does. The second one has a name of its own.
    second = tmp_path_factory.mktemp("models") / "vectors.gguf"
    content = DEMO_FILE.read_bytes()
    assert content.count(b"antiphon-demo") == 1
    second.write_bytes(content.replace(b"antiphon-demo", b"antiphon-vecs"))
    config = Config(store="memory", shutdown_grace=0, engine=EngineConfig(embeddings=str(second), parallel=1))
    check(config)
    with serving(app.build(config), config) as served:
        yield Client(served.url)


@pytest.mark.slow
def test_embeddings_and_completions_of_the_engine(server: Client) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    assert {model.id: getattr(model, "type", "") for model in client.models.list()} == {
        "antiphon-demo": "text_generation",
        "antiphon-vecs": "embedding",
    }
    made = client.embeddings.create(model="antiphon-vecs", input=["a word", "a word", "another"])
    first, same, other = (one.embedding for one in made.data)
    assert first == pytest.approx(same, abs=1e-5) and first != other
    assert len(first) > 100 and made.usage.prompt_tokens > 0
    status, refused = server.post("/v1/embeddings", model="antiphon-vecs", input="a", dimensions=7)
    assert (status, refused["error"]["param"]) == (400, "dimensions")
    assert server.post("/v1/embeddings", model="antiphon-demo", input="a")[0] == 400
    assert server.post("/v1/rerank", model="antiphon-vecs", query="a", documents=["b"])[0] in (400, 502)
    chunks = list(client.completions.create(model="antiphon-demo", prompt="Hello", max_tokens=4, stream=True))
    assert any(chunk.choices[0].text for chunk in chunks if chunk.choices)


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
