"""`prompt_cache_diagnostics`: why less of a prompt was read from the cache than after an earlier response, in every mode."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from antiphon.config import ModelConfig
from tests.server.caching.prefix_cache import PrefixCache
from tests.server.whole import Client, Json, turn, upstream, whole_server

pytestmark = pytest.mark.slow

LONG = " ".join(f"word{n}" for n in range(2000))
TOOLS = [{"type": "function", "name": "get_time"}, {"type": "function", "name": "get_place"}]
HELLO: Json = {"role": "user", "content": "Hello. " + LONG}
BASE: Json = {
    "model": "m",
    "instructions": "Be brief. " + LONG,
    "input": [HELLO],
    "tools": TOOLS,
    "prompt_cache_key": "k",
}
NOT_FOUND = {"type": "comparison_response_not_found"}
HIT = {"type": "cache_hit"}


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    with upstream(PrefixCache) as url:
        yield url


@pytest.fixture(scope="module", params=["remembered", "stored"])
def client(request: pytest.FixtureRequest, backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that has the earlier response in memory, or in its store alone, as after a restart or on another replica."""
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    memory = {"prompt_memory_bytes": 0} if request.param == "stored" else {}
    models = {"m": ModelConfig(aliases=["alias"])}
    with whole_server(backend, store=str(store), models=models, **memory) as client:
        yield client


def whole(client: Client, **fields: Any) -> Json:
    return client.create(**fields)


def streamed(client: Client, **fields: Any) -> Json:
    events = client.stream(**fields)
    assert "prompt_cache_diagnostics" not in events[0]["response"]
    return events[-1]["response"]


def in_background(client: Client, **fields: Any) -> Json:
    return client.finished(client.create(**fields, background=True)["id"])


def over_websocket(client: Client, **fields: Any) -> Json:
    with client.websocket() as connection:
        return turn(connection, **fields)[-1]["response"]


MODES = [whole, streamed, in_background, over_websocket]


def diagnosed(client: Client, before: Json, ask: Callable[..., Json] = whole, **changes: Any) -> Json:
    """Make a response that is to be compared with an earlier one; return what is told."""
    fields = {**BASE, **changes, "prompt_cache_options": {"comparison_response_id": before["id"]}}
    made = ask(client, **{name: value for name, value in fields.items() if value is not None})
    assert made["prompt_cache_options"] == {
        "mode": "implicit",
        "ttl": "30m",
        "comparison_response_id": before["id"],
    }
    told: Json = made["prompt_cache_diagnostics"]
    return told


def goes_on(before: Json, base: Json = HELLO) -> list[Json]:
    return [base, *before["output"], {"role": "user", "content": "And then?"}]


@pytest.mark.parametrize("mode", MODES)
def test_a_conversation_that_goes_on_is_a_hit(client: Client, mode: Callable[..., Json]) -> None:
    first = mode(client, **BASE)
    assert "prompt_cache_diagnostics" not in first and "prompt_cache_options" not in first
    assert diagnosed(client, first, mode, input=goes_on(first)) == HIT
    assert diagnosed(client, first, mode, input="And then?", previous_response_id=first["id"]) == HIT
    assert diagnosed(client, first, mode) == HIT


