"""Search by words and meaning together, over a real socket, in every database: weights, rerankers, rewriting, what fails."""

from __future__ import annotations

import logging
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from antiphon.composition.app import build
from antiphon.config import BackendConfig, Config, FileSearchConfig, KeyConfig, ToolsConfig
from antiphon.stores.open import open_postgres
from antiphon.tools.retrieval import drafting, model_calls
from tests.server.serving import serving, wait_until
from tests.stores.postgres_server import Postgres, running
from tests.tools.retrieval.search_backend import SearchBackend, search_backend

pytestmark = pytest.mark.slow

TEXTS = {
    "cars": "How an automobile is repaired.",
    "words": "The word car, and the word car again: a car in a car.",
    "bread": "Bread is made of flour and water.",
}
Serve = Callable[..., Any]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "PAUSES", (0.01, 0.02, 0.04))
    monkeypatch.setattr(model_calls, "REST_SECONDS", 0.0)


@pytest.fixture
def backend() -> Iterator[tuple[str, SearchBackend]]:
    with search_backend() as found:
        yield found


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "memory":
            return "memory"
        case "sqlite":
            return str(tmp_path / "store.db")
        case _:
            created: str = request.getfixturevalue("postgres").create(f"hybrid{time.monotonic_ns()}")
            open_postgres(created)
            return created


@contextmanager
def served(store: str, url: str, others: dict[str, Any] | None = None, **settings: Any) -> Iterator[openai.OpenAI]:
    """Run a server whose backend `b` has the models of search; gives a client. `others` are further settings."""
    config = Config(
        **(others or {}),
        store=store,
        backends={"b": BackendConfig(url=url)},
        tools=ToolsConfig(file_search=FileSearchConfig(**{"embeddings": "b/mini", **settings})),
        shutdown_grace=0,
    )
    with (
        serving(build(config), config) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


def filled(client: openai.OpenAI, texts: dict[str, str] = TEXTS) -> str:
    """Make a vector store with texts, a file each; return its id."""
    store = client.vector_stores.create().id
    for name, text in texts.items():
        file = client.files.create(file=(f"{name}.txt", text.encode()), purpose="assistants")
        done = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store)
        assert done.status == "completed", done.last_error
    return store


def found(client: openai.OpenAI, store: str, query: str, **fields: Any) -> list[str]:
    page = client.vector_stores.search(store, query=query, **fields)
    scores = [one.score for one in page.data]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)
    return [one.filename.removesuffix(".txt") for one in page.data]


def weighted(embedding: float, text: float) -> dict[str, Any]:
    return {"ranking_options": {"hybrid_search": {"embedding_weight": embedding, "text_weight": text}}}


def metric(client: openai.OpenAI, line: str) -> bool:
    url = str(client.base_url).replace("/v1/", "/metrics")
    page = urllib.request.urlopen(url).read().decode()
    return line in page


def test_what_means_the_same_is_found(store: str, backend: tuple[str, SearchBackend]) -> None:
    with served(store, backend[0]) as client:
        shelf = filled(client)
        assert found(client, shelf, "mended automobiles")[0] == "cars"
        assert found(client, shelf, "mended", **weighted(0, 1)) == []  # no such word anywhere
        assert found(client, shelf, "mended", **weighted(1, 0))[0] == "cars"
        assert found(client, shelf, "car", **weighted(0, 1)) == ["words"]
        assert set(found(client, shelf, "car", **weighted(1, 1))) == set(TEXTS)
        first = [found(client, shelf, "car mended", **weighted(*pair))[0] for pair in ((0.01, 1), (1, 0.01))]
        assert first == ["words", "cars"]
        assert "bread" not in found(client, shelf, "mend cars", ranking_options={"score_threshold": 0.6})


def test_of_chosen_files_only(store: str, backend: tuple[str, SearchBackend]) -> None:
    with served(store, backend[0]) as client:
        shelf = filled(client)
        bread = next(one.id for one in client.files.list().data if one.filename == "bread.txt")
        client.vector_stores.files.update(bread, vector_store_id=shelf, attributes={"kind": "food"})
        chosen: Any = {"type": "eq", "key": "kind", "value": "food"}
        assert found(client, shelf, "mend cars", filters=chosen) == ["bread"]


