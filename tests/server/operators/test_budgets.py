"""Budgets: of owners, soft ones, alerts at 50, 80 and 100 %, and what operators see of them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from antiphon.access.budget_alerts import BudgetAlerts
from antiphon.access.caller import parse_limit
from antiphon.access.limits import meter_of
from antiphon.config import KeyConfig, ModelConfig, OwnerConfig
from antiphon.config.tables import WebhookConfig
from antiphon.server.api.operator import budgets
from antiphon.stores.open import open_memory
from tests.server.operators.test_keys import ask, done, server
from tests.server.serving import wait_until

OP = KeyConfig(key="key-op", scopes=["admin"])
NOON = 1_795_608_000.0


def one(name: str, owner: str, *limits: str) -> KeyConfig:
    return KeyConfig(key=f"key-{name}", owner=owner, limits=list(limits))


def statuses(url: str, *keys: str) -> list[int]:
    body = {"model": "scripted", "input": "hi"}
    return [ask(url, "POST", "/v1/responses", f"key-{key}", body).status for key in keys]


def test_an_owners_limits_hold_for_all_its_keys_together(tmp_path: Path) -> None:
    keys = {"op": OP, "a": one("a", "team"), "b": one("b", "team", "3 requests/day"), "c": one("c", "other")}
    with server(tmp_path, keys, owners={"team": OwnerConfig(limits=["2 requests/day"])}) as url:
        assert statuses(url, "a", "b", "a", "b", "c", "c", "c") == [200, 200, 429, 429, 200, 200, 200]
        made = done(url, "POST", "/admin/keys", {"owner": "team"})["key"]
        assert ask(url, "POST", "/v1/responses", made, {"model": "scripted", "input": "hi"}).status == 429


def test_everybodys_limits_are_counted_for_each_owner_apart(tmp_path: Path) -> None:
    keys = {"op": OP, "a": one("a", "x"), "b": one("b", "y"), "c": one("c", "z")}
    owners = {"*": OwnerConfig(limits=["1 requests/day"]), "z": OwnerConfig()}
    with server(tmp_path, keys, owners=owners, api_keys=["key-d", "key-e"]) as url:
        assert statuses(url, "a", "b", "a", "b", "c", "c") == [200, 200, 429, 429, 200, 200]
        assert statuses(url, "d", "e", "d", "e") == [200, 200, 429, 429]  # keys without a name: an owner each


def test_a_soft_limit_refuses_nothing_and_says_when_it_is_used_up(tmp_path: Path) -> None:
    keys = {"op": OP, "a": one("a", "team", "2 requests/day soft", "4 requests/day")}
    body = {"model": "scripted", "input": "hi"}
    with server(tmp_path, keys) as url:
        answers = [ask(url, "POST", "/v1/responses", "key-a", body) for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 200, 429]
        told = [answer.headers.get("x-antiphon-budget-exceeded") for answer in answers]
        assert told[:4] == [None, None, "2 requests/day soft", "2 requests/day soft"]
        assert answers[0].headers["x-ratelimit-limit-requests"] == "4"


@pytest.mark.parametrize(
    "text", ["2 streams soft", "2 requests/min soft", "soft 2 requests/day", "2 requests/day on \x01 soft"]
)
def test_what_cannot_be_soft_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_limit(text)


class Receiver(BaseHTTPRequestHandler):
    """Notes events."""

    events: list[dict[str, Any]]
    signed: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.events.append(json.loads(body))
        self.signed.append(self.headers["webhook-signature"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def receiver() -> Iterator[tuple[str, type[Receiver]]]:
    kind = type("Noting", (Receiver,), {"events": [], "signed": []})
    heard = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=heard.serve_forever, args=[0.005], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{heard.server_address[1]}/", kind
    finally:
        heard.shutdown()
        heard.server_close()


@pytest.mark.parametrize("limit", ["10 requests/day", "10 requests/day soft"])
def test_each_threshold_is_told_once_by_a_signed_webhook(tmp_path: Path, limit: str) -> None:
    keys = {"op": OP, "a": one("a", "team", limit)}
    with receiver() as (place, heard):
        hooks = {"ops": WebhookConfig(url=place, secret="secret", events=["budget.threshold_reached"])}
        with server(tmp_path, keys, webhooks=hooks) as url:
            statuses(url, *["a"] * 9)
            wait_until(lambda: len(heard.events) >= 2)
        with server(tmp_path, keys, webhooks=hooks) as url:  # another process
            statuses(url, *["a"] * 3)
            wait_until(lambda: len(heard.events) >= 3)
        data = [event["data"] for event in heard.events]
    assert sorted(one["percent"] for one in data) == [50, 80, 100]
    assert {(one["key"], one["owner"], one["limit"], one["soft"]) for one in data} == {
        ("config/a", "team", limit, limit.endswith("soft"))
    }
    assert {event["type"] for event in heard.events} == {"budget.threshold_reached"}
    assert all(signature.startswith("v1,") for signature in heard.signed)


def test_cost_counts_when_it_is_known(tmp_path: Path) -> None:
    """What is reserved is more than what is used: only the latter counts."""
    models = {"dear": ModelConfig(name="scripted", price_input=1.0, price_output=1_000_000.0)}
    keys = {"op": OP, "a": one("a", "team", "100 cost/day")}
    with receiver() as (place, heard):
        hooks = {"ops": WebhookConfig(url=place, secret="secret")}
        with server(tmp_path, keys, webhooks=hooks, models=models) as url:
            body = {"model": "dear", "input": "/say one two three", "max_output_tokens": 90}
            answer = ask(url, "POST", "/v1/responses", "key-a", body)
            assert answer.status == 200 and answer.json()["usage"]["output_tokens"] < 50
            (budget,) = [row for row in done(url, "GET", "/admin/budgets")["data"] if row["id"] == "config/a"]
            assert 0 < budget["percent"] < 50
            while ask(url, "POST", "/v1/responses", "key-a", body).status == 200:
                pass
            wait_until(lambda: len(heard.events) >= 3)
            assert sorted(event["data"]["percent"] for event in heard.events) == [50, 80, 100]


def test_operators_see_what_is_used(tmp_path: Path) -> None:
    keys = {"op": OP, "a": one("a", "team", "10 requests/day", "5 requests/min")}
    with server(tmp_path, keys, owners={"team": OwnerConfig(limits=["100 requests/month", "3 streams"])}) as url:
        statuses(url, "a", "a")
        made = done(url, "POST", "/admin/keys", {"owner": "team", "limits": ["4 requests/day on scr*"], "name": "n"})
        assert ask(url, "POST", "/v1/responses", made["key"], {"model": "scripted", "input": "hi"}).status == 200
        page = done(url, "GET", "/admin/budgets")
        rows = [(row["of"], row["id"], row["limit"], row["model"], row["used"], row["percent"]) for row in page["data"]]
        assert rows == [
            ("owner", "team", "100 requests/month", "", 3, 3.0),
            ("key", "config/a", "10 requests/day", "", 2, 20.0),
            ("key", made["id"], "4 requests/day on scr*", "scripted", 1, 25.0),
        ]
        assert ask(url, "GET", "/admin/budgets?after=key_x").error()["param"] == "after"
        assert ask(url, "GET", "/admin/budgets", "key-a").status == 403


async def test_two_servers_tell_once_and_a_failed_event_is_told_again() -> None:
    store = open_memory()
    limit = parse_limit("10 cost/month")
    meter = meter_of("key_1", None, limit, NOON)
    told: list[int] = []

    async def fails(id: str, type: str, owner: str, data: dict[str, Any]) -> None:
        raise RuntimeError("away")

    async def tell(id: str, type: str, owner: str, data: dict[str, Any]) -> None:
        told.append(data["percent"])

    for sink in (fails, tell, tell):
        alerts = BudgetAlerts(store.limits, lambda: NOON)
        alerts.tell = sink
        alerts.watch(limit, meter, "ann", "key_1")
        for value in (1.0, 6.0, 9.0):
            alerts.used(meter, value)
            await asyncio.sleep(0)
        await alerts.close()
    assert told == [50, 80]


def test_a_page_of_budgets_is_bounded_and_goes_on_with_the_next_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "MOST_ROWS", 4)
    limits = ["1 requests/day", "2 tokens/day", "3 cost/month"]
    with server(tmp_path, {"op": OP}) as url:
        made = [done(url, "POST", "/admin/keys", {"limits": limits})["id"] for _ in range(5)]
        seen: list[str] = []
        sizes, after, more = [], "", True
        while more:
            page = done(url, "GET", f"/admin/budgets?limit=100{after}")
            seen += [one["id"] for one in page["data"]]
            sizes.append(len(page["data"]))
            after, more = f"&after={page['last_id']}", page["has_more"]
        assert seen == [id for id in reversed(made) for _ in limits] and sizes == [6, 6, 3]
