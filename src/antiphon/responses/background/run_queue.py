"""Queue of background responses: how many run at once in this process and per owner, and which wait in the store."""

from __future__ import annotations

import msgspec

from antiphon.access.caller import Caller
from antiphon.access.limits import Permit
from antiphon.errors import APIError
from antiphon.stores.base import ResponseStore
from antiphon.stores.records import StoredResponse
from antiphon.types.response import Usage

LOOKED_AT = 20  # responses that wait, at a time: another server may have begun them


class Waiting(msgspec.Struct, frozen=True):
    """A response that waits in the store for a worker, its permit, and who asked for it."""

    owner: str
    permit: Permit
    caller: Caller


class _Used(msgspec.Struct):
    usage: Usage | None = None


class RunQueue:
    """Counts running and waiting responses: at most `total` run, `of_owner` of one owner; at most `waiting` of one owner wait."""

    def __init__(self, total: int, of_owner: int, waiting: int) -> None:
        self._total = total
        self._of_owner = of_owner
        self._most_waiting = waiting
        self.running: dict[str, int] = {}
        self._waiting: dict[str, Waiting] = {}
        self._owners: dict[str, int] = {}  # how many wait, by owner

    def may_begin(self, owner: str) -> bool:
        """Tell whether a new response that is due may begin at once: there is room, and none of its owner's waits."""
        return self.room and self.running.get(owner, 0) < self._of_owner and owner not in self._owners

    @property
    def room(self) -> bool:
        """Tell whether another response may begin."""
        return sum(self.running.values()) < self._total

    @property
    def half_taken(self) -> bool:
        """Tell whether half of all places are taken: responses that have time wait then."""
        return 2 * sum(self.running.values()) >= self._total

    def busy(self) -> list[str]:
        """Return the owners who have taken half of their places."""
        return [owner for owner, count in self.running.items() if 2 * count >= self._of_owner]

    def full(self) -> list[str]:
        """Return the owners at their limit."""
        return [owner for owner, count in self.running.items() if count >= self._of_owner]

    def begin(self, owner: str) -> None:
        """Count a response that begins to run."""
        self.running[owner] = self.running.get(owner, 0) + 1

    def end(self, owner: str) -> None:
        """Count a response that has ended."""
        _less(self.running, owner)

    def check(self, owner: str) -> None:
        """Refuse a response of an owner for whom too many wait. Raises APIError 429."""
        if self._owners.get(owner, 0) >= self._most_waiting:
            raise APIError(
                429,
                f"Too many background responses are queued: at most {self._most_waiting} are allowed"
                " (background_queue_per_owner).",
                code="rate_limit_exceeded",
                headers={"retry-after": "10"},
            )

    def wait(self, id: str, owner: str, permit: Permit, caller: Caller | None) -> None:
        """Add a response that waits in the store. `caller`: who asked, where that is known."""
        self._waiting[id] = Waiting(owner, permit, caller or Caller(owner=owner))
        self._owners[owner] = self._owners.get(owner, 0) + 1

    def leave(self, id: str) -> Waiting | None:
        """Remove a response that waits, and return it; None if it did not wait here."""
        one = self._waiting.pop(id, None)
        if one is None:
            return None
        _less(self._owners, one.owner)
        return one

    async def look(self, responses: ResponseStore) -> None:
        """Settle the permits of waiting responses that were made elsewhere or deleted; a few per call. Raises APIError."""
        for id, one in list(self._waiting.items())[:LOOKED_AT]:
            stored = await responses.get(id, one.owner)
            if stored is None or stored.status not in ("queued", "in_progress"):
                left = self.leave(id)
                if left is not None:
                    left.permit.settle(_used(stored))
            elif id in self._waiting:
                self._waiting[id] = self._waiting.pop(id)  # the others come first next time

    def close(self) -> None:
        """Leave waiting responses to other servers."""
        for id in list(self._waiting):
            left = self.leave(id)
            if left is not None:
                left.permit.hand_over()


def _less(counts: dict[str, int], owner: str) -> None:
    left = counts[owner] - 1
    if left:
        counts[owner] = left
    else:
        del counts[owner]


def _used(stored: StoredResponse | None) -> Usage | None:
    return msgspec.json.decode(stored.body, type=_Used).usage if stored is not None else None
