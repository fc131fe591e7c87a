"""StoreFile: state of the database file on disk: replaced or deleted, its sizes, free space."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from antiphon.stores.condition import Reason

LEAST_ROOM = 128 * 1024
"""Bytes that have to be free on the file system: a commit takes some pages of 4 kB."""

Identity = tuple[int, int]
Fault = tuple[Reason, str]
"""Why nothing may be written, and what the log says of it."""


class StoreFile:
    """The file and its write-ahead log beside it. Used by the writer's thread; `wal_bytes` by any."""

    def __init__(self, path: Path, wal_limit: int) -> None:
        """`wal_limit`: bytes that the log may take, 0 for any number."""
        # Names, not Paths: the system's calls and a dict take these four times as fast.
        self.path = str(path)
        self.log = f"{path}-wal"
        self.index = f"{path}-shm"
        self.wal_limit = wal_limit
        self._ours: dict[str, Identity | None] = {}

    def opened(self) -> None:
        """Record the identity of the files that were opened."""
        self._ours = {path: _identity(path) for path in (self.path, self.log, self.index)}

    def fault(self) -> Fault | None:
        """Return what is wrong with the file, or None."""
        now = _identity(self.path)
        if now != self._ours[self.path]:
            return "missing", "the file was deleted" if now is None else "another file was put in its place"
        log = _identity(self.log)
        known = self._ours[self.log]
        if known is None:
            self._ours[self.log] = log
        elif log != known:
            return "missing", "its write-ahead log was deleted: stop the server, which then writes it into the file"
        return None

    def room_fault(self) -> Fault | None:
        """Return whether the disk is full or the log has grown too far, or None."""
        room = self._room()
        if room is not None and room < LEAST_ROOM:
            return "full", f"{room} bytes are free"
        size = self.wal_bytes()
        if self.wal_limit and size > self.wal_limit:
            return (
                "log_full",
                f"the write-ahead log has {size} bytes: a program that reads the file keeps it from ending",
            )
        return None

    @property
    def replaced(self) -> bool:
        """Tell whether another file is at its path."""
        now = _identity(self.path)
        return now is not None and now != self._ours[self.path]

    def forget(self) -> None:
        """Remove the log and index of a deleted file: they would damage a file that replaces it."""
        for path in (self.log, self.index):
            known = self._ours.get(path)
            if known is not None and _identity(path) == known:
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log."""
        return _size(self.log)

    def bytes(self) -> int:
        """Return the size of the file itself."""
        return _size(self.path)

    def _room(self) -> int | None:
        try:
            found = os.statvfs(self.path)
        except OSError:
            return None
        if not found.f_blocks:
            return None  # a file system without a size
        return (found.f_bfree if os.geteuid() == 0 else found.f_bavail) * found.f_frsize


def _identity(path: str) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
