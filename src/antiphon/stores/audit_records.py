"""Records of the audit log: entries, and which of them are wanted."""

from __future__ import annotations

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did or read, written before it is done. `details` is a JSON object without secrets.

    `actor` is the id of a key, `config/NAME`, an owner where the key has no name, `cli:USER@HOST` or `server`.
    """

    id: str
    at: float
    action: str
    actor: str
    owner: str = ""
    subject: str = ""
    address: str = ""
    request_id: str = ""
    details: bytes = b"{}"


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of entries, the newest first; None: all. `first` and `last` are times."""

    limit: int
    after: str | None = None
    action: str | None = None
    actor: str | None = None
    subject: str | None = None
    first: float = 0.0
    last: float = 1e18
