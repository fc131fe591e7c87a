"""AuditStore: the operations on the audit log, which is only added to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.stores.audit_records import AuditEntry, AuditQuery


class AuditStore(Protocol):
    """Entries of the audit log. None is ever changed; old ones are dropped."""

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries: all, or none."""
        ...

    async def list(self, query: AuditQuery) -> Sequence[AuditEntry] | None:
        """Return entries, the newest first; None if `after` is unknown."""
        ...

    async def drop(self, before: float, limit: int) -> int:
        """Delete at most `limit` entries that are older than a time, the oldest first; return how many."""
        ...
