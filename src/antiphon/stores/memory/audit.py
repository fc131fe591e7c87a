"""MemoryAudit: the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.stores.audit_records import AuditEntry, AuditQuery

MOST_ENTRIES = 100_000


class MemoryAudit:
    """Entries in memory. Beyond `most` the oldest are dropped."""

    def __init__(self, most: int = MOST_ENTRIES) -> None:
        self._entries: dict[str, AuditEntry] = {}
        self._most = most

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        self._entries.update((one.id, one) for one in entries)
        while len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]

    async def list(self, query: AuditQuery) -> Sequence[AuditEntry] | None:
        newest_first = list(self._entries.values())[::-1]
        if query.after is not None:
            if query.after not in self._entries:
                return None
            newest_first = newest_first[[one.id for one in newest_first].index(query.after) + 1 :]
        return [one for one in newest_first if _wanted(one, query)][: query.limit]

    async def drop(self, before: float, limit: int) -> int:
        gone = [one.id for one in self._entries.values() if one.at < before][:limit]
        for id in gone:
            del self._entries[id]
        return len(gone)


def _wanted(one: AuditEntry, query: AuditQuery) -> bool:
    pairs = ((query.action, one.action), (query.actor, one.actor), (query.subject, one.subject))
    return query.first <= one.at <= query.last and all(wanted in (None, mine) for wanted, mine in pairs)
