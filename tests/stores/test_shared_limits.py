"""Three servers on one store let through one limit: on a file, and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from antiphon.composition import app
from antiphon.config import BackendConfig, Config, KeyConfig
from tests.server.handlers import Answer, call
from tests.server.serving import serving, wait_until

pytestmark = pytest.mark.slow

KEYS = {
    "hasty": KeyConfig(key="hasty", limits=["60 requests/min", "1000000 tokens/min"]),
    "broad": KeyConfig(key="broad", limits=["4 streams"]),
    "poor": KeyConfig(key="poor", limits=["3000 tokens/day"]),
}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Start three servers."""
    store = str(tmp_path / "store.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    backends = {"scripted": BackendConfig(url="http://127.0.0.1:9", api="scripted")}
    config = Config(store=store, shutdown_grace=0.1, keys=KEYS, backends=backends)
    with ExitStack() as stack:
        yield [stack.enter_context(serving(app.build(config), config)).url for _ in range(3)]


def ask(url: str, key: str, text: str = "Hi.", **fields: object) -> Answer:
    body = json.dumps({"model": "scripted", "input": text, **fields})
    return call(url, "POST", "/v1/responses", body, {"x-api-key": key})


async def at_once(urls: list[str], count: int, key: str, text: str = "Hi.", **fields: object) -> list[Answer]:
    """Ask the servers by turns."""
    return await asyncio.gather(
        *(asyncio.to_thread(ask, urls[number % 3], key, text, **fields) for number in range(count))
    )


async def test_requests(urls: list[str]) -> None:
    started = time.monotonic()
    answers = await at_once(urls, 120, "hasty", store=False)
    leaked = time.monotonic() - started  # one a second
    assert 60 <= sum(answer.status == 200 for answer in answers) <= 62 + leaked
    refused = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in refused} == {429}
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert all(answer.error()["code"] == "rate_limit_exceeded" for answer in refused)


async def test_places(urls: list[str]) -> None:
    running = await at_once(urls, 6, "broad", "/delay 3\n/repeat 3 word", background=True)
    assert sorted(answer.status for answer in running) == [200] * 4 + [429] * 2
    assert [ask(url, "broad").status for url in urls] == [429] * 3
    first = next(number for number, answer in enumerate(running) if answer.status == 200)
    path = f"/v1/responses/{running[first].json()['id']}/cancel"
    assert call(urls[first % 3], "POST", path, b"{}", {"x-api-key": "broad"}).status == 200
    wait_until(lambda: ask(urls[(first + 1) % 3], "broad").status == 200)


def test_a_budget(urls: list[str]) -> None:
    spent = 0
    while spent < 3000:
        answer = ask(urls[spent % 3], "poor", "/repeat 300 word")
        assert answer.status == 200
        spent += answer.json()["usage"]["total_tokens"]
    wait_until(lambda: ask(urls[0], "poor").status == 402)
    assert [ask(url, "poor").status for url in urls] == [402] * 3
