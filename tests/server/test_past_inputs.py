"""An agent's loop over HTTP: with and without inputs that are remembered, backend, client and store see the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.server.caching.prefix_cache import PrefixCache
from tests.server.whole import Client, Json, upstream, whole_server

_ID = re.compile(r"\b(resp|msg|fc|fco)_[0-9a-fi]+\b")
OUTPUT = 'A line with "quotes", é and \u2028.\n' * 60


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Client]]:
    with (
        upstream(PrefixCache) as url,
        whole_server(url) as remembering,
        whole_server(url, input_memory_bytes=0) as forgetful,
    ):
        yield {"remembering": remembering, "forgetful": forgetful}


def body(turns: int, **fields: Any) -> Json:
    items: list[Json] = [{"role": "user", "content": OUTPUT, "type": "message"}]
    for number in range(turns):
        items.append({"type": "function_call", "call_id": f"c{number}", "name": "read", "arguments": "{}"})
        items.append({"type": "function_call_output", "call_id": f"c{number}", "output": f"{number} {OUTPUT}"})
    return {"model": "m", "input": items, "tools": [{"type": "function", "name": "read"}], **fields}


def sent(client: Client, fields: Json) -> tuple[int, Any]:
    return client.send("POST", "/v1/responses", json.dumps(fields, separators=(",", ":")).encode())


def whole(client: Client, fields: Json) -> Any:
    return sent(client, fields)[1]


def streamed(client: Client, fields: Json) -> Any:
    return sent(client, {**fields, "stream": True})[1][-1]["response"]


def in_background(client: Client, fields: Json) -> Any:
    return client.finished(sent(client, {**fields, "background": True})[1]["id"])


def plain(value: Any) -> Any:
    """Return an answer without ids and times."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if not name.endswith("_at")}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return _ID.sub("an id", value) if isinstance(value, str) else value


@pytest.mark.parametrize("way", [whole, streamed, in_background])
def test_nobody_sees_a_difference(servers: dict[str, Client], way: Callable[[Client, Json], Any]) -> None:
    found: dict[str, Any] = {}
    for name, client in servers.items():
        PrefixCache.forget()
        seen = []
        for turns in (1, 2, 3, 4, 4, 6):
            response = way(client, body(turns))
            stored = client.get(f"/v1/responses/{response['id']}/input_items?order=asc&limit=100")
            assert response["status"] == "completed" and len(stored[1]["data"]) == 2 * turns + 1
            seen.append((response["output"], response["tools"], stored))
        found[name] = plain([seen, list(PrefixCache.asked)])
    assert found["remembering"] == found["forgetful"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": "hot"},
        {"model": None},
        {"model": "unknown"},
        {"max_tokens": 1},
        {"input": [*body(4)["input"], {"type": "function_call_output", "call_id": "unknown", "output": "x"}]},
        {"input": [*body(4)["input"], {"type": "message", "role": "user", "content": 7}]},
        {"input": [*body(4)["input"], {"type": "item_reference", "id": "msg_unknown"}]},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_errors_are_the_same(servers: dict[str, Client], wrong: Json) -> None:
    for client in servers.values():
        for turns in (2, 3, 4):
            sent(client, body(turns))
    answers = [sent(client, body(4) | wrong) for client in servers.values()]
    assert plain(answers[0]) == plain(answers[1])
    assert answers[0][0] >= 400 or wrong.get("model", "") is None
