"""`max_concurrent_of = "store"`: servers share a backend's slots, take turns, and ask the store rarely."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from antiphon.backends.routing import shared_slots
from antiphon.backends.routing.call_queue import Waiter
from antiphon.backends.routing.member import Member, Policy
from antiphon.backends.scripted import ScriptedBackend
from antiphon.errors import APIError


class Slots:
    """A store of slots, which counts what it is asked."""

    def __init__(self) -> None:
        self.taken = 0
        self.asked: Counter[str] = Counter()
        self.away = False

    async def take(self, name: str, most: int) -> bool:
        self._ask("take")
        await asyncio.sleep(0)
        if self.taken >= most:
            return False
        self.taken += 1
        return True

    async def free(self, name: str) -> None:
        self._ask("free")
        self.taken -= 1

    async def renew(self) -> None:
        self._ask("renew")

    def _ask(self, what: str) -> None:
        self.asked[what] += 1
        if self.away:
            raise APIError(503, "The store is unavailable.", code="store_unavailable")


class Fleet:
    """Servers with one backend, whose calls are counted."""

    def __init__(self, store: Slots, servers: int, most: int) -> None:
        policy = Policy(max_concurrent=most, max_concurrent_of="store")
        self.members = [Member(ScriptedBackend("b"), True, policy) for _ in range(servers)]
        for member in self.members:
            member.share(store)
        self.running = self.peak = 0
        self.done: Counter[int] = Counter()

    async def call(self, server: int, seconds: float = 0.0) -> None:
        """Make a call as a route does."""
        member = self.members[server]
        if member.has_room:
            member.take()
        else:
            waiter = Waiter("owner", "resp")
            member.join(waiter)
            assert await waiter.slot is member
        self.running += 1
        self.peak = max(self.peak, self.running)
        await asyncio.sleep(seconds)
        self.running -= 1
        self.done[server] += 1
        member.give_back()


@asynccontextmanager
async def fleet(store: Slots, servers: int, most: int) -> AsyncIterator[Fleet]:
    made = Fleet(store, servers, most)
    try:
        yield made
    finally:
        await asyncio.gather(*(member.close() for member in made.members))


async def test_the_limit_holds_for_all_servers_together() -> None:
    store = Slots()
    async with fleet(store, 3, 4) as servers:
        await asyncio.gather(*(servers.call(number % 3, 0.005) for number in range(120)))
        assert servers.peak == 4 and sum(servers.done.values()) == 120
    assert store.taken == 0, "what was held is given back"


async def test_the_store_is_asked_less_than_once_per_call() -> None:
    store = Slots()
    async with fleet(store, 1, 4) as servers:
        await asyncio.gather(*(servers.call(0, 0.001) for _ in range(400)))
        assert store.asked.total() <= 10, store.asked
        before = store.asked.total()
        for _ in range(50):
            await servers.call(0)
        assert store.asked.total() == before, "a slot is kept for a moment"


@pytest.mark.slow
async def test_a_server_that_is_always_busy_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_slots, "TURN", 0.05)
    store = Slots()
    async with fleet(store, 2, 1) as servers:

        async def busy() -> None:
            while True:  # one call after another: it never waits for a slot of its own
                await servers.call(0, 0.002)

        working = [asyncio.create_task(busy()) for _ in range(2)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(20):
            for _ in range(3):
                await servers.call(1)
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        assert servers.peak == 1 and servers.done[1] == 3 and servers.done[0] > 0


async def test_without_the_store_one_call_at_a_time() -> None:
    store = Slots()
    store.away = True
    async with fleet(store, 1, 4) as servers:
        await asyncio.gather(*(servers.call(0, 0.001) for _ in range(10)))
        assert servers.peak == 1 and servers.done[0] == 10
        store.away = False
        await asyncio.gather(*(servers.call(0, 0.05) for _ in range(10)))
        assert 1 < servers.peak <= 5
    assert store.taken == 0


@pytest.mark.slow
async def test_idle_slots_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_slots, "LINGER", 0.01)
    store = Slots()
    async with fleet(store, 1, 4) as servers:
        long = asyncio.create_task(servers.call(0, 0.6))
        await asyncio.gather(*(servers.call(0, 0.01) for _ in range(3)))
        async with asyncio.timeout(10):
            while store.taken > 1 and not long.done():  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.01)
        assert not long.done(), "those that no call needs go, while another call goes on"
        await long
        async with asyncio.timeout(10):
            while store.taken:  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.01)
