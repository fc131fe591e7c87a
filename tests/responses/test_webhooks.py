"""Webhooks, taken by a real receiver and verified by the official client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest

from antiphon.config import WebhookConfig
from antiphon.errors import ConfigError
from antiphon.responses.webhooks import EVENTS, Webhooks
from antiphon.stores.base import Store
from antiphon.stores.open import open_memory, open_sqlite
from tests.net.upstream import Call, Handler, running, until

SECRET = "whsec_bXkgbGl0dGxlIHNlY3JldA=="


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store: Store = open_memory() if request.param == "memory" else open_sqlite(tmp_path / "store.db")
    yield store
    await store.close()


@asynccontextmanager
async def delivering(
    store: Store, *configs: WebhookConfig, delays: Sequence[float] = (0.01,) * 4
) -> AsyncIterator[Webhooks]:
    webhooks = Webhooks(
        {f"hook{index}": config for index, config in enumerate(configs)}, store.deliveries, delays=delays
    )
    await webhooks.start()
    try:
        yield webhooks
    finally:
        await webhooks.close()


def hook(url: str, secret: str = SECRET, events: list[str] | None = None) -> WebhookConfig:
    return WebhookConfig(url=url, secret=secret, events=events or [])


def answering(*statuses: int) -> Handler:
    """Answer with one status after the other, the last one for ever."""
    left = list(statuses)

    async def serve(call: Call) -> None:
        await call.answer(b"", left.pop(0) if len(left) > 1 else left[0])

    return serve


async def nothing_waits(store: Store) -> None:
    async with asyncio.timeout(2):
        while await store.deliveries.next_due() is not None:  # noqa: ASYNC110 (the store has no event for it)
            await asyncio.sleep(0.005)


async def test_the_official_client_verifies_every_event(store: Store) -> None:
    async with running(answering(200)) as server, delivering(store, hook(f"{server.url}/hook?x=y")) as webhooks:
        for index, type in enumerate(EVENTS):
            await webhooks.notify(type, f"resp_{index}", "ann")
        await until(lambda: len(server.calls) == len(EVENTS))
        await nothing_waits(store)
    client = openai.OpenAI(api_key="x", webhook_secret=SECRET)
    events = {}
    for call in server.calls:
        assert (call.method, call.path, call.headers["content-type"]) == ("POST", "/v1/hook?x=y", "application/json")
        event = client.webhooks.unwrap(call.body, call.headers)
        assert call.json["object"] == "event" and call.headers["webhook-id"] == event.id
        events[event.type] = event.data.id  # type: ignore[union-attr]
    assert events == {type: f"resp_{index}" for index, type in enumerate(EVENTS)}
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(server.calls[0].body + b" ", server.calls[0].headers)


@pytest.mark.parametrize("secret", ["a plain secret", "whsec_AAAA"])
async def test_secrets_of_both_kinds(secret: str) -> None:
    async with running(answering(204)) as server, delivering(open_memory(), hook(server.url, secret)) as webhooks:
        await webhooks.notify("response.completed", "resp_1", "ann")
        await until(lambda: bool(server.calls))
    client = openai.OpenAI(api_key="x", webhook_secret=secret)
    assert client.webhooks.unwrap(server.calls[0].body, server.calls[0].headers).id == "evt_1"


async def test_a_receiver_gets_what_it_asked_for() -> None:
    async with running(answering(200)) as server:
        some = hook(f"{server.url}/some", events=["response.failed"])
        async with delivering(open_memory(), some, hook(f"{server.url}/all")) as webhooks:
            await webhooks.notify("response.completed", "resp_1", "ann")
            await webhooks.notify("response.failed", "resp_2", "ann")
            await until(lambda: len(server.calls) == 3)
    got = sorted((call.path, call.json["data"]["id"]) for call in server.calls)
    assert got == [("/v1/all", "resp_1"), ("/v1/all", "resp_2"), ("/v1/some", "resp_2")]


async def test_what_is_not_taken_is_sent_again_with_the_same_id(store: Store) -> None:
    async with running(answering(500, 302, 429, 200)) as server, delivering(store, hook(server.url)) as webhooks:
        await webhooks.notify("response.completed", "resp_1", "ann")
        await until(lambda: len(server.calls) == 4)
        await nothing_waits(store)
    assert {(call.headers["webhook-id"], call.body) for call in server.calls} == {("evt_1", server.calls[0].body)}
    client = openai.OpenAI(api_key="x", webhook_secret=SECRET)
    for call in server.calls:
        client.webhooks.unwrap(call.body, call.headers)


@pytest.mark.parametrize(("status", "attempts"), [(503, 5), (410, 1)])
async def test_attempts_have_an_end(store: Store, status: int, attempts: int) -> None:
    async with running(answering(status)) as server, delivering(store, hook(server.url)) as webhooks:
        await webhooks.notify("response.completed", "resp_1", "ann")
        await nothing_waits(store)
        await asyncio.sleep(0.05)
    assert len(server.calls) == attempts


async def test_attempts_wait_for_their_time() -> None:
    store = open_memory()
    async with running(answering(500)) as server, delivering(store, hook(server.url), delays=(0.2, 60.0)) as webhooks:
        await webhooks.notify("response.completed", "resp_1", "ann")
        await asyncio.sleep(0.1)
        assert len(server.calls) == 1
        await until(lambda: len(server.calls) == 2)
        await asyncio.sleep(0.1)
        assert len(server.calls) == 2


async def test_a_restart_goes_on(tmp_path: Path) -> None:
    """Also where the receiver was down, and where an attempt was under way."""

    async def hang(call: Call) -> None:
        await asyncio.sleep(60)

    store = open_sqlite(tmp_path / "store.db")
    async with running(hang) as server, delivering(store, hook(server.url)) as webhooks:
        await webhooks.notify("response.completed", "resp_1", "ann")
        await until(lambda: bool(server.calls))
        port = server.port
        await webhooks.close()
    await store.close()
    store = open_sqlite(tmp_path / "store.db")
    async with running(answering(200), port=port) as server, delivering(store, hook(server.url)):
        await until(lambda: bool(server.calls))
        await nothing_waits(store)
    assert server.calls[0].json["data"] == {"id": "resp_1"}
    await store.close()


async def test_a_slow_receiver_holds_up_nobody() -> None:
    async def serve(call: Call) -> None:
        if call.path == "/v1/slow":
            await asyncio.sleep(60)
        await call.answer(b"")

    async with running(serve) as server:
        hooks = hook(f"{server.url}/slow"), hook(f"{server.url}/fast")
        async with delivering(open_memory(), *hooks) as webhooks:
            async with asyncio.timeout(5):  # the slow one takes a minute
                for number in range(3):
                    await webhooks.notify("response.completed", f"resp_{number}", "ann")
            await until(lambda: sum(call.path == "/v1/fast" for call in server.calls) == 3)


async def test_two_servers_on_one_store_deliver_once(tmp_path: Path) -> None:
    stores = [open_sqlite(tmp_path / "store.db") for _ in range(2)]
    async with (
        running(answering(200)) as server,
        delivering(stores[0], hook(server.url)) as one,
        delivering(stores[1], hook(server.url)) as two,
    ):
        for number in range(20):
            await (one if number % 2 else two).notify("response.completed", f"resp_{number:02}", "ann")
        await until(lambda: len(server.calls) >= 20)
        await nothing_waits(stores[0])
    got = sorted(json.loads(call.body)["data"]["id"] for call in server.calls)
    assert got == [f"resp_{number:02}" for number in range(20)]
    for store in stores:
        await store.close()


async def test_an_event_is_made_once_while_it_waits() -> None:
    store = open_memory()
    webhooks = Webhooks({"hook": hook("http://127.0.0.1:9/")}, store.deliveries)
    for _ in range(2):
        await webhooks.notify("response.completed", "resp_1", "ann")
    assert await store.deliveries.claim(1e12, 60.0) is not None
    assert await store.deliveries.claim(1e12, 60.0) is None


async def test_a_receiver_that_was_taken_out_of_the_configuration_is_forgotten(store: Store) -> None:
    webhooks = Webhooks({"old": hook("http://127.0.0.1:9/old")}, store.deliveries)
    await webhooks.notify("response.completed", "resp_1", "ann")
    assert await store.deliveries.next_due() is not None
    async with delivering(store, hook("http://127.0.0.1:9/new")):
        await nothing_waits(store)


async def test_a_broken_store_does_not_break_the_response(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "store.db")
    webhooks = Webhooks({"hook": hook("http://127.0.0.1:9/")}, store.deliveries)
    await store.close()
    await webhooks.notify("response.completed", "resp_1", "ann")


async def test_without_receivers_nothing_is_kept() -> None:
    store = open_memory()
    async with delivering(store) as webhooks:
        await webhooks.notify("response.completed", "resp_1", "ann")
    assert await store.deliveries.next_due() is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (hook("ftp://x/"), "webhooks.h.url"),
        (hook("http://user:pass@x/"), "webhooks.h.url"),
        (hook("http://a..ä/"), "webhooks.h.url"),
        (hook("http://x/", secret="whsec_#"), "webhooks.h.secret"),
        (hook("http://x/", secret=""), "webhooks.h.secret"),
        (hook("http://x/", events=["response.done"]), "webhooks.h.events"),
    ],
)
def test_settings_that_cannot_be(config: WebhookConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Webhooks({"h": config}, open_memory().deliveries)
