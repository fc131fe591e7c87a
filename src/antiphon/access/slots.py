"""Slots: concurrent responses of a caller, counted over all servers on the same store."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Sequence

from antiphon.access.quota import too_many_streams
from antiphon.errors import APIError
from antiphon.stores.base import LimitStore
from antiphon.stores.records import Slot

LEASE = 30.0  # seconds after which the slots of a dead server are free
PATIENCE = (0.02, 0.08)  # seconds between tries for a slot: one may be given back at this moment

log = logging.getLogger("antiphon.access")


class Slots:
    """The slots that this server has taken."""

    def __init__(self, limits: LimitStore, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._holder = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._taken = 0
        self._freed: list[Slot] = []
        self._freeing: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, names: Sequence[tuple[str, int]]) -> Sequence[Slot]:
        """Take a slot under each name, of so many. Raises APIError 429."""
        taken: list[Slot] = []
        try:
            for name, most in names:
                slot = Slot(name=name, holder=self._holder, most=most)
                if not await self._take(slot):
                    raise too_many_streams(most)
                self._taken += 1
                taken.append(slot)
        except BaseException:
            self.free(taken)
            raise
        if taken and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._renew())
        return taken

    def free(self, slots: Sequence[Slot]) -> None:
        """Give slots back: at once, in the background."""
        self._freed += slots
        if slots and (self._freeing is None or self._freeing.done()):
            self._freeing = asyncio.create_task(self._free())

    async def close(self) -> None:
        """Give back what is still to be given back."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if self._freeing is not None:
            await self._freeing

    async def _take(self, slot: Slot) -> bool:
        for pause in (*PATIENCE, 0.0):
            taking = asyncio.ensure_future(self._limits.take_slot(slot, self._clock(), LEASE))
            try:
                if await asyncio.shield(taking):
                    return True
            except asyncio.CancelledError:
                taking.add_done_callback(lambda done: self._give_back(done, slot))
                raise
            await asyncio.sleep(pause)
        return False

    def _give_back(self, done: asyncio.Future[bool], slot: Slot) -> None:
        """Free a slot that nobody waited for any more."""
        if not done.cancelled() and done.exception() is None and done.result():
            self._taken += 1
            self.free([slot])

    async def _free(self) -> None:
        while self._freed:
            freed, self._freed = self._freed, []
            self._taken -= len(freed)
            try:
                await asyncio.gather(*(self._limits.free_slot(slot) for slot in freed))
            except APIError:
                log.warning(
                    "rate limits: %d concurrent-stream slots not released: the store is unavailable", len(freed)
                )
            except Exception:
                log.exception("rate limits: releasing concurrent-stream slots failed")

    async def _renew(self) -> None:
        """Keep the slots while there are any."""
        while self._taken > 0:
            await asyncio.sleep(LEASE / 3)
            try:
                await self._limits.renew_slots(self._holder, self._clock(), LEASE)
            except APIError:
                log.warning("rate limits: concurrent-stream slots not renewed: the store is unavailable")
            except Exception:
                log.exception("rate limits: renewing concurrent-stream slots failed")


class BackendSlots:
    """Slots of backends whose `max_concurrent` all servers on the store share (`backends.routing.shared_slots.SlotStore`)."""

    def __init__(self, limits: LimitStore, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._holder = f"{os.getpid()}-{secrets.token_hex(6)}"

    async def take(self, name: str, most: int) -> bool:
        """Take a slot of a backend, unless all are taken."""
        return await self._limits.take_slot(self._slot(name, most), self._clock(), LEASE)

    async def free(self, name: str) -> None:
        """Give a slot back."""
        await self._limits.free_slot(self._slot(name, 0))

    async def renew(self) -> None:
        """Keep the slots of this process."""
        await self._limits.renew_slots(self._holder, self._clock(), LEASE)

    def _slot(self, name: str, most: int) -> Slot:
        return Slot(name=f"{name}/backend calls", holder=self._holder, most=most)