def test_without_its_model_a_search_is_by_words(
    store: str, backend: tuple[str, SearchBackend], caplog: pytest.LogCaptureFixture
) -> None:
    with served(store, backend[0]) as client:
        shelf = filled(client)
        backend[1].status = 500
        with caplog.at_level(logging.WARNING, "antiphon.tools.retrieval"):
            assert found(client, shelf, "car mended") == ["words"]
            assert found(client, shelf, "car", **weighted(1, 0)) == ["words"]
        assert "file_search: embeddings model b/mini failed, searching by keywords alone: It is broken." in caplog.text
        assert metric(client, 'antiphon_search_fallbacks_total{reason="embeddings_unavailable"} 2')
        backend[1].status = 200
        assert found(client, shelf, "car mended", **weighted(1, 0.01))[0] == "cars"


def test_ingestion_asks_again_and_then_says_why_it_failed(store: str, backend: tuple[str, SearchBackend]) -> None:
    with served(store, backend[0]) as client:
        backend[1].failures = 3
        shelf = filled(client, {"cars": TEXTS["cars"]})
        assert found(client, shelf, "mend", **weighted(1, 0)) == ["cars"]
        backend[1].status = 503
        file = client.files.create(file=("bread.txt", TEXTS["bread"].encode()), purpose="assistants")
        done = client.vector_stores.files.create_and_poll(file.id, vector_store_id=shelf)
        assert done.status == "failed" and done.last_error is not None
        assert done.last_error.code == "server_error"
        assert done.last_error.message == "The text cannot be embedded: It is broken."
        assert metric(client, 'antiphon_ingested_files_total{outcome="failed"} 1')
        backend[1].status = 200
        assert client.vector_stores.files.create_and_poll(file.id, vector_store_id=shelf).status == "completed"


