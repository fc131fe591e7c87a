"""Prompt caches that are filled before they are needed, and where and for how long servers are told to keep a prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.server.caching.prefix_cache import PrefixCache
from tests.server.caching.test_diagnostics import MODES, over_websocket
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = pytest.mark.slow

LONG = " ".join(f"word{n}" for n in range(2000))
TOOLS = [{"type": "function", "name": "get_time"}]
BASE: Json = {"model": "m", "instructions": "Be brief. " + LONG, "tools": TOOLS}
PREWARM = {"prompt_cache_options": {"prewarm": True}}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with upstream(PrefixCache) as url, whole_server(url) as client:
        yield client


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    PrefixCache.forget()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_prompt_is_read_before_it_is_needed(client: Client, mode: Callable[..., Json], choice: str) -> None:
    warm = mode(client, **BASE, input="Hello, please call.", **PREWARM, tool_choice=choice)
    assert (warm["status"], warm["output"]) == ("completed", [])
    assert warm["usage"]["input_tokens"] > 2000 and warm["usage"]["output_tokens"] == 1
    (asked,) = PrefixCache.asked
    assert asked["max_tokens"] == 1 and warm["max_output_tokens"] is None
    made = client.create(**BASE, input="Hello, please call.", tool_choice=choice)
    cached = made["usage"]["input_tokens_details"]["cached_tokens"]
    assert cached == made["usage"]["input_tokens"] and made["output"]


def test_it_comes_before_generate(client: Client) -> None:
    """A WebSocket's `generate: false` calls no backend; with `prewarm` one is called."""
    over_websocket(client, **BASE, input="Hi.", generate=False)
    assert not PrefixCache.asked
    over_websocket(client, **BASE, input="Hi.", generate=False, **PREWARM)
    over_websocket(client, **BASE, input="Hi.", generate=True, **PREWARM)
    assert len(PrefixCache.asked) == 2


def test_its_conversation_goes_on(client: Client) -> None:
    warm = client.create(**BASE, input="Hi.", **PREWARM)
    options: Any = {"comparison_response_id": warm["id"]}
    made = client.create(**BASE, input="And?", previous_response_id=warm["id"], prompt_cache_options=options)
    assert made["prompt_cache_diagnostics"] == {"type": "cache_hit"} and made["output"]


@pytest.mark.parametrize("value", [False, None])
def test_without_it_there_is_an_answer(client: Client, value: bool | None) -> None:
    assert client.create(**BASE, input="Hi.", prompt_cache_options={"prewarm": value})["output"]
    assert "max_tokens" not in PrefixCache.asked[0]


def test_a_backend_that_refuses_is_told(client: Client) -> None:
    PrefixCache.refuses = True
    try:
        status, body = client.post("/v1/responses", **BASE, input="Hi.", **PREWARM)
    finally:
        PrefixCache.refuses = False
    assert status == 503, body
