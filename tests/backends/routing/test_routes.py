"""Which endpoint is called, who waits for it, and what happens when it fails: over real connections."""

from __future__ import annotations

import asyncio
import errno

import pytest

from antiphon.backends.base import Backend
from antiphon.backends.open import open_backend
from antiphon.backends.routing import breaker, member, registry, routes
from antiphon.backends.routing.registry import Registry
from antiphon.config import BackendConfig, ModelConfig
from antiphon.errors import BackendError, OutOfFiles
from tests.backends.routing.fleets import Server, fleet
from tests.backends.turns import read_all
from tests.net.upstream import Call, running, until

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


async def test_a_process_without_files_blames_no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async with fleet("ab", break_after=2, break_seconds=30.0) as both:
        with monkeypatch.context() as full:
            full.setattr("antiphon.net.http.client.open_connection", refused)
            full.setattr("antiphon.net.http.client.HttpClient._pop", lambda _: None)
            for _ in range(6):
                with pytest.raises(OutOfFiles):
                    await both.ask()
        for name in "ab":
            assert (both.health(name).circuit, both.health(name).up, both.health(name).failures) == ("closed", True, 0)
        assert await both.ask() in "ab"


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
