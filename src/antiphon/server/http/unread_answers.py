"""Answers that wait for clients which do not read: counted by owner, and the longest waiting cut off beyond a limit."""

from __future__ import annotations

import logging
from typing import Protocol

log = logging.getLogger("antiphon.server.http")


class Stalled(Protocol):
    """A connection whose client reads too slowly."""

    def unread(self) -> int:
        """Return the bytes that wait to be sent."""
        ...

    def cut_off(self) -> None:
        """Break the connection off, and what works for it."""
        ...


class Unread:
    """All connections on which bytes wait. `limit` bytes may wait for the clients of one owner; 0: no limit."""

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._waiting: dict[str, dict[Stalled, None]] = {}  # of each owner, the longest waiting first
        self._most: dict[str, int] = {}  # no fewer wait: what was sent meanwhile is seen when it is counted

    def wrote(self, owner: str, connection: Stalled, size: int) -> None:
        """Note bytes that were written behind others that wait."""
        waiting = self._waiting.setdefault(owner, {})
        if connection not in waiting:
            waiting[connection] = None
            size = connection.unread()
        self._most[owner] = self._most.get(owner, 0) + size
        if self._limit and self._most[owner] > self._limit:
            self._count(owner, waiting)

    def left(self, owner: str, connection: Stalled) -> None:
        """Note that nothing waits there any more. Idempotent."""
        waiting = self._waiting.get(owner)
        if waiting is None:
            return
        waiting.pop(connection, None)
        if not waiting:
            del self._waiting[owner], self._most[owner]

    def _count(self, owner: str, waiting: dict[Stalled, None]) -> None:
        sizes = {connection: connection.unread() for connection in waiting}
        total = sum(sizes.values())
        for connection, size in list(sizes.items())[:-1]:  # the newest may be one large answer to a client that reads
            if total <= self._limit:
                break
            total -= size
            del waiting[connection]
            log.warning(
                "slow clients: %d unread bytes for owner %s; connection closed (unread_owner_bytes)",
                total + size,
                owner or "nobody",
            )
            connection.cut_off()
        self._most[owner] = total
