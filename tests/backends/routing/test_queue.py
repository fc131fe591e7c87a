"""Affinity of prompts to backends, and who waits for one."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from antiphon.backends.routing.member import opaque_id
from antiphon.errors import BackendError
from tests.backends.routing.fleets import fleet
from tests.backends.turns import read_all, text_of
from tests.net.upstream import until

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
