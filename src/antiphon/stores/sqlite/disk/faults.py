"""SQLite's errors by reason: file, disk, or another program's lock."""

from __future__ import annotations

import sqlite3

from antiphon.stores.condition import Reason

_REASONS: dict[int, Reason] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_IOERR: "io_error",
    sqlite3.SQLITE_NOMEM: "io_error",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_PERM: "read_only",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_PROTOCOL: "locked",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
    sqlite3.SQLITE_CANTOPEN: "missing",
    sqlite3.SQLITE_SCHEMA: "schema",
}
_SCHEMA = ("no such table", "no such column", "has no column named", "values for")


def reason_of(error: BaseException) -> Reason | None:
    """Return the reason why the store failed; None for other errors, such as a constraint."""
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(error, sqlite3.Error) or code is None:
        return None
    if code == sqlite3.SQLITE_ERROR and any(sign in str(error) for sign in _SCHEMA):
        return "schema"
    return _REASONS.get(code & 0xFF)
