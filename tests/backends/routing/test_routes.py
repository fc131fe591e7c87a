"""Which endpoint is called, who waits for it, and what happens when it fails: over real connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from antiphon.backends.base import Backend, BackendHealth, RoutedStream
from antiphon.backends.open import open_backend
from antiphon.backends.routing import breaker, member, registry, routes
from antiphon.backends.routing.member import opaque_id
from antiphon.backends.routing.registry import Registry
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.turn import Hints
from antiphon.errors import BackendError
from antiphon.types.request import CreateResponse
from tests.backends.turns import read_all, text_of, turn
from tests.net.upstream import Call, Upstream, running, until


class Server:
    """A chat completions server that says its name. `broken` is the status that it answers with instead."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.broken = 0
        self.silent = False
        self.retry_after = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[str] = []
        self.looks = 0
        self.at_once = self.most_at_once = 0

    async def __call__(self, call: Call) -> None:
        if call.method == "GET":
            self.looks += 1
            if self.silent:
                call.reset()
            else:
                await call.answer({"data": [{"id": "m"}]})
            return
        self.asked.append(call.json["messages"][-1]["content"])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
            await self._answer(call)
        finally:
            self.at_once -= 1

    async def _answer(self, call: Call) -> None:
        if self.silent:
            call.reset()
        elif self.broken:
            headers = {"retry-after": self.retry_after} if self.retry_after else {}
            await call.answer({"error": {"message": "no"}}, self.broken, headers)
        else:
            await call.start()
            await call.event({"choices": [{"index": 0, "delta": {"content": self.name}}]})
            await call.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            await call.event("[DONE]")
            await call.end()


class Fleet:
    """Some servers and the registry in front of them; `m` is what all serve."""

    def __init__(self, servers: Sequence[Server], upstreams: Sequence[Upstream], registry: Registry) -> None:
        self.servers = servers
        self.upstreams = upstreams
        self.registry = registry

    async def ask(self, text: str = "hi", *, model: str = "m", key: str = "", **hints: str) -> str:
        """Make a call and return who answered."""
        return text_of(await read_all(await self.open(text, model=model, key=key, **hints)))

    async def open(self, text: str = "hi", *, model: str = "m", key: str = "", **hints: str) -> RoutedStream:
        request = CreateResponse(model=model, input="…", prompt_cache_key=key or None)
        return await self.registry.resolve(model).open(turn(text, model=model, request=request, hints=Hints(**hints)))

    def health(self, name: str) -> BackendHealth:
        return next(one for one in self.registry.health() if one.name == name)


@asynccontextmanager
async def fleet(
    names: str = "a", models: dict[str, ModelConfig] | None = None, retries: int = 0, **settings: Any
) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        servers = [Server(name) for name in names]
        upstreams = [await stack.enter_async_context(running(server)) for server in servers]
        configs = {
            server.name: BackendConfig(url=upstream.url, **settings)
            for server, upstream in zip(servers, upstreams, strict=True)
        }
        backends: dict[str, Backend] = {name: open_backend(name, config) for name, config in configs.items()}
        known = Registry(models or {}, backends, settings=configs, retries=retries)
        await known.start()
        try:
            yield Fleet(servers, upstreams, known)
        finally:
            await known.close()
            assert all(one.outstanding == 0 and one.waiting == 0 for one in known.health())


# Circuit breaker


async def test_unreachable_backends_are_not_called_while_their_circuits_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(member, "AVOID_SECONDS", 0.0)
    async with fleet("ab", break_after=2, break_seconds=0.3, first_token_timeout=0.05) as both:
        for server in both.servers:
            server.gate.clear()
        while "closed" in (both.health("a").circuit, both.health("b").circuit):
            with pytest.raises(BackendError) as caught:
                await both.ask()
            assert caught.value.status == 504
        assert (both.health("a").up, both.health("b").up) == (False, False)
        asked = [len(server.asked) for server in both.servers]
        with pytest.raises(BackendError) as caught:
            await both.ask()
        assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
        assert [len(server.asked) for server in both.servers] == asked
        for server in both.servers:
            server.gate.set()
        await until(lambda: both.health("a").circuit == "half_open")
        assert await both.ask() in "ab"
        assert "closed" in (both.health("a").circuit, both.health("b").circuit)


async def test_the_only_backend_is_called_whatever_it_did_before() -> None:
    async with fleet("a", break_after=2, break_seconds=30.0) as one:
        one.servers[0].broken = 503
        for _ in range(3):
            with pytest.raises(BackendError):
                await one.ask()
        assert one.health("a").circuit == "open"
        one.servers[0].broken = 0
        assert await one.ask() == "a"
        assert one.health("a").circuit == "closed"


