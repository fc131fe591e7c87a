"""`/v1/embeddings`: vectors in the form and of the size that is asked for, and what is no answer."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from antiphon.config import ModelConfig
from tests.server.relays.every_route import EveryRoute
from tests.server.whole import Client, upstream, whole_server

NUMBERS = [0.5, -0.25, 0.125, 1.0]
PACKED = base64.b64encode(struct.pack("<4f", *NUMBERS)).decode()


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    with upstream(EveryRoute) as url, whole_server(url, models={"russian": ModelConfig(matryoshka=True)}) as server:
        yield server


@pytest.fixture(autouse=True)
def mended() -> Iterator[None]:
    yield
    EveryRoute.broken.clear()


def answers(value: Any) -> None:
    """Let the backend answer with this."""
    EveryRoute.broken["/embeddings"] = lambda handler: handler.json(value)


def listed(*vectors: Any, **fields: Any) -> dict:
    return {"data": [{"index": place, "embedding": one} for place, one in enumerate(vectors)], **fields}


def ask(server: Client, **fields: Any) -> tuple[int, Any]:
    return server.post("/v1/embeddings", **{"model": "text-embedding-mini", "input": "a", **fields})


@pytest.mark.parametrize("vector", [NUMBERS, PACKED])
@pytest.mark.parametrize(("form", "wanted"), [("float", NUMBERS), (None, NUMBERS), ("base64", PACKED)])
def test_a_backend_that_knows_one_form_only(server: Client, vector: Any, form: str | None, wanted: Any) -> None:
    answers(listed(vector))
    status, made = ask(server, encoding_format=form)
    assert (status, made["data"][0]["embedding"]) == (200, wanted)


@pytest.mark.parametrize("form", ["float", "base64"])
@pytest.mark.parametrize("vector", [NUMBERS, PACKED])
def test_a_backend_that_does_not_know_dimensions(server: Client, vector: Any, form: str) -> None:
    answers(listed(vector))
    status, refused = ask(server, dimensions=2, encoding_format=form)
    assert (status, refused["error"]["param"], refused["error"]["code"]) == (400, "dimensions", "unsupported_parameter")
    status, made = ask(server, model="russian", dimensions=2, encoding_format=form)
    assert status == 200
    got = made["data"][0]["embedding"]
    numbers = struct.unpack("<2f", base64.b64decode(got)) if form == "base64" else got
    assert numbers == pytest.approx([0.8944, -0.4472], abs=1e-4)
    assert ask(server, model="russian", dimensions=5)[0] == 400


def test_an_order_that_is_not_kept(server: Client) -> None:
    answers({"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}], "usage": None})
    status, made = ask(server, input=["a", "b"])
    assert [one["embedding"] for one in made["data"]] == [[1.0], [2.0]]
    assert (status, made["usage"]) == (200, {"prompt_tokens": 0, "total_tokens": 0})


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"data": None},
        {"data": []},
        listed(NUMBERS, NUMBERS),
        listed([]),
        listed(None),
        listed("no base64!"),
        listed("AAAA"),
        listed(["a"]),
        listed({"float": [1.0]}),
        listed([0.0] * 8193),
        {"data": [{"index": 5, "embedding": NUMBERS}]},
        {"data": [{"index": "x", "embedding": NUMBERS}]},
        {"error": {"message": "kaputt"}},
    ],
    ids=str,
)
def test_what_is_no_answer(server: Client, answer: Any) -> None:
    answers(answer)
    for form in ("float", "base64"):
        status, refused = ask(server, encoding_format=form)
        assert (status, refused["error"]["code"]) == (502, "backend_error")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": ["a", 1]}, "input"),
        ({"input": [1.5]}, "input[0]"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "x"}, "dimensions"),
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"model": "nobody"}, "model"),
        ({"stream": "yes"}, "stream"),
    ],
    ids=str,
)
def test_what_is_no_request(server: Client, fields: Any, param: str) -> None:
    seen = len(EveryRoute.seen)
    status, refused = ask(server, **fields)
    assert (status, refused["error"]["param"]) == (400, param)
    assert len(EveryRoute.seen) == seen


def test_many_tokens(server: Client) -> None:
    answers(listed(*[[1.0]] * 40))
    assert ask(server, input=[[7] * 7500] * 40)[0] == 200
    status, refused = ask(server, input=[[7] * 11_000] * 40)
    assert (status, refused["error"]["code"]) == (400, "invalid_json")
