"""Bench: the sandboxes of containers that run in this process: started, kept for the next call, ended when idle or in excess."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from antiphon.tools.containers.base import ContainerBounds, ContainersBusy
from antiphon.tools.sandbox.base import Sandbox, SandboxSource

SWEEP_SECONDS = 30.0


class HeldSandbox:
    """A container's sandbox.

    `calls`: the container's, after the last one here; `known`: its files' versions by path; `skills`: their folders.
    """

    def __init__(self, owner: str, sandbox: Sandbox) -> None:
        self.owner = owner
        self.sandbox = sandbox
        self.calls = -1
        self.known: dict[str, tuple[str, int]] = {}
        self.skills: set[str] = set()
        self.busy = False
        self.used = 0.0


class Bench:
    """Sandboxes by their containers' ids."""

    def __init__(self, source: SandboxSource, bounds: ContainerBounds, clock: Callable[[], float]) -> None:
        self._source = source
        self._bounds = bounds
        self._clock = clock
        self._held: dict[str, HeldSandbox] = {}
        self._starting: dict[str, str] = {}
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """How many sandboxes run."""
        return len(self._held)

    def find(self, id: str) -> HeldSandbox | None:
        """Return a container's sandbox, where it runs still."""
        held = self._held.get(id)
        if held is not None and not held.sandbox.alive:
            del self._held[id]
            return None
        return held

    async def start(self, id: str, owner: str) -> HeldSandbox:
        """Start a sandbox for a container; where there are too many, idle ones end. Raises ContainersBusy, SandboxError."""
        await self.drop(id)
        await self._make_room(owner)
        self._starting[id] = owner
        try:
            held = self._held[id] = HeldSandbox(owner, await self._source.start())
        finally:
            self._starting.pop(id, None)
        self._source.warm()
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())
        return held

    async def _make_room(self, owner: str) -> None:
        owners = [*(held.owner for held in self._held.values()), *self._starting.values()]
        if owners.count(owner) >= self._bounds.per_owner:
            await self._drop_oldest(owner)
        elif len(owners) >= self._bounds.total:
            await self._drop_oldest(None)

    async def _drop_oldest(self, owner: str | None) -> None:
        idle = [(held.used, id) for id, held in self._held.items() if not held.busy and owner in (None, held.owner)]
        if not idle:
            raise ContainersBusy
        await self.drop(min(idle)[1])

    async def drop(self, id: str) -> None:
        """End a container's sandbox, if it has one."""
        held = self._held.pop(id, None)
        if held is not None:
            await held.sandbox.close()

    async def close(self) -> None:
        """End all of them."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for id in list(self._held):
            await self.drop(id)

    async def _sweep(self) -> None:
        """End what has been idle for too long, from time to time."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            over = self._clock() - self._bounds.idle
            for id in [id for id, held in self._held.items() if not held.busy and held.used <= over]:
                await self.drop(id)