async def test_others_take_over_from_one_that_fails_and_a_probe_brings_it_back() -> None:
    async with fleet("ab", break_after=2, break_seconds=0.2) as both:
        a = both.servers[0]
        a.broken = 500
        assert {await both.ask() for _ in range(8)} == {"b"}
        assert both.health("a").circuit == "open"
        assert (len(a.asked), both.health("a").failures) == (2, 2)
        a.broken = 0
        await until(lambda: both.health("a").circuit == "half_open")
        assert "a" in {await both.ask() for _ in range(4)}
        assert both.health("a").circuit == "closed"


async def test_where_all_fail_but_answer_they_are_called_all_the_same() -> None:
    async with fleet("ab", break_after=1, break_seconds=30.0) as both:
        for server in both.servers:
            server.broken = 500
        for _ in range(3):
            with pytest.raises(BackendError, match="no"):
                await both.ask()
        assert all(one.circuit == "open" for one in both.registry.health())
        for server in both.servers:
            server.broken = 0
        assert await both.ask() in "ab"


def test_each_failed_probe_doubles_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(breaker, "monotonic", lambda: now)
    circuit = breaker.Breaker(1, 10.0)
    waits = []
    for _ in range(6):
        circuit.begin()
        circuit.failed(503)
        assert not circuit.admits and circuit.silent
        waits.append(circuit.seconds_left)
        now += circuit.seconds_left
        assert circuit.admits and circuit.state == "half_open"
    assert waits == [10, 20, 40, 80, 120, 120]
    circuit.begin()
    assert not circuit.admits, "one probe at a time"
    circuit.ended()
    assert circuit.admits, "its client left: that told nothing"


async def test_what_breaks_off_in_the_middle_is_a_failure_of_the_backend() -> None:
    async def cut(call: Call) -> None:
        await call.start()
        await call.event({"choices": [{"index": 0, "delta": {"content": "x"}}]})
        call.reset()

    async with fleet("a") as one:
        one.upstreams[0].handler = cut
        stream = await one.open()
        with pytest.raises(BackendError):
            await read_all(stream)
        assert one.health("a").failures == 1


# Further rounds


async def test_a_failure_that_may_pass_is_tried_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "BACKOFF", 0.05)
    async with fleet("a", retries=2) as one:
        (server,) = one.servers
        server.broken = 503
        asking = asyncio.ensure_future(one.ask())
        await until(lambda: len(server.asked) == 2)
        server.broken = 0
        assert await asking == "a"
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "retry_after", "calls"), [(400, "", 1), (429, "1", 1), (429, "60", 1), (503, "", 2)]
)
async def test_how_often_it_is_tried(
    status: int, retry_after: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "BACKOFF", 0.01)
    monkeypatch.setattr(routes, "LONGEST_PAUSE", 0.5)
    async with fleet("a", retries=1) as one:
        one.servers[0].broken, one.servers[0].retry_after = status, retry_after
        with pytest.raises(BackendError):
            await one.ask()
        assert len(one.servers[0].asked) == calls


# Fallbacks

FALLBACKS = {
    "first": ModelConfig(backends=["a"], name="m", fallbacks=["blind", "nowhere", "third"]),
    "blind": ModelConfig(backends=["b"], name="m", functions=False),
    "third": ModelConfig(backends=["c"], name="m"),
}


async def test_another_model_stands_in_if_it_can_do_the_same() -> None:
    async with fleet("abc", FALLBACKS) as three:
        assert await three.ask(model="first") == "a"
        three.servers[0].broken = 500
        assert await three.ask(model="first") == "c"
        three.servers[2].broken = 500
        with pytest.raises(BackendError, match="no"):
            await three.ask(model="first")
        assert three.servers[1].asked == []


async def test_no_model_stands_in_for_what_is_the_clients_fault() -> None:
    async with fleet("abc", FALLBACKS) as three:
        three.servers[0].broken = 400
        with pytest.raises(BackendError):
            await three.ask(model="first")
        assert three.servers[2].asked == []


# Affinity


async def test_prompts_with_one_key_meet_again_and_keys_are_spread() -> None:
    async with fleet("abc") as three:
        homes = {f"key-{n}": await three.ask(key=f"key-{n}") for n in range(30)}
        assert min(Counter(homes.values())[name] for name in "abc") >= 4
        assert {key: await three.ask(key=key) for key in homes} == homes
        three.servers[0].broken = 500
        after = {key: await three.ask(key=key) for key in homes}
        assert {key: home for key, home in after.items() if homes[key] != "a"} == {
            key: home for key, home in homes.items() if home != "a"
        }, "the loss of one backend moves its own keys only"


async def test_an_overloaded_backend_gets_no_more_of_them() -> None:
    async with fleet("ab") as both:
        home = await both.ask(key="k")
        for server in both.servers:
            server.gate.clear()
        calls = [asyncio.ensure_future(both.ask(key="k")) for _ in range(12)]
        await until(lambda: sum(server.at_once for server in both.servers) == 12)
        assert {server.name: server.at_once for server in both.servers}[home] < 12
        for server in both.servers:
            server.gate.set()
        await asyncio.gather(*calls)


