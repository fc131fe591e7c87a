"""Answers of many pieces, several of which come in one read: past Deltas and Events, and no event differs from the slow way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from antiphon.config import GuardConfig
from antiphon.responses import fast_path
from tests.server.messages.case_requests import TOOL, asking, call
from tests.server.messages.planned import Planned, planned
from tests.server.test_messages import folded
from tests.server.whole import Client, Json, upstream, whole_server

pytestmark = pytest.mark.slow

WORDS = [f'word {n} é\u2028"\\ ' for n in range(60)]
ARGUMENTS = json.dumps({"a": "x" * 40, "b": [1, 2, 3] * 20})
DELTAS: list[Json] = [
    *({"reasoning_content": word} for word in WORDS),
    *({"content": word} for word in WORDS),
    call(0, "a", arguments=""),
    *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in ARGUMENTS),
    {"content": "More. "},
    *({"content": word} for word in WORDS),
]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with upstream(Planned) as url, whole_server(url) as client:
        yield client


@pytest.fixture(scope="module")
def slow() -> Iterator[Client]:
    """A server whose guard has to see each piece."""
    guards = {"g": GuardConfig(kind="patterns", words=["nothing-has-this"])}
    with upstream(Planned) as url, whole_server(url, guards=guards) as client:
        yield client


def told(client: Client, **fields: Any) -> tuple[Json, list[Json]]:
    body = asking([planned(deltas=DELTAS)], tools=[TOOL], stream=True, **fields)
    text = httpx.post(f"{client.url}/v1/messages", json=body).text
    events = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]
    return folded(text), events


@pytest.mark.parametrize("display", ["summarized", "omitted"])
def test_what_is_told_is_the_same(client: Client, slow: Client, display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    inner = fast_path._unnumbered

    def counting(*given: Any) -> Any:
        one, several = inner(*given)

        def first(text: str, string: bytes) -> bool:
            written.append(text)
            return one(text, string)

        def more(texts: list[str], strings: list[bytes]) -> bool:
            written.extend(texts)
            return several(texts, strings)

        return first, more

    monkeypatch.setattr(fast_path, "_unnumbered", counting)
    thinking = {"type": "adaptive", "display": display}
    message, events = told(client, thinking=thinking)
    fast = len(written)
    other, _ = told(slow, thinking=thinking)
    assert (fast > 100 or display == "omitted") and len(written) == fast
    whole = httpx.post(
        f"{client.url}/v1/messages", json=asking([planned(deltas=DELTAS)], tools=[TOOL], thinking=thinking)
    ).json()

    def said(one: Json) -> list[Json]:
        return [{name: value for name, value in block.items() if name != "signature"} for block in one["content"]]

    assert said(message) == said(other) == said(whole)
    assert message["usage"] == other["usage"] == whole["usage"]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    texts = [delta["text"] for delta in deltas if delta["type"] == "text_delta"]
    assert "".join(texts) == "".join(WORDS) + "More. " + "".join(WORDS)
    assert ("word 3 " in json.dumps(message["content"][0])) is (display == "summarized")


def test_tokens_are_estimated_where_the_backend_tells_none(client: Client) -> None:
    """The estimate counts what went past the Events, too."""
    body = asking([planned(deltas=[{"content": "x" * 8} for _ in range(500)], wait=False, finish="stop")], stream=True)
    text = httpx.post(f"{client.url}/v1/messages", json={**body, "stop_sequences": ["never"]}).text
    plain = httpx.post(f"{client.url}/v1/messages", json=body).text
    assert folded(text)["content"] == folded(plain)["content"]
