"""Owners take turns: on threads for large requests, at the DNS, at files that are fetched."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from antiphon.net import url_guard
from antiphon.net.url_guard import Unresolvable, UrlGuard
from antiphon.runtime.fair_turns import FairTurns
from antiphon.runtime.offload import LARGE, by_size
from antiphon.runtime.request_memory import HELD, Rooms

ROOMS = Rooms()


def of(owner: str) -> None:
    """Let what this task does be an owner's."""
    HELD.set(ROOMS.open(owner))


async def test_owners_come_one_after_the_other() -> None:
    turns = FairTurns(1)
    order: list[str] = []

    async def work(owner: str) -> None:
        async with turns.turn(owner):
            order.append(owner)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(owner) for owner in "aaaaabbc"))
    assert "".join(order) == "aabcabaa"


async def test_an_owner_has_so_many_at_once() -> None:
    turns = FairTurns(3, 2)
    running: list[str] = []
    most: dict[str, int] = {}

    async def work(owner: str) -> None:
        async with turns.turn(owner):
            running.append(owner)
            most[owner] = max(most.get(owner, 0), running.count(owner))
            assert len(running) <= 3
            await asyncio.sleep(0.001)
            running.remove(owner)

    await asyncio.gather(*(work(owner) for owner in "a" * 20 + "b" * 3))
    assert most["a"] == 2 and most["b"] <= 2
    assert turns._free == 3 and not turns._running and not turns._waiting


async def test_who_gives_up_loses_no_turn() -> None:
    turns = FairTurns(1)
    await turns.begin("a")
    waiting = [asyncio.create_task(turns.begin(owner)) for owner in "abb"]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    turns.end("a")
    waiting[1].cancel()  # it has its turn, and does not know
    await asyncio.gather(*waiting[:2], return_exceptions=True)
    await waiting[2]
    turns.end("b")
    assert turns._free == 1 and not turns._running and not turns._waiting


async def test_large_requests_of_one_owner_do_not_hold_up_those_of_others() -> None:
    gate = threading.Event()
    order: list[str] = []

    async def work(owner: str, first: bool = False) -> None:
        of(owner)
        await by_size(LARGE, gate.wait if first else lambda: order.append(owner), *([10] if first else []))

    tasks = [asyncio.create_task(work("ann", first=place < 2)) for place in range(12)]
    await asyncio.sleep(0.05)
    tasks.append(asyncio.create_task(work("bob")))
    tasks[5].cancel()
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order[0] == "bob"
    assert order.count("ann") == 9


async def test_names_of_one_owner_do_not_hold_up_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = UrlGuard()
    asked: list[str] = []
    stuck = asyncio.Event()

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        if host.startswith("slow"):
            await stuck.wait()
        return [(0, 0, 0, "", ("93.184.216.34", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo, raising=False)
    monkeypatch.setattr(url_guard, "LOOKUP_SECONDS", 0.1)

    async def check(owner: str, host: str) -> None:
        of(owner)
        await checked.check(f"https://{host}/", "url")

    slow = [asyncio.create_task(check("ann", f"slow{place}.example.com")) for place in range(4)]
    await asyncio.sleep(0.02)
    await check("bob", "fast.example.com")
    assert all(isinstance(one, Unresolvable) for one in await asyncio.gather(*slow, return_exceptions=True))
    await check("bob", "other.example.com")
    assert asked == ["slow0.example.com", "fast.example.com", "other.example.com"], "a busy thread keeps its turn"
    stuck.set()
    await asyncio.sleep(0.01)
    await check("ann", "again.example.com")