async def test_a_turn_goes_on_where_it_began() -> None:
    async with fleet("abc") as three:
        for name in "abc":
            stream = await three.open(backend_id=opaque_id(name))
            assert (text_of(await read_all(stream)), stream.backend_id) == (name, opaque_id(name))
        assert await three.ask(backend_id=opaque_id("b"), key="key-0") == "b"
        assert await three.ask(backend_id="somewhere else") in "abc"


async def test_with_one_backend_there_is_nothing_to_remember() -> None:
    async with fleet("a") as one:
        stream = await one.open()
        assert stream.backend_id == ""
        stream.abort()


# Waiting in line


async def test_so_many_at_once_and_owners_take_turns() -> None:
    async with fleet("a", max_concurrent=1) as one:
        (server,) = one.servers
        server.gate.clear()
        running = [asyncio.ensure_future(one.ask("first", owner="x"))]
        await until(lambda: server.at_once == 1)
        for text, owner in (("x1", "x"), ("x2", "x"), ("x3", "x"), ("y1", "y"), ("z1", "z"), ("y2", "y")):
            running.append(asyncio.ensure_future(one.ask(text, owner=owner, response=text)))
            await asyncio.sleep(0)
        await until(lambda: one.health("a").waiting == 6)
        turns = ["first", "x1", "y1", "z1", "x2", "y2", "x3"]
        assert [one.registry.resolve("m").position(text) for text in turns] == list(range(7))
        server.gate.set()
        await asyncio.gather(*running)
        assert server.asked == turns
        assert [one.registry.resolve("m").position(text) for text in turns] == [0] * 7
        assert server.most_at_once == 1


async def test_who_waits_takes_the_first_place_anywhere() -> None:
    async with fleet("ab", max_concurrent=1) as both:
        a, b = both.servers
        a.gate.clear()
        b.gate.clear()
        busy = [asyncio.ensure_future(both.ask()) for _ in range(2)]
        await until(lambda: a.at_once == b.at_once == 1)
        waiting = asyncio.ensure_future(both.ask("late"))
        await until(lambda: both.health("a").waiting == both.health("b").waiting == 1)
        b.gate.set()
        assert await waiting == "b"
        a.gate.set()
        assert sorted(await asyncio.gather(*busy)) == ["a", "b"]


async def test_a_line_has_an_end_and_patience_too() -> None:
    async with fleet("a", max_concurrent=1, max_waiting=1, wait_timeout=0.1) as one:
        (server,) = one.servers
        server.gate.clear()
        first = asyncio.ensure_future(one.ask())
        await until(lambda: server.at_once == 1)
        second = asyncio.ensure_future(one.ask())
        await until(lambda: one.health("a").waiting == 1)
        for asking, message in (
            (one.ask(), "Too many requests are waiting"),
            (second, "waited too long for a free slot"),
        ):
            with pytest.raises(BackendError, match=message) as caught:
                await asking
            assert (caught.value.status, caught.value.code) == (503, "backend_busy")
            assert caught.value.headers["Retry-After"] == "5"
        server.gate.set()
        assert await first == "a"


async def test_who_leaves_the_line_is_not_waited_for() -> None:
    async with fleet("a", max_concurrent=1) as one:
        (server,) = one.servers
        server.gate.clear()
        first = asyncio.ensure_future(one.ask("first"))
        await until(lambda: server.at_once == 1)
        leaving, staying = (asyncio.ensure_future(one.ask(text)) for text in ("leaving", "staying"))
        await until(lambda: one.health("a").waiting == 2)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        server.gate.set()
        assert (await first, await staying) == ("a", "a")
        assert server.asked == ["first", "staying"]


async def test_a_place_given_to_somebody_who_just_left_is_not_lost() -> None:
    async with fleet("a", max_concurrent=1) as one:
        held = await one.open()
        leaving = asyncio.ensure_future(one.ask())
        await until(lambda: one.health("a").waiting == 1)
        held.abort()  # gives the place away …
        leaving.cancel()  # … to one that leaves before it learns of it
        await asyncio.gather(leaving, return_exceptions=True)
        assert one.health("a").outstanding == 0
        assert await one.ask() == "a"


# Looking


async def test_backends_are_looked_at_whether_their_models_are_served_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "DOWN_SECONDS", 0.02)
    server = Server("a")
    async with running(server) as upstream:
        config = BackendConfig(url=upstream.url, check_interval=0.05)
        backends: dict[str, Backend] = {"a": open_backend("a", config)}
        models = {"own": ModelConfig(backends=["a"])}
        known = Registry(models, backends, discover=frozenset(), settings={"a": config})
        await known.start()
        await until(lambda: server.looks >= 2)
        assert [card.id for card in known.cards()] == ["own"]
    await until(lambda: not known.health()[0].up)
    async with running(server, port=upstream.port):
        await until(lambda: known.health()[0].up)
        await known.close()
