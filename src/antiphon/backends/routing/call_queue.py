"""Queue of calls that wait for a slot at a backend: first come, first served within an owner, owners alternate.

Calls that nobody waits for (`patient`: those of batches) come after all others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.backends.routing.member import Member


class Waiter:
    """A call that waits, perhaps in the queues of several backends; the first one with a free slot gets it."""

    def __init__(self, owner: str, response: str, *, patient: bool = False) -> None:
        self.owner = owner
        self.patient = patient
        self.response = response
        self.slot: asyncio.Future[Member] = asyncio.get_running_loop().create_future()


class CallQueue:
    """The queue of one backend."""

    def __init__(self) -> None:
        self._urgent = OwnerQueues()
        self._patient = OwnerQueues()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._patient)

    def room(self, most: int, *, patient: bool = False) -> bool:
        """Tell whether another call may wait, where `most` may; patient ones take nobody's place."""
        return (len(self) if patient else len(self._urgent)) < most

    def join(self, waiter: Waiter) -> None:
        """Append a call to its owner's queue."""
        self._of(waiter).join(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Remove a call. Idempotent."""
        self._of(waiter).leave(waiter)

    def position(self, response: str) -> int:
        """Return the position of a response's call, from 1 on; 0 where it does not wait here."""
        here = self._urgent.position(response)
        behind = 0 if here else self._patient.position(response)
        return here or (behind and len(self._urgent) + behind)

    def next(self) -> Waiter | None:
        """Remove and return the next call; its owner's next one comes after one of each other owner."""
        return self._urgent.next() or self._patient.next()

    def _of(self, waiter: Waiter) -> OwnerQueues:
        return self._patient if waiter.patient else self._urgent


class OwnerQueues:
    """Calls of one urgency."""

    def __init__(self) -> None:
        self._owners: dict[str, deque[Waiter]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def join(self, waiter: Waiter) -> None:
        """Append a call to its owner's queue."""
        self._owners.setdefault(waiter.owner, deque()).append(waiter)
        self._length += 1

    def leave(self, waiter: Waiter) -> None:
        """Remove a call. Idempotent."""
        waiters = self._owners.get(waiter.owner)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            self._length -= 1
            if not waiters:
                del self._owners[waiter.owner]

    def position(self, response: str) -> int:
        """Return the position of a response's call, from 1 on; 0 where it does not wait here."""
        rounds = zip_longest(*self._owners.values())
        in_turn = (waiter for one in rounds for waiter in one if waiter is not None)
        return next((position for position, waiter in enumerate(in_turn, 1) if waiter.response == response), 0)

    def next(self) -> Waiter | None:
        """Remove and return the next call; its owner's next one comes after one of each other owner."""
        while self._owners:
            owner = next(iter(self._owners))
            waiters = self._owners.pop(owner)
            waiter = waiters.popleft()
            self._length -= 1
            if waiters:
                self._owners[owner] = waiters
            if not waiter.slot.done():
                return waiter
        return None
