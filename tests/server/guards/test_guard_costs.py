"""Tokens of models that guards ask: they count for the key of the request, in its budget, in its usage, in the metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from antiphon.access import usage
from antiphon.config import BackendConfig, KeyConfig, ModelConfig
from tests.server.guards.guards_setup import judge
from tests.server.handlers import call
from tests.server.serving import wait_until
from tests.server.whole import Client, turn, whole_server

KEYS = {
    "ann": KeyConfig(key="ann", owner="team"),
    "bob": KeyConfig(key="bob", owner="team"),
    "few": KeyConfig(key="few", limits=["60000 tokens/day on mod-1", "1000000 tokens/day"]),
    "poor": KeyConfig(key="poor", limits=["1 cost/day"]),
    "root": KeyConfig(key="root", scopes=["admin"]),
}
LONG = "word " * 1000  # more than a thousand tokens, of a model that tells none
HELLO = {"model": "clean", "input": LONG}


@pytest.fixture
def server(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(usage, "FLUSH", 0.05)
    models = {"mod-1": ModelConfig(type="moderation", price_input=1000.0)}
    backends = {"upstream": BackendConfig(url=url)}
    with whole_server(backends=backends, guards={"all": judge()}, keys=KEYS, models=models) as client:
        yield client.url


def whole(url: str, key: str) -> None:
    Client(url, key).create(**HELLO)


def streamed(url: str, key: str) -> None:
    assert Client(url, key).post("/v1/responses", **HELLO, stream=True)[0] == 200


def background(url: str, key: str) -> None:
    client = Client(url, key)
    assert client.finished(client.create(**HELLO, background=True)["id"])["status"] == "completed"


def late(url: str, key: str) -> None:
    client = Client(url, key)
    options = {"completion_window": "2h"}
    assert client.finished(client.create(**HELLO, background=True, background_options=options)["id"])


def socket(url: str, key: str) -> None:
    with Client(url, key).websocket() as connection:
        assert turn(connection, **HELLO)[-1]["type"] == "response.completed"


def chat(url: str, key: str) -> None:
    body = {"model": "clean", "messages": [{"role": "user", "content": LONG}]}
    assert Client(url, key).post("/v1/chat/completions", **body)[0] == 200


def messages(url: str, key: str) -> None:
    body = {"model": "clean", "max_tokens": 100, "messages": [{"role": "user", "content": LONG}]}
    assert Client(url, key).post("/v1/messages", **body)[0] == 200


WAYS: dict[str, Callable[[str, str], None]] = {
    one.__name__: one for one in (whole, streamed, background, late, socket, chat, messages)
}


def rows(url: str) -> list[dict[str, Any]]:
    answer = call(url, "GET", "/admin/usage?group_by=owner,key,model,tool", None, {"authorization": "Bearer root"})
    found: list[dict[str, Any]] = json.loads(answer.body)["data"]
    return [row for row in found if row["tool"].startswith("helper:")]


@pytest.mark.parametrize("way", WAYS)
def test_it_is_on_the_account_of_the_key(server: str, way: str) -> None:
    WAYS[way](server, "ann")
    wait_until(lambda: bool(rows(server)) and rows(server)[0]["calls"] >= 2)
    [row] = rows(server)
    assert (row["owner"], row["key"], row["model"], row["tool"]) == ("team", "config/ann", "mod-1", "helper:moderation")
    assert row["input_tokens"] > 1000 and row["requests"] == 0
    assert row["cost"] == pytest.approx(row["input_tokens"] / 1000)
    metrics = call(server, "GET", "/metrics", None, {"authorization": "Bearer root"}).body.decode()
    assert f'antiphon_helper_calls_total{{helper="moderation",model="mod-1"}} {row["calls"]}' in metrics
    assert 'antiphon_helper_tokens_total{helper="moderation",model="mod-1",kind="input"}' in metrics


@pytest.mark.parametrize("way", ["whole", "socket", "background"])
def test_it_counts_for_the_budget(server: str, way: str) -> None:
    WAYS[way](server, "poor")  # 1 of cost is a thousand tokens of the judge

    def refused() -> bool:
        status, answer = Client(server, "poor").post("/v1/responses", model="clean", input="Hi.")
        return bool(status == 402 and answer["error"]["code"] == "insufficient_quota")

    wait_until(refused)
    assert Client(server, "ann").post("/v1/responses", model="clean", input="Hi.")[0] == 200
    whole(server, "few")


def test_what_is_known_already_costs_nothing(server: str) -> None:
    whole(server, "ann")
    wait_until(lambda: bool(rows(server)))
    before = rows(server)[0]["input_tokens"]
    whole(server, "bob")
    wait_until(lambda: len(rows(server)) == 2)
    [bobs] = [row for row in rows(server) if row["key"] == "config/bob"]
    assert bobs["input_tokens"] < 100 < before, "the request was judged for another; its answer was not"
