"""Batches of requests to routes that are passed on to a backend: embeddings, completions, moderations, decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, get_args

import openai
import pytest

from antiphon.config import BackendConfig, ModelConfig
from antiphon.server.batches.openai import Endpoint
from tests.server.batches.batch_client import client_of, ended, jsonl, lines_of, submit
from tests.server.whole import upstream, whole_server

pytestmark = pytest.mark.slow

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ANSWERS: dict[str, Any] = {
    "/v1/embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    },
    "/v1/completions": {"object": "text_completion", "choices": [{"index": 0, "text": "Hi.", "finish_reason": "stop"}]},
}
BODIES: dict[str, Any] = {
    "/v1/embeddings": {"model": "embedder", "input": "Hi."},
    "/v1/completions": {"model": "writer", "prompt": "Say hi."},
}


class Relayed(BaseHTTPRequestHandler):
    """Answers every path with what belongs to it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = {"usage": USAGE, "model": request["model"], "id": "x", **ANSWERS[self.path]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with upstream(Relayed) as url:
        backends = {"upstream": BackendConfig(url=url, discover=False)}
        models = {
            "embedder": ModelConfig(backends=["upstream"], type="embedding"),
            "writer": ModelConfig(backends=["upstream"]),
        }
        with whole_server(url, backends=backends, models=models) as server:
            yield client_of(server.url)


@pytest.mark.parametrize("endpoint", BODIES)
def test_requests_are_passed_on(client: openai.OpenAI, endpoint: str) -> None:
    line = {"custom_id": "1", "method": "POST", "url": endpoint, "body": BODIES[endpoint]}
    batch = ended(client, submit(client, jsonl([line]), endpoint))
    assert batch.status == "completed" and batch.usage is not None, batch
    [answer] = lines_of(client, batch.output_file_id)
    body = answer["response"]["body"]
    name = "data" if endpoint == "/v1/embeddings" else "choices"
    assert body[name] == ANSWERS[endpoint][name]
    assert batch.usage.total_tokens == body["usage"]["total_tokens"]


def test_each_endpoint_is_a_route_of_the_server(client: openai.OpenAI) -> None:
    """What OpenAI names and the server has not is refused as such; what it has is taken."""
    file = client.files.create(file=("a.jsonl", b"x"), purpose="batch")
    for endpoint in get_args(Endpoint):
        wanted: Any = endpoint
        assert client.batches.create(input_file_id=file.id, endpoint=wanted, completion_window="24h").id
    unknown: Any = "/v1/videos"
    with pytest.raises(openai.BadRequestError):
        client.batches.create(input_file_id=file.id, endpoint=unknown, completion_window="24h")
