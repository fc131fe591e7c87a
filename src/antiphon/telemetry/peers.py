"""The processes of one server (`workers`) ask each other over unix sockets, in a folder that they find by their parent's number.

Each takes the lowest free place; the kernel frees the place of one that dies. Who does not answer in time is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from antiphon.errors import ConfigError

SECONDS = 2.0  # to wait for the others


class Peers:
    """This process's place among `count`, and the way to the others. `tell` gives what the others are told."""

    def __init__(self, count: int, tell: Callable[[int], bytes], folder: Path | None = None) -> None:
        self._count = count
        self._tell = tell
        self._folder = folder or common_folder()
        self._lock = -1
        self._server: asyncio.Server | None = None
        self.place = -1

    async def start(self) -> None:
        """Take a place and answer there. Raises ConfigError where the folder is not ours."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        status = self._folder.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise ConfigError(f"The folder {self._folder} belongs to another user.")
        self.place, self._lock = self._take_place()
        address = self._socket(self.place)
        address.unlink(missing_ok=True)  # what one that died has left
        self._server = await asyncio.start_unix_server(self._answer, address)

    async def close(self) -> None:
        """Leave the place; the last one removes the folder."""
        if self._server is None:
            return
        self._server.close()
        self._socket(self.place).unlink(missing_ok=True)
        self._lock_file(self.place).unlink(missing_ok=True)
        os.close(self._lock)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    async def ask(self) -> Sequence[bytes]:
        """Return what the others tell."""
        others = [place for place in range(self._count) if place != self.place]
        answers = await asyncio.gather(*(self._ask(place) for place in others))
        return [answer for answer in answers if answer]

    async def _ask(self, place: int) -> bytes:
        try:
            async with asyncio.timeout(SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._socket(place))
                try:
                    return await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(self._tell(self.place))
            await writer.drain()
        writer.close()

    def _take_place(self) -> tuple[int, int]:
        for place in range(self._count):
            lock = _locked(self._lock_file(place))
            if lock is not None:
                return place, lock
        raise ConfigError(f"More than {self._count} processes of this server run at once.")

    def _socket(self, place: int) -> Path:
        return self._folder / f"{place}.sock"

    def _lock_file(self, place: int) -> Path:
        return self._folder / f"{place}.lock"


def common_folder() -> Path:
    """Return the folder of all children of this process's parent."""
    return Path(tempfile.gettempdir()) / f"antiphon-{os.getuid()}-{os.getppid()}"


def _locked(path: Path) -> int | None:
    """Lock a file and return its number, or None where another process holds it."""
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(lock).st_ino == path.stat().st_ino:
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            pass
        os.close(lock)  # its holder left, and removed it, while we were opening it
