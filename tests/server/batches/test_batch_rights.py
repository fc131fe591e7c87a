"""Batches of keys that may call some routes only: what they make, see, cancel, and which files are theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from antiphon.server.batches.openai import ENDPOINTS
from tests.server.batches.batch_client import client_of, ended, jsonl, lines_of, submit
from tests.server.relays.every_route import EveryRoute
from tests.server.whole import upstream, whole_server

pytestmark = pytest.mark.slow

SCOPES = ("responses", "chat", "embeddings", "moderations", "images", "audio", "read")
MAY: dict[str, set[str]] = {
    "/v1/responses": {"responses"},
    "/v1/chat/completions": {"chat"},
    "/v1/messages": {"responses"},
    "/v1/decisions": {"responses"},
    "/v1/completions": {"chat"},
    "/v1/embeddings": {"chat", "embeddings"},
    "/v1/rerank": {"chat", "embeddings"},
    "/v1/moderations": {"chat", "moderations"},
    "/v1/images/generations": {"chat", "images"},
    "/v1/images/edits": {"chat", "images"},
}
CHAT_LINE = {
    "custom_id": "1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "scripted", "messages": [{"role": "user", "content": "Hi."}]},
}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "embeddings": ("/v1/embeddings", {"model": "text-embedding-mini", "input": "a b"}),
    "moderations": ("/v1/moderations", {"model": "text-moderation-small", "input": "a b"}),
    "images": ("/v1/images/edits", {"model": "gpt-image-small", "prompt": "A hat.", "images": []}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    keys: dict[str, KeyConfig] = {
        name: KeyConfig(key=f"sk-{name}", owner="ann", scopes=[name])  # type: ignore[list-item]  # names of SCOPES
        for name in SCOPES
    }
    keys["bob"] = KeyConfig(key="sk-bob", owner="bob", scopes=["chat"])
    keys["whole"] = KeyConfig(key="sk-whole", owner="ann", scopes=["responses", "chat"])
    models = {"text-moderation-small": ModelConfig(type="moderation")}
    with upstream(EveryRoute) as url:
        backends = {"every": BackendConfig(url=url), "script": BackendConfig(url="http://127.0.0.1:9", api="scripted")}
        with whole_server(backends=backends, keys=keys, models=models) as server:
            yield server.url


def upload(client: openai.OpenAI, purpose: Any = "batch") -> str:
    return client.files.create(file=("a.jsonl", jsonl([CHAT_LINE])), purpose=purpose).id


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_key_makes_batches_of_what_it_may_call(server: str, scope: str, endpoint: Any) -> None:
    client, whole = client_of(server, f"sk-{scope}"), client_of(server, "sk-whole")
    file = upload(whole)
    if scope not in MAY[endpoint]:
        with pytest.raises(openai.PermissionDeniedError):
            client.batches.create(input_file_id=file, endpoint=endpoint, completion_window="24h")
        return
    made = client.batches.create(input_file_id=file, endpoint=endpoint, completion_window="24h")
    assert client.batches.retrieve(made.id).endpoint == endpoint
    ended(whole, client.batches.cancel(made.id))


def test_a_key_that_may_only_chat_does_all_of_it(server: str) -> None:
    chat, whole = client_of(server, "sk-chat"), client_of(server, "sk-whole")
    other = submit(whole, jsonl([{**CHAT_LINE, "url": "/v1/responses"}]), "/v1/responses")
    mine = [ended(chat, submit(chat, jsonl([CHAT_LINE]), "/v1/chat/completions")) for _ in range(3)]
    assert {batch.status for batch in mine} == {"completed"}
    [answer] = lines_of(chat, mine[0].output_file_id)
    assert answer["response"]["body"]["object"] == "chat.completion"
    seen = [batch.endpoint for batch in chat.batches.list(limit=2)]  # all pages
    assert "/v1/responses" not in seen and len(seen) >= 3
    assert other.id in [batch.id for batch in whole.batches.list()]
    for call in (chat.batches.retrieve, chat.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            call(other.id)
    assert chat.files.delete(mine[0].output_file_id or "").deleted


@pytest.mark.parametrize("scope", BODIES)
def test_keys_of_one_kind_of_route(server: str, scope: str) -> None:
    endpoint, body = BODIES[scope]
    client = client_of(server, f"sk-{scope}")
    line = {"custom_id": "1", "method": "POST", "url": endpoint, "body": body}
    batch = ended(client, submit(client, jsonl([line]), endpoint))
    assert batch.status == "completed"
    [answer] = lines_of(client, batch.output_file_id)
    assert answer["response"]["status_code"] == 200


def test_files_that_are_of_no_batch_stay_those_of_responses(server: str) -> None:
    chat, whole, bob = (client_of(server, f"sk-{name}") for name in ("chat", "whole", "bob"))
    with pytest.raises(openai.PermissionDeniedError):
        upload(chat, "user_data")
    private, batch = upload(whole, "user_data"), upload(whole)
    for call in (chat.files.retrieve, chat.files.content, chat.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(private)
    assert chat.files.retrieve(batch).purpose == "batch"
    listed = [file.id for file in chat.files.list(limit=1)]  # all pages
    assert batch in listed and private not in listed
    with pytest.raises(openai.NotFoundError):
        chat.batches.create(input_file_id=upload(bob), endpoint="/v1/chat/completions", completion_window="24h")
    reader = client_of(server, "sk-read")
    assert reader.files.retrieve(private).id == private
    with pytest.raises(openai.PermissionDeniedError):
        reader.files.delete(private)
    with pytest.raises(openai.PermissionDeniedError):
        client_of(server, "sk-audio").files.list()


@pytest.mark.parametrize("endpoint", ["/v1/videos", "/v1/audio/transcriptions", "/v1/audio/speech", "/v1/nothing", ""])
def test_other_endpoints_are_refused_with_those_that_there_are(server: str, endpoint: Any) -> None:
    client = client_of(server, "sk-whole")
    with pytest.raises(openai.BadRequestError) as caught:
        client.batches.create(input_file_id=upload(client), endpoint=endpoint, completion_window="24h")
    assert caught.value.param == "endpoint"
    assert all(one in str(caught.value) for one in ("/v1/images/edits", repr(endpoint)))