def test_another_model_is_told_until_files_are_added_again(
    backend: tuple[str, SearchBackend], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = str(tmp_path / "store.db")
    with served(store, backend[0]) as client:
        shelf = filled(client)
    backend[1].size = 20
    with served(store, backend[0], embeddings="b/other") as client:
        with caplog.at_level(logging.WARNING, "antiphon.tools.retrieval"):
            assert [found(client, shelf, "car mended") for _ in range(2)] == [["words"], ["words"]]
        words = "its embeddings are by model b/mini, the setting `embeddings` names b/other"
        told = [line for line in caplog.messages if words in line]
        assert len(told) == 1
        assert metric(client, 'antiphon_search_fallbacks_total{reason="other_model"} 2')
        for file in client.files.list().data:
            done = client.vector_stores.files.create_and_poll(file.id, vector_store_id=shelf)
            assert done.status == "completed"
        assert found(client, shelf, "mended cars", **weighted(1, 0))[0] == "cars"


def test_a_reranker_has_the_last_word(backend: tuple[str, SearchBackend], caplog: pytest.LogCaptureFixture) -> None:
    texts = {"first": "car car car car", "second": "a car, the best of all things that there are"}
    with served("memory", backend[0], embeddings="", rerank="b/cross") as client:
        shelf = filled(client, texts)
        assert found(client, shelf, "car", ranking_options={"ranker": "none"}) == ["first", "second"]
        assert found(client, shelf, "car") == ["second", "first"]
        assert found(client, shelf, "car", ranking_options={"score_threshold": 0.5}) == ["second"]
        assert [one.score for one in client.vector_stores.search(shelf, query="car").data] == [1.0, 0.0474]
        path, asked = backend[1].asked[-1]
        assert path == "/v1/rerank" and asked["model"] == "cross" and asked["query"] == "car"
        assert sorted(asked["documents"]) == sorted(texts.values())
        backend[1].status = 500
        with caplog.at_level(logging.WARNING, "antiphon.tools.retrieval"):
            assert found(client, shelf, "car") == ["first", "second"]
        assert "file_search: reranker b/cross failed" in caplog.text
        assert metric(client, 'antiphon_search_fallbacks_total{reason="reranker_unavailable"} 1')


def test_a_query_is_rewritten(backend: tuple[str, SearchBackend]) -> None:
    with served("memory", backend[0], embeddings="", rewrite="m") as client:
        shelf = filled(client)
        ask = client.vector_stores.with_raw_response.search
        answer = ask(shelf, query="Could you please tell me of vehicles?", rewrite_query=True)
        assert "x-antiphon-ignored" not in answer.headers
        page = answer.parse()
        assert answer.http_response.json()["search_query"] == ["car"]
        assert [one.filename for one in page.data] == ["words.txt"]
        asked = backend[1].asked[-1][1]["messages"]
        assert asked[-1] == {"role": "user", "content": "Could you please tell me of vehicles?"}
        assert "Rewrite" in asked[0]["content"]
        plain = ask(shelf, query="bread")
        assert plain.http_response.json()["search_query"] == ["bread"]
        backend[1].status = 500
        answer = ask(shelf, query="bread", rewrite_query=True)
        assert answer.headers["x-antiphon-ignored"] == "rewrite_query"
        assert answer.http_response.json()["search_query"] == ["bread"]
        assert metric(client, 'antiphon_search_fallbacks_total{reason="rewriter_unavailable"} 1')


def test_rewriting_counts_for_a_key(backend: tuple[str, SearchBackend]) -> None:
    """Its tokens are in the usage of the key, and it is refused where its limit is reached; a plain search is not."""
    keys = {
        "ann": KeyConfig(key="sk-ann", owner="ann", limits=("1 requests/day",)),
        "root": KeyConfig(key="sk-root", owner="root", scopes=("admin",)),
    }
    with served("memory", backend[0], {"keys": keys}, embeddings="", rewrite="m") as client:
        client = client.with_options(api_key="sk-ann")
        shelf = filled(client)
        client.vector_stores.search(shelf, query="vehicles", rewrite_query=True)
        used = str(client.with_options(api_key="sk-root").get("/admin/usage", cast_to=object))
        assert "'input_tokens': 50" in used and "'output_tokens': 9" in used, used
        with pytest.raises(openai.RateLimitError):
            client.vector_stores.search(shelf, query="vehicles", rewrite_query=True)
        assert found(client, shelf, "car") == ["words"]


def test_what_searches_ask_of_models_counts_for_a_key(backend: tuple[str, SearchBackend]) -> None:
    """Files that are embedded count for their owner, searches for the key, in its budget too."""
    keys = {
        "ann": KeyConfig(key="sk-ann", owner="ann", limits=("3 tokens/day",)),
        "root": KeyConfig(key="sk-root", owner="root", scopes=("admin",)),
    }
    with served("memory", backend[0], {"keys": keys}, rerank="b/cross") as client:
        client, root = client.with_options(api_key="sk-ann"), client.with_options(api_key="sk-root")
        shelf = filled(client)
        found(client, shelf, "a car or another vehicle, whatever it is called here")

        def helpers() -> dict[tuple[str, str, str], int]:
            answer: Any = root.get("/admin/usage?group_by=owner,key,model,tool", cast_to=object)
            rows = [row for row in answer["data"] if row["tool"].startswith("helper:")]
            return {(row["key"], row["model"], row["tool"]): row["input_tokens"] for row in rows}

        used = helpers()
        assert set(used) == {
            ("", "b/mini", "helper:embedding"),
            ("config/ann", "b/mini", "helper:embedding"),
            ("config/ann", "b/cross", "helper:rerank"),
        }
        assert all(count > 0 for count in used.values())
        wait_until(lambda: _is_spent(client))


def _is_spent(client: openai.OpenAI) -> bool:
    try:
        client.responses.create(model="m", input="Hi.")
    except openai.APIStatusError as error:
        return error.status_code in (402, 429)
    return False


def test_what_is_not_there_is_named(backend: tuple[str, SearchBackend]) -> None:
    with served("memory", backend[0], embeddings="") as client:
        shelf = filled(client)
        ask = client.vector_stores.with_raw_response.search
        answer = ask(shelf, query="car", rewrite_query=True, extra_body=weighted(1, 1))
        assert answer.headers["x-antiphon-ignored"] == "rewrite_query, ranking_options.hybrid_search"
        tool: Any = {"type": "file_search", "vector_store_ids": [shelf], **weighted(1, 1)}
        response = client.responses.with_raw_response.create(model="m", input="Hello", tools=[tool])
        assert response.headers["x-antiphon-ignored"] == "tools[0].ranking_options.hybrid_search"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"ranker": "best"}, "ranking_options.ranker"),
        ({"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}, "ranking_options.hybrid_search"),
        ({"hybrid_search": {"embedding_weight": -1}}, "ranking_options.hybrid_search.embedding_weight"),
        ({"score_threshold": 2}, "ranking_options.score_threshold"),
    ],
)
def test_ranking_options_are_checked(backend: tuple[str, SearchBackend], options: Any, param: str) -> None:
    with served("memory", backend[0]) as client:
        shelf = client.vector_stores.create().id
        with pytest.raises(openai.BadRequestError) as caught:
            client.vector_stores.search(shelf, query="car", ranking_options=options)
        assert caught.value.param == param
        tool: Any = {"type": "file_search", "vector_store_ids": [shelf], "ranking_options": options}
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(model="m", input="Hello", tools=[tool])
        assert caught.value.param == f"tools[0].{param}"
