"""AuditLog: who did or read what, written to the store before it is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import msgspec

from antiphon.config.masking import SECRETS
from antiphon.errors import APIError
from antiphon.stores.audit_records import AuditEntry
from antiphon.stores.base import AuditStore

AuditAction = Literal[
    "api_key.created",
    "api_key.updated",
    "api_key.revoked",
    "api_key.rotated",
    "configuration.reloaded",
    "model.stopped",
    "object.deleted",
    "owner.exported",
    "owner.erased",
    "admin.read",
]
ACTIONS: tuple[AuditAction, ...] = get_args(AuditAction)
LEVELS: Mapping[str, frozenset[AuditAction]] = {
    "off": frozenset(),
    "changes": frozenset(ACTIONS) - {"admin.read"},
    "all": frozenset(ACTIONS),
}
"""Which actions each value of the setting `audit` writes."""

READ_INTERVAL = 600.0
"""Seconds in which reads of one page by one key are one entry."""
MOST_READS = 10_000
"""Reads that are remembered for that."""
LONGEST_SUBJECT = 512
DROP_GROUP = 500
DAY = 86_400.0

log = logging.getLogger("antiphon.access")


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something: `id` as in AuditEntry.actor."""

    id: str
    owner: str = ""
    address: str = ""
    request_id: str = ""


SERVER = Actor(id="server")


class AuditLog:
    """Writes entries. `level` is the setting `audit`; `days`: how long they are kept, 0: for ever."""

    def __init__(
        self, store: AuditStore, level: str, days: int, clock: Callable[[], float], new_id_base: Callable[[], str]
    ) -> None:
        self.store = store
        self._actions = LEVELS[level]
        self._days = days
        self._clock = clock
        self._new_id_base = new_id_base
        self._reads: dict[tuple[str, str], float] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def record(self, action: AuditAction, actor: Actor, subject: str, details: Mapping[str, object]) -> None:
        """Write an entry; return when it is committed. Raises APIError 503: what cannot be recorded must not be done."""
        if action in self._actions:
            await self.store.add([self._entry(action, actor, subject, details)])

    async def read(self, actor: Actor, subject: str, details: Mapping[str, object]) -> None:
        """Write an entry for a read, unless the same actor read the same a while ago."""
        if "admin.read" not in self._actions:
            return
        now, whom = self._clock(), (actor.id, subject[:LONGEST_SUBJECT])
        if now - self._reads.get(whom, -READ_INTERVAL) < READ_INTERVAL:
            return
        await self.record("admin.read", actor, subject, details)
        if len(self._reads) >= MOST_READS:
            self._reads.clear()
        self._reads[whom] = now

    def record_soon(self, action: AuditAction, actor: Actor, subject: str, details: Mapping[str, object]) -> None:
        """Write an entry in the background, of what the server does by itself."""
        if action in self._actions:
            task = asyncio.ensure_future(self._write(self._entry(action, actor, subject, details)))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def drop_old(self) -> None:
        """Delete entries that are older than `days`."""
        if self._days:
            before = self._clock() - self._days * DAY
            while await self.store.drop(before, DROP_GROUP) == DROP_GROUP:
                pass

    async def close(self) -> None:
        """Write what is being written."""
        await asyncio.gather(*self._writing)

    async def _write(self, entry: AuditEntry) -> None:
        try:
            await self.store.add([entry])
        except APIError:
            log.warning("audit: %s of %s could not be written: the store is unavailable", entry.action, entry.actor)

    def _entry(self, action: AuditAction, actor: Actor, subject: str, details: Mapping[str, object]) -> AuditEntry:
        return AuditEntry(
            id=f"audit_{self._new_id_base()}",
            at=self._clock(),
            action=action,
            actor=actor.id,
            owner=actor.owner,
            subject=SECRETS.hide(subject[:LONGEST_SUBJECT]),
            address=actor.address,
            request_id=actor.request_id,
            details=msgspec.json.encode(details),
        )
