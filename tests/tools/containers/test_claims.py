"""A container is one call's at a time, on all servers: kept while a call runs, free again within a lease of a server's death."""

from __future__ import annotations

import asyncio
import time

import pytest

from antiphon.errors import APIError, NotFound
from antiphon.stores.base import ContainerStore
from antiphon.stores.open import open_store
from antiphon.stores.records import StoredContainer
from antiphon.tools.containers.claims import ContainerClaims
from antiphon.tools.sandbox.base import SandboxError

pytestmark = pytest.mark.slow  # they wait for leases
LEASE = 0.15
NOW = int(time.time())
OURS = StoredContainer(id="cntr_1", owner="ann", name="", memory=1, idle=3600, created_at=NOW, last_active_at=NOW)


@pytest.fixture
async def containers() -> ContainerStore:
    containers = open_store("memory", log_limit=1).containers
    await containers.put(OURS)
    return containers


def server(containers: ContainerStore, name: str, lease: float = LEASE) -> ContainerClaims:
    return ContainerClaims(containers, time.time, name, lease)


async def test_calls_are_counted(containers: ContainerStore) -> None:
    for number in range(3):
        async with server(containers, f"server {number}").claimed(OURS) as calls:
            assert calls == number


async def test_a_call_keeps_its_container_for_longer_than_a_lease(containers: ContainerStore) -> None:
    ended: list[str] = []
    began = asyncio.Event()

    async def call(name: str, seconds: float) -> None:
        async with server(containers, name).claimed(OURS):
            began.set()
            await asyncio.sleep(seconds)
            ended.append(name)

    first = asyncio.create_task(call("first", 4 * LEASE))
    await began.wait()
    await asyncio.gather(first, call("second", 0))
    assert ended == ["first", "second"]


async def test_the_container_of_a_dead_server_is_free_after_a_lease(containers: ContainerStore) -> None:
    now = time.time()
    assert await containers.claim(OURS.id, OURS.owner, "dead", now, now + LEASE) == 0
    async with server(containers, "alive").claimed(OURS) as calls:
        assert calls == 0 and time.time() >= now + LEASE


async def test_a_call_ends_where_another_server_has_its_container(containers: ContainerStore) -> None:
    async def call() -> None:
        async with server(containers, "slow").claimed(OURS):
            now = time.time()
            assert await containers.claim(OURS.id, OURS.owner, "other", now + LEASE, now + 60) == 0
            await asyncio.sleep(20)

    with pytest.raises(SandboxError, match="no longer this server's"):
        await call()
    now = time.time()
    assert await containers.claim(OURS.id, OURS.owner, "third", now, now + 60) is None, "the other still has it"


async def test_a_call_ends_with_its_container(containers: ContainerStore) -> None:
    async def call() -> None:
        async with server(containers, "slow").claimed(OURS):
            await containers.delete(OURS.id, OURS.owner)
            await asyncio.sleep(20)

    with pytest.raises(SandboxError):
        await call()
    with pytest.raises(NotFound):
        async with server(containers, "late").claimed(OURS):
            pass


class Away:
    """A store of containers that cannot be reached from the second claim on, for so many claims."""

    def __init__(self, containers: ContainerStore, failures: int) -> None:
        self._containers = containers
        self._failures = failures
        self._claims = 0

    async def claim(self, *given: object) -> int | None:
        self._claims += 1
        if 1 < self._claims <= self._failures + 1:
            raise APIError(503, "The store is away.")
        return await self._containers.claim(*given)  # type: ignore[arg-type]  # as they came

    def __getattr__(self, name: str) -> object:
        return getattr(self._containers, name)


@pytest.mark.parametrize(("failures", "kept"), [(1, True), (1000, False)])
async def test_a_store_that_is_away_for_less_than_a_lease_costs_nothing(
    containers: ContainerStore, failures: int, kept: bool
) -> None:
    ended = False
    try:
        async with server(Away(containers, failures), "one", 0.4).claimed(OURS):  # type: ignore[arg-type]  # it stands for one
            await asyncio.sleep(1)
            ended = True
    except SandboxError:
        assert not kept
    assert ended is kept


async def test_a_time_out_of_the_call_itself_is_not_taken_for_a_lost_lease(containers: ContainerStore) -> None:
    with pytest.raises(TimeoutError):
        async with server(containers, "one").claimed(OURS), asyncio.timeout(0.01):
            await asyncio.sleep(20)