CHANGES = {
    "model_changed": {"model": "other"},
    "prompt_cache_key_changed": {"prompt_cache_key": "another"},
    "tools_changed": {"tools": TOOLS[::-1]},
    "text_format_changed": {"text": {"format": {"type": "json_object"}}},
    "reasoning_effort_changed": {"reasoning": {"effort": "high"}},
    "verbosity_changed": {"text": {"verbosity": "low"}},
    "input_changed": {"instructions": "It is noon. " + LONG},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reason", CHANGES)
def test_each_change_has_its_name(client: Client, reason: str, mode: Callable[..., Json]) -> None:
    first = whole(client, **BASE)
    told = diagnosed(client, first, mode, **{"input": goes_on(first), **CHANGES[reason]})
    tokens = first["usage"]["input_tokens"]
    assert told == {
        "type": "cache_miss",
        "reason": reason,
        "comparison_reusable_tokens": tokens,
        "cache_missed_tokens": told["cache_missed_tokens"],
    }
    assert 0.97 * tokens <= told["cache_missed_tokens"] <= tokens


def test_only_what_stands_behind_a_change_is_missed(client: Client) -> None:
    first = whole(client, **BASE)
    edited = {"role": "user", "content": "Hello! " + LONG}
    told = diagnosed(client, first, input=goes_on(first, edited))
    assert told["reason"] == "input_changed"
    assert 0.4 < told["cache_missed_tokens"] / told["comparison_reusable_tokens"] < 0.6


SAME = {
    "another name of the model": {"model": "alias"},
    "a text as parts": {"input": [{"role": "user", "content": [{"type": "input_text", "text": HELLO["content"]}]}]},
    "an id": {"input": [{**HELLO, "id": "msg_mine", "type": "message", "status": "completed"}]},
    "another limit": {"max_output_tokens": 99, "temperature": 0.5, "metadata": {"a": "b"}, "store": False},
    "another choice": {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": TOOLS}},
}


@pytest.mark.parametrize("change", SAME)
def test_what_no_cache_looks_at_is_no_change(client: Client, change: str) -> None:
    first = whole(client, **BASE)
    assert diagnosed(client, first, **SAME[change]) == HIT


def test_calls_and_outputs_are_compared(client: Client) -> None:
    first = whole(client, **{**BASE, "input": [{"role": "user", "content": "call " + LONG}]})
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon " + LONG}
    second = whole(client, **{**BASE, "input": [output], "previous_response_id": first["id"]})
    chain = {"input": "And?", "previous_response_id": second["id"]}
    assert diagnosed(client, second, **chain) == HIT
    replay = [{"role": "user", "content": "call " + LONG}, *first["output"], output, *second["output"]]
    assert diagnosed(client, second, input=replay) == HIT
    replay[-2] = {**output, "output": "midnight " + LONG}
    told = diagnosed(client, second, input=replay)
    assert told["reason"] == "input_changed" and told["cache_missed_tokens"] < told["comparison_reusable_tokens"] / 2


def test_a_conversation_is_compared(client: Client) -> None:
    conversation = client.post("/v1/conversations", items=[{"role": "user", "content": "Before."}])[1]["id"]
    first = whole(client, **BASE, conversation=conversation)
    second = whole(client, **{**BASE, "input": "And?", "conversation": conversation})
    for before in (first, second):
        assert diagnosed(client, before, input="Still?", conversation=conversation) == HIT
    assert diagnosed(client, second, input="Alone.")["reason"] == "input_changed"


def test_a_compacted_context_has_its_name(client: Client) -> None:
    first = whole(client, **BASE)
    second = whole(client, **{**BASE, "input": goes_on(first)})
    status, made = client.post("/v1/responses/compact", model="m", input=goes_on(first))
    assert status == 200, made
    told = diagnosed(client, second, input=[*made["output"], {"role": "user", "content": "Go on."}])
    assert told["reason"] == "context_compacted"
    told = diagnosed(
        client, second, input=goes_on(first), context_management=[{"type": "compaction", "compact_threshold": 1000}]
    )
    assert told["reason"] == "context_compacted"


def test_what_is_not_there_is_not_found(client: Client) -> None:
    assert diagnosed(client, {"id": "resp_nobody"}) == NOT_FOUND
    first = whole(client, **BASE)
    assert client.send("DELETE", f"/v1/responses/{first['id']}")[0] == 200
    assert diagnosed(client, first) == NOT_FOUND
    conversation = client.post("/v1/conversations")[1]["id"]
    assert diagnosed(client, {"id": conversation}) == NOT_FOUND


def test_what_was_not_stored_is_compared_where_it_was_made(backend: str) -> None:
    with whole_server(backend) as client:
        first = whole(client, **{**BASE, "prompt_cache_key": None}, store=False)
        told = diagnosed(client, first, prompt_cache_key=None, store=False, input=goes_on(first))
        assert told == HIT
    with whole_server(backend, prompt_memory_bytes=0) as client:
        first = whole(client, **BASE, store=False)
        assert diagnosed(client, first) == NOT_FOUND


def test_pictures_of_a_stored_prompt_cannot_be_compared(backend: str, tmp_path: Path) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    fields = {**BASE, "input": [{"role": "user", "content": [picture]}]}
    for memory, told in (({}, HIT), ({"prompt_memory_bytes": 0}, {"type": "unavailable"})):
        with whole_server(backend, **memory) as client:
            first = whole(client, **fields)
            assert diagnosed(client, first, input=fields["input"]) == told


@pytest.mark.parametrize(("size", "told"), [(10_000, HIT), (2_000_000, NOT_FOUND)])
def test_files_that_a_prompt_names_are_counted_in_memory(backend: str, size: int, told: Json) -> None:
    """A file of the store is small where it is named, and large where it is shown."""
    with whole_server(backend, prompt_memory_bytes=4 * 1024 * 1024) as client:
        form = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n--x\r\n'
        form += b'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        form += b"\x89PNG\r\n\x1a\n" + bytes(size) + b"\r\n--x--\r\n"
        headers = {"content-type": "multipart/form-data; boundary=x"}
        request = urllib.request.Request(f"{client.url}/v1/files", form, headers)
        with urllib.request.urlopen(request, timeout=20) as reply:
            picture = {"type": "input_image", "file_id": json.load(reply)["id"]}
        fields: Json = {"model": "m", "input": [{"role": "user", "content": [picture]}], "store": False}
        first = client.create(**fields)
        options = {"comparison_response_id": first["id"]}
        assert client.create(**fields, prompt_cache_options=options)["prompt_cache_diagnostics"] == told


@pytest.mark.parametrize("memory", [{}, {"prompt_memory_bytes": 0}], ids=["remembered", "stored"])
@pytest.mark.parametrize("store", [True, False])
def test_responses_of_others_are_not_found(backend: str, memory: Json, store: bool) -> None:
    with whole_server(backend, api_keys=["ann", "bob"], **memory) as anybody:
        ann, bob = Client(anybody.url, "ann"), Client(anybody.url, "bob")
        first = whole(ann, **BASE, store=store)
        assert diagnosed(bob, first) == NOT_FOUND
        assert diagnosed(ann, first) == (HIT if store or not memory else NOT_FOUND)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (1, "prompt_cache_options"),
        ({"comparison_response_id": 1}, "prompt_cache_options.comparison_response_id"),
        ({"comparison_response_id": "r" * 1025}, "prompt_cache_options.comparison_response_id"),
        ({"mode": "sometimes"}, "prompt_cache_options.mode"),
        ({"ttl": "1y"}, "prompt_cache_options.ttl"),
        ({"prewarm": 1}, "prompt_cache_options.prewarm"),
    ],
)
def test_options_of_another_shape_are_refused(client: Client, options: Any, param: str) -> None:
    status, body = client.post("/v1/responses", **BASE, prompt_cache_options=options)
    assert (status, body["error"]["param"]) == (400, param)


def test_the_openai_package_reads_it(client: Client) -> None:
    openai = OpenAI(base_url=client.url + "/v1", api_key="k")
    first = openai.responses.create(model="m", instructions=LONG, input="Reply.", tools=[TOOLS[0]])  # type: ignore[list-item]
    options: Any = {"comparison_response_id": first.id}
    tools: Any = [{"type": "function", "name": "get_date"}]
    second = openai.responses.create(
        model="m", instructions=LONG, input="Reply.", tools=tools, prompt_cache_options=options
    )
    told = second.prompt_cache_diagnostics
    assert told is not None and told.type == "cache_miss" and told.reason == "tools_changed"
    assert told.cache_missed_tokens == told.comparison_reusable_tokens
    with openai.responses.stream(model="m", instructions=LONG, input="Reply.", prompt_cache_options=options) as stream:
        final = stream.get_final_response()
    assert final.prompt_cache_diagnostics is not None and final.prompt_cache_diagnostics.type == "cache_miss"
