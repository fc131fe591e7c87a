"""ContainerClaims: a container is one call's at a time, on all servers; a server that dies lets it go within a lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from antiphon.errors import APIError
from antiphon.stores.base import ContainerStore
from antiphon.stores.records import StoredContainer
from antiphon.tools.containers.base import container_not_found
from antiphon.tools.sandbox.base import SandboxError

WAIT_SECONDS = 0.1  # between two looks whether another server has given a container back
BEATS = 3  # renewals within a lease


class ContainerClaims:
    """Takes containers for calls, as `holder`, and keeps them by renewing a lease of so many seconds."""

    def __init__(self, store: ContainerStore, clock: Callable[[], float], holder: str, lease: float) -> None:
        self._store = store
        self._clock = clock
        self._holder = holder
        self._lease = lease

    @contextlib.asynccontextmanager
    async def claimed(self, container: StoredContainer) -> AsyncIterator[int]:
        """Take a container for a call, waiting for another server that has it; gives the number of calls before.

        Raises NotFound, and SandboxError where another server takes it over, or the store cannot be reached for a whole lease:
        what runs in the block is then cancelled.
        """
        loop = asyncio.get_running_loop()
        while (calls := await self._claim(container)) is None:
            if await self._store.get(container.id, container.owner, self._clock()) is None:
                raise container_not_found(container.id, "container")
            await asyncio.sleep(WAIT_SECONDS)
        try:
            async with asyncio.timeout_at(loop.time() + self._lease) as lease:
                renewing = asyncio.create_task(self._renew(container, lease))
                try:
                    yield calls
                finally:
                    renewing.cancel()
        except TimeoutError:
            if not lease.expired():
                raise
            raise SandboxError("The container is no longer this server's: the call was ended.") from None
        finally:
            await asyncio.shield(self._store.release(container.id, self._holder, self._clock(), calls + 1))

    async def _claim(self, container: StoredContainer) -> int | None:
        now = self._clock()
        return await self._store.claim(container.id, container.owner, self._holder, now, now + self._lease)

    async def _renew(self, container: StoredContainer, lease: asyncio.Timeout) -> None:
        """Keep the claim; what uses it ends where it cannot be kept."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._lease / BEATS)
            sent = loop.time()
            try:
                kept = await self._claim(container) is not None
            except APIError:
                continue  # the store is away: the lease ends if it does not come back
            if not kept:
                lease.reschedule(loop.time())
                return
            lease.reschedule(sent + self._lease)
