"""Keeper: the writer thread's connection: transactions, faults, probes, reopening.

A fault of the file, the disk or another program sets the store's `condition`. Then a probe (a write of one page) is
repeated until it succeeds. A file that was replaced is opened again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from sqlite3 import Connection
from time import monotonic

from antiphon.errors import AntiphonError, ConfigError
from antiphon.stores.condition import Condition, log, unavailable
from antiphon.stores.sqlite.database import BUSY_SECONDS, damage
from antiphon.stores.sqlite.disk.faults import reason_of
from antiphon.stores.sqlite.disk.file import Fault, StoreFile

LOOK_SECONDS = 1.0  # between two looks at the path, the free room and the log's size
WAIT_SECONDS = 2.0  # for another program's lock, after which the store counts as locked
PROBE_BUSY_SECONDS = 0.2
CHECK_SECONDS = 20.0  # for the check of a file that was found damaged
CHECK_PAUSE = 60.0  # between two such checks
WAL_LIMIT = 1 << 30
"""Bytes that the write-ahead log may take before writes are refused."""
WAL_WARNING = 64 << 20
"""Bytes of the log from which on its size is told in the log, at each doubling."""


class FileGone(AntiphonError):
    """The file that is open is not the one at its path."""


class Keeper:
    """The writing connection and what is known of its file. All but `condition` belongs to the writer's thread."""

    def __init__(
        self, path: Path, open: Callable[[], Connection], condition: Condition, *, wal_limit: int = WAL_LIMIT
    ) -> None:
        """`open` opens the file and returns the writing connection. It is called again for a file that was replaced."""
        self.condition = condition
        self.file = StoreFile(path, wal_limit)
        self._open = open
        self._closed = False
        self.connection = self._opened()
        self.look_at = monotonic() + LOOK_SECONDS
        self._check_at = 0.0
        self._warned = WAL_WARNING // 2

    def begin(self) -> None:
        """Begin a transaction. Raises sqlite3.Error, and FileGone where what is written would be lost."""
        fault = self.file.fault()  # two calls of the system, 3 µs, for a group of writes
        if fault is not None:
            self.condition.fail(*fault)
        if self._closed or self.condition.reason in ("missing", "log_full", "corrupt"):
            raise FileGone
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if reason_of(error) != "locked":
                raise
            self._begin_late(error)

    def _begin_late(self, error: sqlite3.OperationalError) -> None:
        """Continue to wait for another program's lock; the condition is `locked` meanwhile."""
        self.condition.fail("locked", error)
        deadline = monotonic() + BUSY_SECONDS - WAIT_SECONDS
        while True:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as late:
                if reason_of(late) != "locked" or monotonic() >= deadline:
                    raise
            else:
                self.condition.recover()
                return

    def told(self, error: Exception) -> Exception:
        """Return the exception for a caller; a fault of the store also sets its condition."""
        if isinstance(error, FileGone):
            self.condition.count(self.condition.reason or "missing")
            return unavailable()
        reason = reason_of(error)
        if reason is None:
            return error
        self.condition.count(reason)
        self.condition.fail(reason, error)
        self.look_at = min(self.look_at, monotonic() + self.condition.pause)
        refusal = unavailable()
        refusal.__cause__ = error
        return refusal

    # Looks

    def look(self) -> None:
        """Check the file, its log and the free space, if it is time to."""
        now = monotonic()
        if now < self.look_at:
            return
        self.look_at = now + LOOK_SECONDS
        if self.condition.reason is not None:
            self.look_at = now + self.condition.pause
            self._probe()
            return
        fault = self.file.fault() or self.file.room_fault()
        if fault is not None:
            self.condition.fail(*fault)
            self.look_at = now + self.condition.pause
        self._tell_growth()

    def _tell_growth(self) -> None:
        size = self.file.wal_bytes()
        if size >= 2 * self._warned:
            self._warned = size
            log.warning(
                "store %s: write-ahead log (WAL) has %d MB: a program that reads the file prevents checkpoints",
                self.condition.shown,
                size >> 20,
            )
        elif size < WAL_WARNING // 2:
            self._warned = WAL_WARNING // 2

    def _probe(self) -> None:
        """Probe: write a page; recover if that succeeds."""
        try:
            if self.file.replaced:
                self._reopen()
            fault: Fault | None = ("missing", "the file cannot be opened") if self._closed else self.file.fault()
            if fault is None:
                if self.condition.reason == "log_full":
                    self.truncate()
                fault = self.file.room_fault()
            if fault is not None:
                self.condition.fail(*fault)
                return
            if self.condition.reason == "corrupt" and self._damaged():
                return
            self._write_page()
        except (sqlite3.Error, ConfigError) as error:
            self.condition.fail(reason_of(error) or self.condition.reason or "io_error", error)
        else:
            self.condition.recover()

    def _damaged(self) -> bool:
        """Tell whether the file is damaged. The check reads all of it, so it runs seldom; until then: True."""
        now = monotonic()
        if now < self._check_at:
            return True
        found = damage(self.connection, CHECK_SECONDS)
        self._check_at = monotonic() + CHECK_PAUSE
        return found is not None

    def _write_page(self) -> None:
        """Commit a write that changes nothing (`user_version`). Raises sqlite3.Error."""
        connection = self.connection
        connection.execute(f"PRAGMA busy_timeout = {PROBE_BUSY_SECONDS * 1000:.0f}")
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                version = int(connection.execute("PRAGMA user_version").fetchall()[0][0])
                connection.execute(f"PRAGMA user_version = {version}")
                connection.execute("COMMIT")
            except sqlite3.Error:
                if connection.in_transaction:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                raise
        finally:
            connection.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000:.0f}")

    def _reopen(self) -> None:
        """Open the file that replaces the one that is open. Raises ConfigError and sqlite3.Error."""
        self._closed = True
        self.connection.close()
        self.file.forget()
        self.connection = self._opened()
        self._check_at = 0.0
        self._closed = False

    def _opened(self) -> Connection:
        connection = self._open()
        connection.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000:.0f}")
        self.file.opened()
        return connection

    def truncate(self) -> bool:
        """Move the log into the database and empty it; False where a reader keeps it from ending."""
        connection = self.connection
        try:
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
            finally:
                connection.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000:.0f}")
        except sqlite3.Error:  # a full disk is told to those who write
            return False
