"""Request memory: bytes that running requests may hold, per owner and in total, in this process.

What counts is what a request brings or has fetched: its body, its history, its files; a body of less than `SMALL` bytes does
not, as a connection takes as much. Each is counted before it is taken in, and until the request is answered. A request that
is alone with its owner is never refused for its own size: other limits are.
"""

from __future__ import annotations

from contextvars import ContextVar

import msgspec

from antiphon.errors import APIError

SMALL = 4096

RETRY_AFTER = 1  # seconds, as a client is told that was refused


class Rooms:
    """What all owners hold. `owner` bytes may be held for one owner, `total` for all of them."""

    def __init__(self, owner: int = 1 << 28, total: int = 1 << 30) -> None:
        self.owner = owner
        self.total = total
        self.held = 0
        self.by_owner: dict[str, int] = {}

    def open(self, owner: str = "") -> Held:
        """Return what is held for a new request."""
        return Held(self, owner)


class Held(msgspec.Struct, eq=False):
    """Bytes held for one request. Set `owner` before taking any."""

    _rooms: Rooms
    owner: str
    size: int = 0

    def take(self, size: int) -> None:
        """Hold so many bytes more. Raises APIError 429 where the owner holds too many, 503 where all together do."""
        rooms = self._rooms
        owners = rooms.by_owner.get(self.owner, 0)
        if owners > self.size and owners + size > rooms.owner:
            raise _refusal(429, "your requests", rooms.owner, "request_owner_bytes", "rate_limit_exceeded")
        if rooms.held > self.size and rooms.held + size > rooms.total:
            raise _refusal(503, "requests", rooms.total, "request_bytes", "server_overloaded")
        self.size += size
        rooms.held += size
        rooms.by_owner[self.owner] = owners + size

    def close(self) -> None:
        """Give everything back. Idempotent."""
        size, self.size = self.size, 0
        if not size:
            return
        rooms = self._rooms
        rooms.held -= size
        left = rooms.by_owner[self.owner] - size
        if left:
            rooms.by_owner[self.owner] = left
        else:
            del rooms.by_owner[self.owner]

    def hand_over(self) -> Held:
        """Return another one that holds what this one did: the work goes on when the request is answered."""
        other = Held(self._rooms, self.owner)
        other.size, self.size = self.size, 0
        return other


HELD: ContextVar[Held | None] = ContextVar("antiphon_held", default=None)
"""What the request at hand holds, in the tasks that answer it."""


def take(size: int) -> None:
    """Hold so many bytes more for the request at hand. Raises APIError 429 or 503."""
    held = HELD.get()
    if held is not None:
        held.take(size)


def held_bytes() -> int:
    """Return how much the request at hand holds, 0 where there is none."""
    held = HELD.get()
    return held.size if held is not None else 0


def owner() -> str:
    """Return the owner of the request at hand, "" where there is none."""
    held = HELD.get()
    return held.owner if held is not None else ""


def _refusal(status: int, whose: str, limit: int, setting: str, code: str) -> APIError:
    return APIError(
        status,
        f"Too much memory in use by {whose}: at most {limit} bytes are allowed ({setting})."
        " Try again when one has been answered.",
        code=code,
        headers={"retry-after": str(RETRY_AFTER)},
    )
