"""What a backend's prompt cache did for each request of a conversation: in `/metrics`, `/admin/requests` and on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig
from tests.server.caching.prefix_cache import PrefixCache
from tests.server.whole import Client, Json, upstream, whole_server
from tests.telemetry.test_metrics import scrape

pytestmark = pytest.mark.slow

LONG = " ".join(f"word{n}" for n in range(2000))
TOOLS = [{"type": "function", "name": "get_time"}]
BASE: Json = {
    "model": "m",
    "instructions": "Be brief. " + LONG,
    "input": "Hi.",
    "tools": TOOLS,
    "prompt_cache_key": "k",
}


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    with upstream(PrefixCache) as url:
        yield url


@pytest.fixture
def client(backend: str) -> Iterator[Client]:
    PrefixCache.forget()
    with whole_server(backend) as client:
        yield client


def outcomes(client: Client) -> list[str | None]:
    """Return what is told of the requests so far, the first one first; `/metrics` has the same counts."""
    told: list[str | None] = [one["cache"] for one in client.get("/admin/requests")[1]["data"]][::-1]
    counted = {
        name.partition('outcome="')[2].partition('"')[0]: int(value)
        for name, value in scrape(client).items()
        if name.startswith("antiphon_prompt_cache_total{")
    }
    assert counted == {one: told.count(one) for one in set(told) if one is not None}
    return told


def replayed(client: Client, **changes: Any) -> Json:
    """Send a conversation of one turn, and then the same with one more."""
    first = client.create(**BASE, store=False)
    items = [{"role": "user", "content": "Hi."}, *first["output"], {"role": "user", "content": "And?"}]
    return client.create(**{**BASE, "store": False, "input": items, **changes})


def test_what_goes_on_is_read_from_the_cache(client: Client) -> None:
    made = replayed(client)
    assert outcomes(client) == [None, "hit"]
    assert made["usage"]["input_tokens_details"]["cached_tokens"] > 2000


def test_a_chain_and_a_conversation_are_known_without_a_key(client: Client) -> None:
    base = {name: value for name, value in BASE.items() if name != "prompt_cache_key"}
    first = client.create(**base)
    second = client.create(**base, previous_response_id=first["id"])
    client.create(**base, previous_response_id=second["id"])
    assert outcomes(client) == [None, None, "hit"], "a first request that is stored, and has no name, is not remembered"
    conversation = client.post("/v1/conversations")[1]["id"]
    for _ in range(3):
        client.create(**base, conversation=conversation)
    assert outcomes(client)[3:] == [None, "hit", "hit"]


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("tools_changed", {"tools": [{"type": "function", "name": "get_place"}]}),
        ("input_changed", {"instructions": "It is noon. " + LONG}),
    ],
)
def test_a_miss_has_its_cause(client: Client, cause: str, change: Json) -> None:
    replayed(client)
    replayed(client, **change)
    assert outcomes(client) == [None, "hit", "hit", cause]
    missed = scrape(client)[f'antiphon_prompt_cache_missed_tokens_total{{model="m",cause="{cause}"}}']
    assert 1900 < missed < 2100


def test_what_the_backend_has_dropped_was_evicted(client: Client) -> None:
    replayed(client)
    PrefixCache.forget()
    client.create(**BASE, store=False)
    assert outcomes(client)[-1] == "evicted"


def test_a_backend_that_does_not_tell_is_no_miss(client: Client) -> None:
    replayed(client, model="m")
    first = client.create(**{**BASE, "model": "silent"}, previous_response_id=None)
    client.create(**{**BASE, "model": "silent", "input": "And?"}, previous_response_id=first["id"])
    assert outcomes(client)[-1] == "unreported"


@pytest.mark.parametrize("name", ["none", "key"])
def test_a_conversation_stays_with_its_backend(backend: str, name: str) -> None:
    """Of several backends the one is called that has the beginning of a prompt, whatever its client says of it."""
    PrefixCache.forget()
    Other.forget()
    key = {"prompt_cache_key": "k"} if name == "key" else {"prompt_cache_key": None}
    with upstream(Other) as url:
        backends = {"a": BackendConfig(url=backend), "b": BackendConfig(url=url)}
        with whole_server(backends=backends) as client:
            for number in range(6):
                asked = {**BASE, **key, "instructions": f"Number {number}. {LONG}", "store": False}
                first = client.create(**asked)
                items = [{"role": "user", "content": "Hi."}, *first["output"], {"role": "user", "content": "And?"}]
                second = client.create(**{**asked, "input": items})
                assert second["usage"]["input_tokens_details"]["cached_tokens"] > 2000
    assert name == "key" or (PrefixCache.asked and Other.asked), "others are balanced"


def test_another_backend_is_told(backend: str) -> None:
    """A conversation whose backend is down goes on at another one, which has to read all of it."""
    PrefixCache.forget()
    Other.forget()
    with upstream(Other) as url:
        backends = {"a": BackendConfig(url=backend), "b": BackendConfig(url=url)}
        with whole_server(backends=backends) as client:
            for _ in range(2):
                replayed(client)
            here, there = (PrefixCache, Other) if PrefixCache.asked else (Other, PrefixCache)
            assert not there.asked
            here.refuses = True
            try:
                client.create(**BASE, store=False)
            finally:
                here.refuses = False
            assert there.asked and outcomes(client)[-1] == "other_backend"


class Other(PrefixCache):
    """A second backend, with a cache of its own."""

    asked: ClassVar[list[Json]] = []
    cached: ClassVar[list[list[str]]] = []
    refuses: ClassVar[bool] = False


def test_small_prompts_and_answers_without_counts_are_no_outcome(client: Client) -> None:
    for text in ("One.", "Two.", "Three."):
        client.create(model="m", input=text, prompt_cache_key="k")
    assert set(outcomes(client)) <= {None, "hit"}
