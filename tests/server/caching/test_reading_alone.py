"""A longest answer of 0 tokens: the prompt is read, so that its cache has it, and nothing is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2 as httpx
import pytest

from antiphon.config import BackendConfig, GuardConfig
from tests.server.caching.prefix_cache import PrefixCache
from tests.server.test_messages import folded
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = pytest.mark.slow

GUARDS = {"g": GuardConfig(kind="patterns", words=["bomb"])}
SAID = [{"role": "user", "content": "Hello. " + " ".join(f"word{n}" for n in range(500))}]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Client]]:
    """One server for each kind of backend; the last two have the first one behind them."""
    with upstream(PrefixCache) as url, whole_server(url, guards=GUARDS) as chat:
        one = BackendConfig(url=f"{chat.url}/v1", api="responses")
        other = BackendConfig(url=chat.url, api="anthropic")
        with (
            whole_server(backends={"r": one}) as responses,
            whole_server(backends={"a": other}, guards=GUARDS) as anthropic,
        ):
            yield {"chat": chat, "responses": responses, "anthropic": anthropic}


def asked() -> Json:
    PrefixCache.forget()
    return {"model": "m", "messages": SAID}


BACKENDS = pytest.mark.parametrize("backend", ["chat", "responses", "anthropic"])
STREAMED = pytest.mark.parametrize("stream", [False, True])


@BACKENDS
@STREAMED
def test_a_message(servers: dict[str, Client], backend: str, stream: bool) -> None:
    body = {**asked(), "max_tokens": 0, "stream": stream}
    answer = httpx.post(f"{servers[backend].url}/v1/messages", json=body)
    assert answer.status_code == 200, answer.text
    message = folded(answer.text) if stream else answer.json()
    assert (message["content"], message["stop_reason"]) == ([], "max_tokens")
    assert message["usage"]["output_tokens"] == 0 and message["usage"]["input_tokens"] > 400
    assert len(PrefixCache.asked) == 1 and PrefixCache.asked[0]["max_tokens"] <= 16  # the least that Responses take


@BACKENDS
@STREAMED
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("more", [{}, {"moderation": {"model": "g"}}], ids=["", "moderation"])
def test_a_chat_completion(servers: dict[str, Client], backend: str, stream: bool, field: str, more: Json) -> None:
    """All but the raw relay to a chat backend, which says itself what it makes of it."""
    if backend == "responses" and more:
        more = {"moderation": None}
    body = {**asked(), field: 0, "stream": stream, "stream_options": {"include_usage": True}, **more}
    answer = httpx.post(f"{servers[backend].url}/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    if stream:
        lines = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
        choices = [choice for line in lines for choice in line["choices"]]
        assert not any(choice["delta"].get("content") for choice in choices)
        assert choices[-1]["finish_reason"] == "length" and lines[-1]["usage"]["prompt_tokens"] > 400
    else:
        (choice,) = answer.json()["choices"]
        assert choice["message"]["content"] == "" and choice["finish_reason"] == "length"
        assert answer.json()["usage"]["prompt_tokens"] > 400
    assert len(PrefixCache.asked) == 1


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_what_a_guard_stops_is_not_read(servers: dict[str, Client], path: str) -> None:
    body = {**asked(), "messages": [{"role": "user", "content": "A bomb."}], "max_tokens": 0}
    answer = httpx.post(f"{servers['chat'].url}{path}", json=body)
    assert answer.status_code == 400 and "content guard" in answer.text and not PrefixCache.asked
