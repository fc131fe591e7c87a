"""`n` of a chat completion: that many answers where the backend speaks chat completions, else a 400; never fewer in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from antiphon.config import BackendConfig
from tests.clients.upstream import Upstream
from tests.server.handlers import Answer, call
from tests.server.whole import Client, upstream, whole_server

ASKED = {"model": "capable", "n": 2, "messages": [{"role": "user", "content": "Say exactly: one two three"}]}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Client]]:
    """Servers in front of a chat backend, and of that server as a backend of the other APIs."""
    with ExitStack() as stack:
        chat = stack.enter_context(whole_server(stack.enter_context(upstream(Upstream))))
        found = {"chat": chat}
        for api, path in (("responses", "/v1"), ("anthropic", "")):
            backends = {"inner": BackendConfig(url=f"{chat.url}{path}", api=api)}
            found[api] = stack.enter_context(whole_server(backends=backends))
        yield found


def ask(client: Client, **fields: Any) -> Answer:
    return call(client.url, "POST", "/v1/chat/completions", json.dumps({**ASKED, **fields}))


def texts_of(choices: list[dict[str, Any]], place: str) -> list[str]:
    texts = ["", ""]
    for choice in choices:
        texts[choice["index"]] += choice[place].get("content") or ""
    return texts


def test_whole_and_kept(servers: dict[str, Client]) -> None:
    told = json.loads(ask(servers["chat"], store=True).body)
    kept = json.loads(call(servers["chat"].url, "GET", f"/v1/chat/completions/{told['id']}").body)
    for answer in (told, kept):
        assert texts_of(answer["choices"], "message") == ["one two three"] * 2


@pytest.mark.parametrize("store", [False, True])
def test_streamed(servers: dict[str, Client], store: bool) -> None:
    body = ask(servers["chat"], stream=True, store=store).body
    chunks = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert texts_of(choices, "delta") == ["one two three"] * 2
    assert sorted(choice["index"] for choice in choices if choice["finish_reason"]) == [0, 1]
    if store:
        kept = json.loads(call(servers["chat"].url, "GET", f"/v1/chat/completions/{chunks[0]['id']}").body)
        assert texts_of(kept["choices"], "message") == ["one two three"] * 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", ["responses", "anthropic"])
def test_refused_where_there_is_one_answer(servers: dict[str, Client], api: str, stream: bool) -> None:
    answer = ask(servers[api], stream=stream)
    assert (answer.status, answer.error()["param"]) == (400, "n")


@pytest.mark.parametrize("api", ["chat", "responses", "anthropic"])
@pytest.mark.parametrize("fields", [{"stream": True}, {"background": True}, {}], ids=str)
def test_a_response_is_one_answer(servers: dict[str, Client], api: str, fields: dict[str, Any]) -> None:
    body = {"model": "capable", "input": "Hi", "n": 2, **fields}
    answer = call(servers[api].url, "POST", "/v1/responses", json.dumps(body))
    assert (answer.status, answer.error()["param"]) == (400, "n")
