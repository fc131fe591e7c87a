"""Keys, scopes, models and limits on relayed routes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.server.api.relays.table import ROUTES
from tests.server.handlers import call
from tests.server.relays.every_route import EveryRoute
from tests.server.relays.relay_requests import REQUESTS, fault, redirect
from tests.server.whole import Client, upstream, whole_server

# Keys


def status_of(server: Client, key: str, path: str = "/embeddings", **fields: Any) -> tuple[int, str]:
    target, body, headers = REQUESTS[path]
    if fields:
        body = json.dumps(json.loads(body) | fields).encode()
    answer = call(server.url, "POST", target, body, {"authorization": f"Bearer {key}", **headers})
    return answer.status, fault(answer.body)["code"] if answer.status >= 400 else ""


@pytest.mark.parametrize("path", REQUESTS)
def test_keys_and_scopes(server: Client, path: str) -> None:
    row = next(row for row in ROUTES if row.path == path)
    assert status_of(server, "nobody", path)[0] == 401
    assert status_of(server, "old", path) == (403, "insufficient_scope")
    allowed = row.scope == "embeddings"
    status, _ = status_of(server, "vectors", path)
    assert (status == 403) != allowed


def test_models_of_a_key(server: Client) -> None:
    assert status_of(server, "vectors") == (200, "")
    assert status_of(server, "vectors", "/rerank", model="bge-reranker") == (400, "model_not_found")
    assert status_of(server, "vectors", "/rerank") == (400, "missing_required_parameter")
    listed = Client(server.url, "vectors").get("/v1/models?type=rerank")[1]["data"]
    assert listed == []


def test_limits_of_a_key(server: Client) -> None:
    assert [status_of(server, "few")[0] for _ in range(3)] == [200, 200, 429]
    for key, fields in (("poor", {"input": "one " * 40}), ("costly", {"model": "text-costly"})):
        answers = [status_of(server, key, **fields) for _ in range(8)]  # what reaches a budget is still answered
        assert (answers[0], answers[-1]) == ((200, ""), (402, "insufficient_quota"))


def test_pictures_of_a_key(server: Client) -> None:
    assert status_of(server, "painter", "/images/generations", n=2) == (200, "")
    EveryRoute.broken["/images/generations"] = redirect
    for _ in range(3):  # each gives its pictures back
        assert status_of(server, "painter", "/images/generations", n=9)[0] == 502
    EveryRoute.broken.clear()
    assert status_of(server, "painter", "/images/variations") == (200, "")
    assert status_of(server, "painter", "/images/edits") == (402, "insufficient_quota")
    assert status_of(server, "all", "/images/generations", n=11) == (400, "invalid_value")


def test_only_models_of_texts_answer_requests_that_name_none() -> None:
    with upstream(EveryRoute) as url, whole_server(url) as client:
        for path, fields in (
            ("/v1/responses", {"input": "a"}),
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
        ):
            status, refused = client.post(path, **fields)
            assert (status, refused["error"]["message"]) == (502, "The backend does not support this endpoint.")
        assert [one["slug"] for one in client.get("/v1/models")[1]["models"]] == ["babbage"]
