"""Which endpoint of a model is called, and calls that are given back."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec import Raw

from antiphon.backends.base import TurnStream, read
from antiphon.backends.routing import member as members
from antiphon.backends.routing.routes import ModelRoute
from antiphon.backends.scripted import ScriptedStream
from antiphon.config import ModelConfig
from antiphon.core.turn import Turn
from antiphon.errors import BackendError
from tests.backends.routing.puppets import Puppet, ids, started, unreachable
from tests.backends.turns import read_all, text_of, turn
from tests.net.upstream import until

# Choosing


async def test_the_least_busy_endpoint_is_called() -> None:
    a, b, c = Puppet("a", "m"), Puppet("b", "m"), Puppet("c", "m")
    async with started({}, a, b, c) as registry:
        assert ids(registry) == ["m"]
        route = registry.resolve("m")
        streams: dict[str, TurnStream] = {}
        for _ in range(9):
            before = {health.name: health.outstanding for health in registry.health()}
            stream = await route.open(turn("x", model="m"))
            (chosen,) = [health.name for health in registry.health() if health.outstanding > before[health.name]]
            assert before[chosen] == min(before.values())
            streams[chosen] = stream
        assert [health.outstanding for health in registry.health()] == [3, 3, 3]
        streams["b"].abort()
        assert len(b.turns) == 3
        await route.open(turn("x", model="m"))
        assert len(b.turns) == 4
        for member in registry._members.values():
            member.outstanding = 0


async def test_endpoints_have_names_of_their_own_only_where_the_model_says_so() -> None:
    a, b = Puppet("a"), Puppet("b")
    async with started({"m": ModelConfig(backends=["a", "b"], name="own")}, a, b) as registry:
        for _ in range(4):
            await read_all(await registry.resolve("m").open(turn("x", model="m")))
        assert [seen.model for seen in a.turns + b.turns] == ["own"] * 4
        assert (len(a.turns), len(b.turns)) == (2, 2)


async def test_a_failure_before_the_first_token_is_tried_elsewhere() -> None:
    a, b = Puppet("a", "m"), Puppet("b", "m")
    async with started({}, a, b) as registry:
        route = registry.resolve("m")
        for refusal in (
            unreachable(),
            BackendError(429, "busy", retriable=True),
            BackendError(502, "x", retriable=True),
        ):
            a.refusal = refusal
            for _ in range(4):
                assert text_of(await read_all(await route.open(turn("hi", model="m")))) == "hi"


async def test_what_is_the_clients_fault_is_not_tried_elsewhere() -> None:
    a, b = Puppet("a", "m"), Puppet("b", "m")
    a.refusal = b.refusal = BackendError(400, "bad")
    async with started({}, a, b) as registry:
        with pytest.raises(BackendError, match="bad"):
            await registry.resolve("m").open(turn("hi", model="m"))
        assert len(a.turns) + len(b.turns) == 1


async def test_the_last_endpoints_error_is_told() -> None:
    a, b = Puppet("a", "m"), Puppet("b", "m")
    async with started({}, a, b) as registry:
        a.down = b.down = True
        with pytest.raises(BackendError) as caught:
            await registry.resolve("m").open(turn("hi", model="m"))
        assert caught.value.status == 503
        assert len(a.turns) == len(b.turns) == 1


async def test_an_endpoint_that_cannot_be_reached_is_avoided_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "AVOID_SECONDS", 0.1)
    a, b = Puppet("a", "m"), Puppet("b", "m")
    async with started({}, a, b) as registry:
        route = registry.resolve("m")
        a.down = True
        for _ in range(6):
            await read_all(await route.open(turn("hi", model="m")))
        assert len(a.turns) == 1
        a.down = False
        await asyncio.sleep(0.12)
        for _ in range(2):
            await read_all(await route.open(turn("hi", model="m")))
        assert len(a.turns) == 2
        assert all(health.up for health in registry.health())


async def test_after_the_first_token_nothing_is_tried_again() -> None:
    a, b = Puppet("a", "m"), Puppet("b", "m")
    async with started({}, a, b) as registry:
        stream = await registry.resolve("m").open(turn("text\n/error 502 gone", model="m"))
        assert text_of(await read(stream)) == "text"
        with pytest.raises(BackendError, match="gone"):
            await read(stream)
        assert len(a.turns) + len(b.turns) == 1


# Giving back


async def test_a_call_is_given_back_exactly_once() -> None:
    a = Puppet("a", "m")
    async with started({}, a) as registry:
        route = registry.resolve("m")

        def outstanding() -> int:
            return registry.health()[0].outstanding

        ended = await route.open(turn("x", model="m"))
        broken = await route.open(turn("x\n/error 502 y", model="m"))
        aborted = await route.open(turn("x", model="m"))
        assert outstanding() == 3
        await read_all(ended)
        ended.abort()
        assert outstanding() == 2
        await read(broken)
        with pytest.raises(BackendError):
            await read(broken)
        broken.abort()
        assert outstanding() == 1
        aborted.abort()
        aborted.abort()
        assert outstanding() == 0


async def test_a_cancelled_call_is_given_back() -> None:
    class Stuck(Puppet):
        async def open(self, turn: Turn) -> ScriptedStream:
            await asyncio.sleep(60)
            raise AssertionError

    async with started({}, Stuck("a", "m")) as registry:
        opening = asyncio.ensure_future(registry.resolve("m").open(turn("x", model="m")))
        await until(lambda: registry.health()[0].outstanding == 1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert registry.health()[0].outstanding == 0


async def test_tokens_are_counted_where_that_is_possible() -> None:
    async with started({}, Puppet("a", "m")) as registry:
        assert await registry.resolve("m").count_tokens(turn("one two three", model="m")) == 3


async def test_extra_body_is_the_routes() -> None:
    models = {"m": ModelConfig(extra_body={"top_k": Raw(b"20")})}
    async with started(models, Puppet("a", "m")) as registry:
        route = registry.resolve("m")
        assert isinstance(route, ModelRoute)
        assert msgspec.json.encode(route.extra_body) == b'{"top_k":20}'
