"""Budgets of WebSocket connections in bytes: queued messages in both directions, and remembered responses."""

from __future__ import annotations

from weakref import WeakValueDictionary

from antiphon.errors import APIError


class OwnerBytes:
    """Bytes kept by all connections of an owner in this process."""

    __slots__ = ("__weakref__", "kept", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.kept = 0  # those that wait, too


class Budgets:
    """Budgets by owner. At most `connection` bytes are queued on a connection, and `owner` bytes kept for an owner."""

    def __init__(self, connection: int, owner: int) -> None:
        self.connection = connection
        self.owner = owner
        self._owners: WeakValueDictionary[str, OwnerBytes] = WeakValueDictionary()

    def open(self, owner: str) -> Budget:
        """Return the budget of a new connection."""
        shared = self._owners.get(owner)
        if shared is None:
            shared = self._owners[owner] = OwnerBytes()
        return Budget(self, shared)


class Budget:
    """Bytes kept by one connection."""

    __slots__ = ("_limits", "_owner", "kept", "waiting")

    def __init__(self, limits: Budgets, owner: OwnerBytes) -> None:
        self._limits = limits
        self._owner = owner
        self.waiting = 0
        self.kept = 0

    def reserve(self, size: int) -> None:
        """Make room for a message. Raises APIError 429."""
        if self.waiting + size > self._limits.connection:
            raise _full("this connection", self._limits.connection, "websocket_queue")
        if self._owner.waiting + size > self._limits.owner:
            raise _full("your connections", self._limits.owner, "websocket_owner_bytes")
        self.wait(size)

    def release(self, size: int) -> None:
        """Release the bytes of a message."""
        self.wait(-size)

    def wait(self, size: int) -> None:
        """Count queued bytes, in either direction; a negative size releases them."""
        self.waiting += size
        self._owner.waiting += size
        self.keep(size)

    def keep(self, size: int) -> None:
        """Count remembered bytes; a negative size releases them."""
        self.kept += size
        self._owner.kept += size

    @property
    def over(self) -> bool:
        """Tell whether the owner exceeds its budget: remembered responses are then dropped for queued messages."""
        return self._owner.kept > self._limits.owner

    def close(self) -> None:
        """Release everything."""
        self.wait(-self.waiting)
        self.keep(-self.kept)


def _full(where: str, limit: int, setting: str) -> APIError:
    return APIError(
        429,
        f"Too many bytes of messages are waiting on {where}: at most {limit} are allowed ({setting})."
        " Wait until a response has ended.",
        code="rate_limit_exceeded",
    )
