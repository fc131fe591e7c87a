"""`/organization/usage/…`: each relayed route's requests under the kind that OpenAI names, with what is counted of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from antiphon.access.usage import RELAYED_KINDS
from antiphon.config import KeyConfig
from antiphon.server.api.operator.usage import KINDS
from antiphon.server.api.relays.table import ROUTES
from antiphon.server.api.relays.usage import seconds_in_body
from tests.server.handlers import call
from tests.server.relays.every_route import EveryRoute
from tests.server.relays.relay_requests import REQUESTS
from tests.server.whole import Client, upstream, whole_server

KEYS = {"ann": KeyConfig(key="ann", owner="team-a", scopes=["chat"]), "root": KeyConfig(key="root", scopes=["admin"])}


def used(root: Client, kind: str) -> list[dict[str, Any]]:
    start = int(time.time()) // 86_400 * 86_400 - 86_400
    status, page = root.get(f"/v1/organization/usage/{kind}?start_time={start}&group_by=user_id&limit=3")
    assert status == 200, page
    return [one for bucket in page["data"] for one in bucket["results"]]


def test_every_relayed_route_but_completions_has_a_kind() -> None:
    paths = {row.path for row in ROUTES} | {"/moderations"}
    assert paths - RELAYED_KINDS.keys() == {"/completions"} and RELAYED_KINDS.keys() <= paths
    assert set(RELAYED_KINDS.values()) - KINDS.keys() == {"rerank"}  # of which OpenAI knows nothing


def test_requests_are_told_by_kind() -> None:
    with upstream(EveryRoute) as url, whole_server(url, keys=KEYS) as server:
        root = Client(server.url, "root")
        for path in (*REQUESTS, "/completions"):
            target, body, headers = REQUESTS[path]
            answer = call(server.url, "POST", target, body, {"authorization": "Bearer ann", **headers})
            assert answer.status == 200, (path, answer.body)
        moderated = {"model": "text-moderation-small", "input": "a b"}
        assert Client(server.url, "ann").post("/v1/moderations", **moderated)[0] == 200
        EveryRoute.broken["/images/generations"] = lambda handler: handler.send_error(500)
        target, body, headers = REQUESTS["/images/generations"]
        assert call(server.url, "POST", target, body, {"authorization": "Bearer ann", **headers}).status >= 500
        EveryRoute.broken.clear()
        counts = {kind: used(root, kind) for kind in KINDS}
        paths = (*REQUESTS, "/completions", "/moderations", "/images/generations")
        for kind, found in counts.items():
            requests = sum(RELAYED_KINDS.get(path, "completions") == kind for path in paths)
            assert [(one["user_id"], one["num_model_requests"]) for one in found] == [("team-a", requests)], kind
            assert found[0]["object"] == f"organization.usage.{kind}.result"
            assert found[0]["api_key_id"] is None
        assert counts["embeddings"][0]["input_tokens"] > 0
        assert counts["images"][0]["images"] >= 3  # the request that failed made none
        assert counts["audio_speeches"][0]["characters"] > 0
        assert counts["audio_transcriptions"][0]["seconds"] >= 0
        for path in ("vector_stores", "code_interpreter_sessions"):
            assert root.get(f"/v1/organization/usage/{path}?start_time=0")[0] == 404


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'{"text":"a","usage":{"type":"duration","seconds":3}}', 3),
        (b'{"text":"a","duration":2.1}', 3),
        (b'{"text":"a","duration":"8.47"}', 9),
        (b'{"text":"a","usage":{"type":"tokens","input_tokens":1}}', 0),
        (b'{"text":"a","duration":-1}', 0),
        (b'{"text":"a","duration":1e300}', 0),
        (b'{"text":"a","duration":"nan"}', 0),
        (b'{"text":"a","duration":"soon"}', 0),
        (b"[]", 0),
        (b"{", 0),
    ],
)
def test_seconds_of_a_recording(body: bytes, seconds: int) -> None:
    assert seconds_in_body(body) == seconds
