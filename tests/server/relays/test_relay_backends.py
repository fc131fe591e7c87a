"""Several backends behind relayed routes; metrics, access log, usage, types of models."""

from __future__ import annotations

import json
import logging
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.model_types import MODEL_TYPES, said_type, type_by_name
from antiphon.server.api.relays.usage import usage_in_tail
from tests.server.handlers import call
from tests.server.relays.every_route import MODELS, EveryRoute
from tests.server.relays.relay_requests import VECTORS
from tests.server.whole import Client, upstream, whole_server

STREAMED = json.dumps({"prompt": "a", "stream": True}).encode()


# Several backends, and who looks on


class Counting(EveryRoute, BaseHTTPRequestHandler):
    seen: ClassVar[list[Any]] = []
    absent: ClassVar[set[str]] = set()


def test_another_backend_answers_what_one_cannot() -> None:
    class Without(Counting):
        absent: ClassVar[set[str]] = {"/embeddings"}

    class Down(Counting):
        def do_POST(self) -> None:
            self.json({"error": {"message": "overloaded"}}, 503)

    for other in (Without, Down):
        with ExitStack() as stack:
            urls = [stack.enter_context(upstream(kind)) for kind in (other, Counting)]
            backends = {f"b{n}": BackendConfig(url=url) for n, url in enumerate(urls)}
            server = stack.enter_context(whole_server(backends=backends))
            for _ in range(4):
                assert server.post("/v1/embeddings", **VECTORS)[0] == 200


@pytest.mark.parametrize(("api", "status"), [("chat", 200), ("responses", 200), ("anthropic", 400), ("scripted", 400)])
def test_backends_of_all_kinds(api: str, status: int) -> None:
    with upstream(EveryRoute) as url:
        backends = {"one": BackendConfig(url=url, api=api)}
        models = {"vectors": ModelConfig(backends=["one"], name="text-embedding-mini")}
        with whole_server(backends=backends, models=models) as client:
            answered, body = client.post("/v1/embeddings", model="vectors", input="a")
    assert (answered, body.get("error", {}).get("code")) == (status, None if status == 200 else "unsupported_model")


def test_a_model_that_stands_in(server: Client) -> None:
    with upstream(EveryRoute) as url:
        backends = {"up": BackendConfig(url=url), "down": BackendConfig(url="http://127.0.0.1:9/v1", discover=False)}
        models = {
            "first": ModelConfig(backends=["down"], fallbacks=["second"]),
            "second": ModelConfig(backends=["up"], name="text-embedding-mini"),
        }
        with whole_server(backends=backends, models=models) as client:
            status, made = client.post("/v1/embeddings", model="first", input="a")
            assert (status, made["model"], len(made["data"])) == (200, "first", 1)


def test_metrics_and_the_access_log(server: Client, caplog: pytest.LogCaptureFixture) -> None:
    with upstream(EveryRoute) as url, whole_server(url, access_log=True) as client, caplog.at_level(logging.INFO):
        client.post("/v1/embeddings", **VECTORS)
        call(client.url, "POST", "/v1/images/generations", STREAMED)
        numbers = urllib.request.urlopen(f"{client.url}/metrics").read().decode()
    assert (
        'antiphon_requests_total{method="POST",route="/embeddings",status="200",model="text-embedding-mini"} 1'
        in numbers
    )
    assert 'antiphon_tokens_total{model="text-embedding-mini",kind="input"} 3' in numbers
    assert 'antiphon_tokens_total{model="gpt-image-small",kind="output"} 20' in numbers


@pytest.mark.parametrize(
    ("tail", "tokens"),
    [
        (b'data: {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\ndata: [DONE]', (3, 4)),
        (b'xxx", "usage":{"input_tokens":5,"output_tokens":20,"details":{"a":1}}}', (5, 20)),
        (b'"usage": null}\n{"usage": {"total_tokens": 9}}', (9, 0)),
        (b'{"usage": {"total_tokens": 9}} {"usage": null}', (9, 0)),
        (b'{"usage": {"type": "duration", "seconds": 3}}', None),
        (b'{"usage": {"total_tokens": "x"}}', None),
        (b'{"usage": {"total_tokens": 9', None),
        (b'"usage"' * 2000, None),
        (b'"usage":{' * 1500, None),
        (b"\xff\xfe", None),
    ],
)
def test_usage_at_the_end_of_a_stream(tail: bytes, tokens: tuple[int, int] | None) -> None:
    usage = usage_in_tail(tail)
    assert (None if usage is None else (usage.input_tokens, usage.output_tokens)) == tokens


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("text-embedding-3-small", "embedding"),
        ("BAAI/bge-m3", "embedding"),
        ("BAAI/bge-reranker-v2-m3", "rerank"),
        ("intfloat/e5-large", "embedding"),
        ("nomic-embed-text:latest", "embedding"),
        ("openai/whisper-large-v3", "transcription"),
        ("gpt-4o-transcribe", "transcription"),
        ("gpt-4o-mini-tts", "speech"),
        ("dall-e-3", "image_generation"),
        ("gpt-image-1", "image_generation"),
        ("black-forest-labs/FLUX.1-dev", "image_generation"),
        ("omni-moderation-latest", "moderation"),
        ("gpt-4.1", "text_generation"),
        ("watts-7b", "text_generation"),
        ("the-best-model", "text_generation"),
        ("ünïcödé", "text_generation"),
    ],
)
def test_types_by_name(name: str, type: str) -> None:
    assert type_by_name(name) == type


def test_types_of_the_settings_are_those_of_the_list() -> None:
    annotation = str(ModelConfig.__annotations__["type"])
    assert all(f"'{type}'" in annotation for type in MODEL_TYPES)
    assert {said_type(word) for word in MODELS.values()} == set(MODEL_TYPES)
    assert (said_type(["embed"]), said_type(["a", "b"]), said_type(3)) == ("embedding", "", "")
