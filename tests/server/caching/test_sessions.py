"""Recorded sessions of real clients: each prompt begins as the one before it, so that prefix caches read it, and is told to.

`tests/golden/responses_sessions.json` has requests of Codex 0.171, opencode, pi, llm, LangChain, pydantic-ai, both Agents SDKs
and the AI SDK, which send their history along. Long texts are cut to their beginning and length; `expanded` fills them in.
Clients that leave the history to the server are played below, as what they send depends on what is answered.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from antiphon.config import ModelConfig
from antiphon.responses.caching import cache_diagnostics
from tests.golden.player import ROOT
from tests.server.caching.prefix_cache import PrefixCache, prompt
from tests.server.messages.test_sessions import SHARED, expanded, shared
from tests.server.whole import Client, Json, turn, upstream, whole_server

pytestmark = pytest.mark.slow

RECORDED = json.loads((ROOT / "responses_sessions.json").read_text())
SESSIONS: dict[str, list[Json]] = RECORDED["sessions"]
ROLES: list[Any] = ["keep", "merge-first", "alternate", "user"]


def body_of(recorded: Json) -> Json:
    """Return a request as it was sent, not streamed."""
    body: Json = {**expanded(recorded), "model": "m", "stream": False}
    body.pop("text", None)  # the answer is none of its format
    if "tools" in recorded:
        body["tools"] = [expanded(RECORDED["tools"][name]) for name in recorded["tools"]]
    return body


def essence(item: Any) -> Any:
    """Return an item without what clients change of it when they send it again."""
    kept = {name: value for name, value in item.items() if name not in ("id", "status") and value is not None}
    if "content" in kept and "role" in kept:
        kept["type"] = "message"
    if kept.get("type") == "message" and isinstance(kept["content"], list):
        kept["content"] = [(part["type"], part.get("text")) for part in kept["content"]]
    return kept


def said(body: Json) -> list[Any]:
    items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    return [body.get("instructions"), body.get("tools"), *map(essence, items)]


def continued(session: str) -> list[tuple[int, int]]:
    """Return which requests continue which."""
    bodies = [said(body) for body in SESSIONS[session]]
    pairs = []
    for later, body in enumerate(bodies):
        earlier = [n for n in range(later) if len(bodies[n]) < len(body) and body[: len(bodies[n])] == bodies[n]]
        pairs += [(earlier[-1], later)] if earlier else []
    return pairs


@pytest.fixture(autouse=True)
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some recordings are shorter than what is remembered of requests that are not stored."""
    monkeypatch.setattr(cache_diagnostics, "SMALLEST", 0)


@pytest.fixture(scope="module", params=ROLES)
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A server in front of models that differ in which roles they take where."""
    with (
        upstream(PrefixCache) as url,
        whole_server(url, models={"m": ModelConfig(roles=request.param)}, max_tools=500) as client,
    ):
        yield client


def begins_alike(before: Json, after: Json) -> None:
    assert after["messages"][: len(before["messages"])] == before["messages"]
    first, then = before.get("tools") or [], after.get("tools") or []
    assert then[: len(first)] == first
    if len(then) == len(first):  # else a tool was found
        assert shared(prompt(before), prompt(after)) >= SHARED


@pytest.mark.parametrize("session", sorted(SESSIONS))
def test_each_prompt_begins_as_the_one_before_it(client: Client, session: str) -> None:
    """The recorded requests alone tell: nothing is stored, and every cause of a miss would be named."""
    PrefixCache.forget()
    made: list[Json] = []
    before = {later: earlier for earlier, later in continued(session)}
    for number, recorded in enumerate(SESSIONS[session]):
        body = body_of(recorded)
        if number in before:
            body["prompt_cache_options"] = {"comparison_response_id": made[before[number]]["id"]}
        made.append(client.create(**body))
    assert len(PrefixCache.asked) == len(made)
    for later, earlier in before.items():
        first, then = PrefixCache.asked[earlier], PrefixCache.asked[later]
        begins_alike(first, then)
        told = made[later]["prompt_cache_diagnostics"]
        found = len(then.get("tools") or ()) > len(first.get("tools") or ())
        assert (told["type"], told.get("reason")) == (("cache_miss", "tools_changed") if found else ("cache_hit", None))


def test_the_recordings_have_clients_of_all_kinds() -> None:
    assert all(continued(session) for session in SESSIONS)
    assert {name.partition("_")[0] for name in SESSIONS} == {"cli", "codex", "js", "py"}
    types = {item.get("type") for bodies in SESSIONS.values() for body in bodies for item in body["input"][1:]}
    assert {"message", "reasoning", "function_call", "function_call_output", "custom_tool_call"} <= types


# History that is left to the server

TOOLS = [{"type": "function", "name": "get_time"}, {"type": "custom", "name": "note"}]
BASE: Json = {"model": "m", "instructions": "Be brief.", "tools": TOOLS}
TURNS = ["Hello.", "Please call it.", "And again, call.", "Thanks."]


def outputs(response: Json) -> list[Json]:
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    return [{"type": "function_call_output", "call_id": call["call_id"], "output": "noon"} for call in calls]


def asked(text: str, last: Json | None) -> list[Json]:
    """Return what a client sends next: the outputs of calls before a message, and a developer's word now and then."""
    news = [{"role": "developer", "content": "It is late."}] if "again" in text else []
    return [*(outputs(last) if last else ()), *news, {"role": "user", "content": text}]


def chained(client: Client) -> None:
    last: Json | None = None
    for text in TURNS:
        last = client.create(**BASE, input=asked(text, last), previous_response_id=last["id"] if last else None)


def in_conversation(client: Client) -> None:
    conversation, last = client.post("/v1/conversations")[1]["id"], None
    for text in TURNS:
        last = client.create(**BASE, input=asked(text, last), conversation=conversation)


def in_background(client: Client) -> None:
    last: Json | None = None
    for text in TURNS:
        previous = last["id"] if last else None
        made = client.create(**BASE, input=asked(text, last), previous_response_id=previous, background=True)
        last = client.finished(made["id"])


def over_websocket(client: Client) -> None:
    last: Json | None = None
    with client.websocket() as connection:
        for text in TURNS:
            previous = {"previous_response_id": last["id"]} if last else {}
            last = turn(connection, **BASE, store=False, input=asked(text, last), **previous)[-1]["response"]


def referred(client: Client) -> None:
    items: list[Json] = []
    last: Json | None = None
    for text in TURNS:
        items += asked(text, last)
        last = client.create(**BASE, input=items)
        items += [{"type": "item_reference", "id": item["id"]} for item in last["output"]]


def first_here_then_there(client: Client) -> None:
    """The history comes from the client, then from the server, then from the client again."""
    first = client.create(**BASE, input=asked(TURNS[0], None))
    second = client.create(**BASE, input=asked(TURNS[1], first), previous_response_id=first["id"])
    items = [*asked(TURNS[0], None), *first["output"], *asked(TURNS[1], first), *second["output"]]
    client.create(**BASE, input=[*items, *asked(TURNS[2], second)], store=False)


WAYS = [chained, in_conversation, in_background, over_websocket, referred, first_here_then_there]


@pytest.mark.parametrize("way", WAYS)
def test_history_that_the_server_keeps_is_the_same_prompt(client: Client, way: Callable[[Client], None]) -> None:
    PrefixCache.forget()
    way(client)
    assert len(PrefixCache.asked) >= 3
    for before, after in zip(PrefixCache.asked, PrefixCache.asked[1:], strict=False):
        begins_alike(before, after)
