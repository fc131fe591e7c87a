"""Turns: few things at once, and owners take turns. Who asks for many waits behind their own, not others behind theirs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairTurns:
    """`most` may go on at once, `of_owner` of them for one owner (0: all)."""

    def __init__(self, most: int, of_owner: int = 0) -> None:
        self._free = most
        self._of_owner = of_owner or most
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # in the order of their next turns

    async def begin(self, owner: str) -> None:
        """Wait for a turn; `end` gives it back."""
        if self._may(owner) and owner not in self._waiting:
            self._begin(owner)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.end(owner)
            else:
                self._leave(owner, turn)
            raise

    @asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block ends."""
        await self.begin(owner)
        try:
            yield
        finally:
            self.end(owner)

    def end(self, owner: str) -> None:
        """Give a turn back; the owner whose last one is longest ago comes next."""
        self._free += 1
        left = self._running[owner] - 1
        if left:
            self._running[owner] = left
        else:
            del self._running[owner]
        self._next()

    def _may(self, owner: str) -> bool:
        return self._free > 0 and self._running.get(owner, 0) < self._of_owner

    def _begin(self, owner: str) -> None:
        self._free -= 1
        self._running[owner] = self._running.get(owner, 0) + 1

    def _next(self) -> None:
        while self._free:
            owner = next((one for one in self._waiting if self._may(one)), None)
            if owner is None:
                return
            turns = self._waiting.pop(owner)
            turn = turns.popleft()
            if turns:
                self._waiting[owner] = turns  # behind the others
            if not turn.done():
                self._begin(owner)
                turn.set_result(None)

    def _leave(self, owner: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(owner)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[owner]
