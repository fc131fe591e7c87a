"""What a server sums up of usage: whose, by what, in which shape; what waits while the store is away."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.access import usage
from antiphon.access.prices import Price
from antiphon.access.usage import UsageLedger
from antiphon.access.usage_report import as_csv, day_text, usage_query
from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig, ModelConfig
from antiphon.errors import APIError
from antiphon.stores.open import open_memory
from antiphon.stores.usage_records import UsageQuery, UsageSum
from antiphon.types.response import Usage
from tests.server.handlers import Answer, call
from tests.server.serving import serving, wait_until

TODAY = datetime.date(2030, 1, 31)
KEYS = {
    "ann": KeyConfig(key="key-ann", owner="team-a"),
    "amy": KeyConfig(key="key-amy", owner="team-a"),
    "bob": KeyConfig(key="key-bob", owner="=team-b"),
    "operator": KeyConfig(key="key-op", scopes=["admin"]),
}
MODELS = {
    "dear": ModelConfig(name="scripted", price_input=1_000_000.0, price_output=2_000_000.0),
    "cheap": ModelConfig(name="scripted"),
}


@contextmanager
def server(folder: Path, **more: Any) -> Iterator[str]:
    config = Config(
        store=str(folder / "store.db"),
        shutdown_grace=1.0,
        backends={"s": BackendConfig(url="http://127.0.0.1:9", api="scripted")},
        keys=KEYS,
        models=MODELS,
        **more,
    )
    with serving(app.build(config), config) as served:
        yield served.url


def ask(url: str, key: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return call(url, "GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)


def used(url: str, query: str = "") -> list[dict[str, Any]]:
    answer = ask(url, "key-op", f"/admin/usage?{query}")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "whole": ("/v1/responses", {"input": "Say hello."}),
    "streamed": ("/v1/responses", {"input": "Say hello.", "stream": True}),
    "not stored": ("/v1/responses", {"input": "Say hello.", "store": False}),
    "background": ("/v1/responses", {"input": "Say hello.", "background": True}),
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Say hello."}]}),
    "messages": ("/v1/messages", {"max_tokens": 100, "messages": [{"role": "user", "content": "Say hello."}]}),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_an_answer_counts_once(tmp_path: Path, way: str) -> None:
    path, body = WAYS[way]
    with server(tmp_path) as url:
        assert ask(url, "key-ann", path, {**body, "model": "dear"}).status == 200
        wait_until(lambda: bool(used(url)))
        (row,) = used(url, "group_by=owner,key,model")
    assert (row["owner"], row["key"], row["model"], row["requests"]) == ("team-a", "config/ann", "dear", 1)
    assert row["input_tokens"] > 0 and row["output_tokens"] > 0
    assert row["cost"] == row["input_tokens"] + 2 * row["output_tokens"]


def test_metrics_tell_owners_where_they_are_asked_for(tmp_path: Path) -> None:
    for asked in (False, True):
        with server(tmp_path, metrics_by_owner=asked) as url:
            assert ask(url, "key-ann", "/v1/responses", {"model": "dear", "input": "hi"}).status == 200
            chat = {"model": "dear", "messages": [{"role": "user", "content": "hi"}]}
            assert ask(url, "key-ann", "/v1/chat/completions", chat).status == 200
            wait_until(lambda: used(url)[0]["requests"] >= 2)
            page = ask(url, "key-op", "/metrics").body.decode()
        line = 'antiphon_owner_answers_total{owner="team-a",key="config/ann"} 2'
        assert (line in page, "team-a" in page) == (asked, asked)
        assert ('antiphon_owner_tokens_total{owner="team-a",key="config/ann",kind="output"}' in page) == asked


@pytest.mark.slow  # a process
def test_sums_are_told_apart_and_kept(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        for key, model in (("key-ann", "dear"), ("key-amy", "dear"), ("key-ann", "cheap"), ("key-bob", "cheap")):
            assert ask(url, key, "/v1/responses", {"model": model, "input": "hi"}).status == 200
        assert ask(url, "key-bob", "/v1/responses", {"model": "cheap", "input": "/error 500 No."}).status >= 500
        assert {row["owner"]: row["requests"] for row in used(url)} == {"team-a": 3, "=team-b": 2}
    with server(tmp_path) as url:
        assert {row["key"]: row["requests"] for row in used(url, "group_by=key&owner=team-a")} == {
            "config/ann": 2,
            "config/amy": 1,
        }
        assert {row["model"]: (row["requests"], row["failures"]) for row in used(url, "group_by=model")} == {
            "dear": (2, 0),
            "cheap": (3, 1),
        }
        text = ask(url, "key-op", "/admin/usage?format=csv").body.decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["owner"] for row in rows] == ["'=team-b", "team-a"]
        done = subprocess.run(
            [sys.executable, "-m", "antiphon", "usage", "--store", str(tmp_path / "store.db"), "--by", "owner,model"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert [line.split()[:3] for line in done.stdout.splitlines()] == [
            ["owner", "model", "requests"], ["=team-b", "cheap", "2"], ["team-a", "cheap", "1"], ["team-a", "dear", "2"],
        ]  # fmt: skip
        asked = [
            sys.executable,
            "-m",
            "antiphon",
            "usage",
            "--url",
            url,
            "--format",
            "json",
            "--by",
            "model",
            "--owner",
            "team-a",
        ]
        done = subprocess.run(
            [*asked, "--key", "key-op"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        assert {row["model"]: row["requests"] for row in json.loads(done.stdout)} == {"dear": 2, "cheap": 1}


@pytest.mark.parametrize(
    ("period", "today", "first", "last"),
    [
        ("today", "2030-03-01", "2030-03-01", "2030-03-01"),
        ("yesterday", "2030-03-01", "2030-02-28", "2030-02-28"),
        ("week", "2030-03-01", "2030-02-25", "2030-03-01"),
        ("week", "2030-03-04", "2030-03-04", "2030-03-04"),
        ("last-week", "2030-03-03", "2030-02-18", "2030-02-24"),
        ("last-week", "2030-03-04", "2030-02-25", "2030-03-03"),
        ("month", "2030-03-01", "2030-03-01", "2030-03-01"),
        ("last-month", "2030-03-31", "2030-02-01", "2030-02-28"),
        ("last-month", "2030-01-31", "2029-12-01", "2029-12-31"),
        ("1d", "2030-03-01", "2030-03-01", "2030-03-01"),
        ("7d", "2030-03-01", "2030-02-23", "2030-03-01"),
    ],
)
def test_a_period_is_days(period: str, today: str, first: str, last: str) -> None:
    day = datetime.date.fromisoformat
    query = usage_query({"period": period}, day(today))
    assert (day_text(query.first), day_text(query.last)) == (first, last)


@pytest.mark.parametrize(
    "words",
    [{name: day} for name in ("start", "end") for day in ("0001-01-01", "1900-01-01", "x", "")]
    + [{"start": "0001-01-01", "end": "0001-01-02"}, {"start": "2030-01-02", "end": "2030-01-01"}]
    + [
        {"period": period}
        for period in ("", "d", "0d", "3661d", "99999d", "-1d", "1.5d", "٣d", "tomorrow", "LAST-WEEK")
    ],
)
def test_what_are_no_days(words: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"'({'|'.join([*words, 'start'])})'"):
        usage_query(words, TODAY)


def test_the_longest_period_is_the_longest_report() -> None:
    query = usage_query({"period": "3660d"}, TODAY)
    assert query.last - query.first + 1 == 3660


def test_openai_s_shapes(tmp_path: Path) -> None:
    start = int(time.time()) // 86_400 * 86_400
    with server(tmp_path) as url:
        for key in ("key-ann", "key-bob"):
            ask(url, key, "/v1/responses", {"model": "dear", "input": "hi"})
        query = f"start_time={start - 86_400}&group_by=model&group_by=user_id"
        page = ask(url, "key-op", f"/v1/organization/usage/completions?{query}").json()
        before, today = page["data"]
        assert (before["results"], before["end_time"], today["start_time"]) == ([], start, start)
        assert [(one["model"], one["user_id"], one["num_model_requests"]) for one in today["results"]] == [
            ("dear", "=team-b", 1),
            ("dear", "team-a", 1),
        ]
        first = ask(url, "key-op", f"/v1/organization/costs?{query}&limit=1").json()
        assert first["has_more"] and len(first["data"]) == 1
        second = ask(url, "key-op", f"/v1/organization/costs?{query}&limit=1&page={first['next_page']}").json()
        assert not second["has_more"] and second["data"][0]["results"][0]["amount"]["value"] > 0


REFUSED = (
    "/admin/usage?group_by=name",
    "/admin/usage?start=yesterday",
    "/admin/usage?period=fortnight",
    "/admin/usage?period=0d",
    "/admin/usage?period=9999d",
    "/admin/usage?period=week&start=2030-01-01",
    "/admin/usage?start=2030-01-02&end=2030-01-01",
    "/admin/usage?start=0001-01-01&end=9999-12-31",
    "/admin/usage?format=xml",
    "/v1/organization/costs",
    "/v1/organization/costs?start_time=-1",
    "/v1/organization/costs?start_time=99999999999999",
    "/v1/organization/costs?start_time=0&bucket_width=1m",
    "/v1/organization/usage/completions?start_time=0&group_by=x",
    "/v1/organization/usage/completions?start_time=0&page=x",
)


def test_what_is_wrong_is_told_and_only_the_operator_sees_it(tmp_path: Path) -> None:
    with server(tmp_path) as url:
        for path in REFUSED:
            answer = ask(url, "key-op", path)
            assert (answer.status, answer.error()["param"] != "") == (400, True), path
        for path in (
            "/admin/usage",
            "/v1/organization/costs?start_time=0",
            "/v1/organization/usage/completions?start_time=0",
        ):
            assert ask(url, "key-ann", path).status == 403
            assert ask(url, "none", path).status == 401


class Away:
    """A store of usage that is away at first."""

    def __init__(self, times: int) -> None:
        self.inner = open_memory().usage
        self.left = times

    async def add(self, sums: Any) -> None:
        if self.left:
            self.left -= 1
            raise APIError(503, "away")
        await self.inner.add(sums)

    async def read(self, query: UsageQuery) -> Any:
        return await self.inner.read(query)

    async def drop(self, before: int) -> None:
        await self.inner.drop(before)


async def requests_in(store: Any) -> int:
    return sum(one.requests for one in await store.read(UsageQuery(first=0, last=1 << 40)))


async def test_what_cannot_be_written_waits(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(usage, "MOST_WAITING", 3)
    store = Away(times=2)
    ledger = UsageLedger(store, {"m": Price(1.0, 1.0, 1.0)}, 0)
    for number in range(5):
        ledger.answered("o", "k", f"m{number}", Usage(), failed=False)
        await ledger.flush() if number == 1 else None
    ledger.answered("o", "k", "m0", None, failed=False)
    assert await requests_in(store) == 0
    await ledger.flush()
    await ledger.close()
    assert await requests_in(store) == 4, "three sums wait, one of them is of two requests"
    assert "usage: 2 records lost" in caplog.text


async def test_sums_are_written_by_themselves_and_dropped_when_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FLUSH", 0.01)
    store = open_memory().usage
    await store.add([UsageSum(day=1, owner="o", requests=7)])
    ledger = UsageLedger(store, {}, 30)
    ledger.answered("o", "k", "m", Usage(), failed=True)
    async with asyncio.timeout(10):
        while await requests_in(store) != 1:  # noqa: ASYNC110 (there is nothing that tells it)
            await asyncio.sleep(0.01)
    ledger.called("o", "web_search", failed=False)
    await ledger.close()
    (tool,) = [
        one for one in await store.read(UsageQuery(first=0, last=1 << 40, groups=frozenset(("tool",)))) if one.tool
    ]
    assert (tool.tool, tool.calls, tool.requests) == ("web_search", 1, 0)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_of_csv_is_a_formula(text: str) -> None:
    query = usage_query({"group_by": "owner"}, TODAY)
    (row,) = csv.DictReader(io.StringIO(as_csv([UsageSum(owner=text)], query)))
    assert row["owner"] == f"'{text}"
