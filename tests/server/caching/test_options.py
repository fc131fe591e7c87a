"""Prompt caches that are filled before they are needed, and where and for how long servers are told to keep a prompt."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig
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


# Breakpoints

MARK = {"mode": "explicit", "ttl": "12h"}
PARTS: list[Json] = [
    {"type": "input_text", "text": "Hello.", "prompt_cache_breakpoint": MARK},
    {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "prompt_cache_breakpoint": MARK},
]


def test_breakpoints_are_kept_and_reach_no_chat_model(client: Client) -> None:
    made = client.create(**BASE, input=[{"role": "user", "content": PARTS}])
    kept = client.get(f"/v1/responses/{made['id']}/input_items")[1]["data"][0]["content"]
    assert [part["prompt_cache_breakpoint"] for part in kept] == [MARK, MARK]
    assert "breakpoint" not in str(PrefixCache.asked)
    bare = [{name: value for name, value in part.items() if name != "prompt_cache_breakpoint"} for part in PARTS]
    client.create(**BASE, input=[{"role": "user", "content": bare}], store=False)
    assert PrefixCache.asked[0]["messages"] == PrefixCache.asked[1]["messages"]
    first = client.create(**BASE, input=[{"role": "user", "content": PARTS}], store=False)
    options: Any = {"comparison_response_id": first["id"]}
    told = client.create(**BASE, input=[{"role": "user", "content": bare}], prompt_cache_options=options)
    assert told["prompt_cache_diagnostics"] == {"type": "cache_hit"}, "moving a breakpoint changes no prompt"


@pytest.mark.parametrize(
    ("mark", "param"),
    [
        (1, "input[0].content[0].prompt_cache_breakpoint"),
        ({"mode": "implicit"}, "input[0].content[0].prompt_cache_breakpoint.mode"),
        ({"mode": "explicit", "ttl": "1y"}, "input[0].content[0].prompt_cache_breakpoint.ttl"),
    ],
)
def test_breakpoints_of_another_shape_are_refused(client: Client, mark: Any, param: str) -> None:
    part = {"type": "input_text", "text": "Hello.", "prompt_cache_breakpoint": mark}
    status, body = client.post("/v1/responses", model="m", input=[{"role": "user", "content": [part]}])
    assert (status, body["error"]["param"]) == (400, param)


def test_what_a_chat_server_does_not_know_is_named(client: Client) -> None:
    body = json.dumps({**BASE, "input": "Hi.", "prompt_cache_options": {"mode": "explicit", "ttl": "12h"}}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{client.url}/v1/responses", body), timeout=20) as reply:
        made = json.load(reply)
        assert reply.headers["x-antiphon-ignored"] == "prompt_cache_options.mode, prompt_cache_options.ttl"
    assert made["prompt_cache_options"] == {"mode": "explicit", "ttl": "12h"}


@pytest.mark.parametrize(("api", "profile"), [("responses", "auto"), ("chat", "openai")])
def test_servers_of_openais_kind_get_them(api: Any, profile: str) -> None:
    with upstream(Told) as url:
        backend = BackendConfig(url=url, api=api, **({"profile": profile} if api == "chat" else {}))
        with whole_server(backends={"b": backend}) as client:
            options = {"mode": "explicit", "ttl": "12h", "comparison_response_id": "resp_x", "prewarm": False}
            client.post(
                "/v1/responses", model="m", input=[{"role": "user", "content": PARTS}], prompt_cache_options=options
            )
    asked = Told.asked[-1]
    known = ["mode", "ttl"] if api == "chat" else ["mode", "prewarm", "ttl"]
    assert sorted(asked["prompt_cache_options"]) == known
    if api == "responses":
        assert [part["prompt_cache_breakpoint"] for part in asked["input"][0]["content"]] == [MARK, MARK]


class Told(PrefixCache):
    """A server that keeps what it is asked."""

    asked: ClassVar[list[Json]] = []
