"""`/v1/rerank`: one request and one answer for servers of all dialects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from tests.server.relays.every_route import EveryRoute, shared_words
from tests.server.whole import Client, upstream, whole_server

DOCUMENTS = ["a dog", "the cat sat", {"text": "cat"}]
QUERY = "the cat"


class Dialect(EveryRoute, BaseHTTPRequestHandler):
    """A server of one kind; `wanted` are its paths, `refusal` its words for another spelling."""

    seen: ClassVar[list[Any]] = []
    paths: ClassVar[tuple[str, ...]] = ()

    def do_GET(self) -> None:
        self.json({"data": [{"id": "ranker", "object": "model"}]})

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append((self.path, said))
        if self.path not in self.paths:
            self.bytes(b"", "text/plain", 404)
            return
        self.rank(said)

    def rank(self, said: Any) -> None:
        raise NotImplementedError


def scores(said: Any, name: str = "documents") -> list[float]:
    texts = [one if isinstance(one, str) else one["text"] for one in said[name]]
    return [shared_words(said["query"], text) for text in texts]


class Vllm(Dialect):
    seen: ClassVar[list[Any]] = []
    paths = ("/rerank", "/v1/rerank", "/v2/rerank")

    def rank(self, said: Any) -> None:
        ranked = [
            {"index": place, "document": {"text": "x"}, "relevance_score": score}
            for place, score in sorted(enumerate(scores(said)), key=lambda pair: -pair[1])
        ]
        self.json(
            {"id": "rerank-9", "model": "ranker", "usage": {"total_tokens": 31}, "results": ranked[: said.get("top_n")]}
        )


class LlamaCpp(Dialect):
    seen: ClassVar[list[Any]] = []
    paths = ("/rerank", "/v1/rerank")

    def rank(self, said: Any) -> None:
        ranked = [{"index": place, "relevance_score": score} for place, score in enumerate(scores(said))]
        usage = {"prompt_tokens": 31, "total_tokens": 31}
        self.json({"model": "ranker", "object": "list", "usage": usage, "results": ranked})


class Voyage(Dialect):
    seen: ClassVar[list[Any]] = []
    paths = ("/v1/rerank",)

    def rank(self, said: Any) -> None:
        if "top_n" in said:
            self.json({"detail": "Argument 'top_n' is not supported by our API."}, 400)
            return
        ranked = [{"index": place, "relevance_score": score} for place, score in enumerate(scores(said))]
        ranked.sort(key=lambda one: -one["relevance_score"])
        self.json(
            {"object": "list", "data": ranked[: said.get("top_k")], "model": "ranker", "usage": {"total_tokens": 31}}
        )


class RootOnly(LlamaCpp):
    """Infinity, where it has no prefix."""

    seen: ClassVar[list[Any]] = []
    paths = ("/rerank",)


class Tei(Dialect):
    seen: ClassVar[list[Any]] = []
    paths = ("/rerank",)

    def rank(self, said: Any) -> None:
        if "texts" not in said:
            words = (
                "Failed to deserialize the JSON body into the target type: missing field `texts` at line 1 column 77"
            )
            self.bytes(words.encode(), "text/plain; charset=utf-8", 422)
            return
        ranked = [{"index": place, "score": score} for place, score in enumerate(scores(said, "texts"))]
        self.json(sorted(ranked, key=lambda one: -one["score"]))


@pytest.fixture(params=[Vllm, LlamaCpp, Voyage, RootOnly, Tei])
def dialect(request: pytest.FixtureRequest) -> type[Dialect]:
    request.param.seen.clear()
    return request.param


@pytest.fixture
def server(dialect: type[Dialect]) -> Iterator[Client]:
    with upstream(dialect) as url, whole_server(url) as server:
        yield server


def test_every_dialect_gives_one_answer(server: Client, dialect: type[Dialect]) -> None:
    status, ranked = server.post("/v1/rerank", model="ranker", query=QUERY, documents=DOCUMENTS, top_n=2)
    assert status == 200, ranked
    assert ranked["results"] == [
        {"index": 1, "relevance_score": 1.0, "document": {"text": "the cat sat"}},
        {"index": 2, "relevance_score": 0.5, "document": {"text": "cat"}},
    ]
    assert ranked["model"] == "ranker"
    assert ranked["usage"]["total_tokens"] == (0 if dialect is Tei else 31)
    asked = len(dialect.seen)
    again = server.post("/v1/rerank", query=QUERY, texts=["a", "cat"], top_k=1, return_documents=False, model="ranker")
    assert again == (200, {**ranked, "results": [{"index": 1, "relevance_score": 0.5}]})
    assert len(dialect.seen) == asked + 1, "which dialect it takes is remembered"


def test_the_paths_of_other_clients(server: Client, dialect: type[Dialect]) -> None:
    fields = {"model": "ranker", "query": QUERY, "documents": DOCUMENTS}
    first = server.post("/v1/rerank", **fields)
    assert first[0] == 200
    assert server.post("/rerank", **fields) == first
    assert server.post("/v2/rerank", **fields) == first


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": None},
        {"results": [{"index": 9, "relevance_score": 1}]},
        {"results": [{"index": 0, "relevance_score": 1}] * 2},
        {"results": [{"index": 0}]},
        {"results": [{"index": -1, "score": 1}]},
        [{"index": 0, "score": "high"}],
        "words",
    ],
    ids=str,
)
def test_what_is_no_ranking(answer: Any) -> None:
    class Wrong(LlamaCpp):
        def rank(self, said: Any) -> None:
            self.json(answer)

    with upstream(Wrong) as url, whole_server(url) as server:
        status, refused = server.post("/v1/rerank", model="ranker", query="a", documents=["a"])
        assert (status, refused["error"]["code"]) == (502, "backend_error")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"query": None}, "query"),
        ({"documents": None}, "documents"),
        ({"documents": []}, "documents"),
        ({"documents": ["a"] * 2049}, "documents"),
        ({"documents": ["a", 3]}, "documents[1]"),
        ({"documents": "a"}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"return_documents": "x"}, "return_documents"),
    ],
    ids=str,
)
def test_what_is_no_request(fields: Any, param: str) -> None:
    with upstream(LlamaCpp) as url, whole_server(url) as server:
        whole = {"model": "ranker", "query": "a", "documents": ["a"], **fields}
        status, refused = server.post("/v1/rerank", **whole)
        assert (status, refused["error"]["param"]) == (400, param)


def test_documents_that_are_no_texts_for_a_server_of_texts() -> None:
    with upstream(Tei) as url, whole_server(url) as server:
        fields = {"model": "ranker", "query": "a", "documents": [{"title": "a"}]}
        status, refused = server.post("/v1/rerank", **fields)
        assert (status, refused["error"]["param"]) == (400, "documents")
