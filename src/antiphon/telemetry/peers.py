"""Peers: worker processes of one server ask each other over unix sockets, in a folder named by their parent's pid: for metrics,
and for what only one of them remembers.

Each takes the lowest free number; the kernel frees the number of one that dies. Who does not answer in time is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from antiphon.errors import ConfigError

SECONDS = 2.0  # to wait for the others
LONGEST_QUESTION = 4096


class Peers:
    """This process's number among `count` workers, and the way to the others.

    `tell` gives what the others are told who ask nothing in particular, `asked` answers their questions.
    """

    def __init__(self, count: int, tell: Callable[[int], bytes], folder: Path | None = None) -> None:
        self._count = count
        self._tell = tell
        self._folder = folder or common_folder()
        self._lock = -1
        self._server: asyncio.Server | None = None
        self.number = -1
        self.asked: Callable[[bytes], Awaitable[bytes]] = _nothing

    async def start(self) -> None:
        """Take a number and answer under it. Raises ConfigError where the folder is not ours."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        status = self._folder.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise ConfigError(f"The folder {self._folder} belongs to another user.")
        self.number, self._lock = self._take_number()
        address = self._socket(self.number)
        address.unlink(missing_ok=True)  # what one that died has left
        self._server = await asyncio.start_unix_server(self._answer, address, limit=LONGEST_QUESTION)

    async def close(self) -> None:
        """Give the number back; the last one removes the folder."""
        if self._server is None:
            return
        self._server.close()
        self._socket(self.number).unlink(missing_ok=True)
        self._lock_file(self.number).unlink(missing_ok=True)
        os.close(self._lock)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    async def ask(self, question: bytes = b"") -> Sequence[bytes]:
        """Return what the others tell; a question is one line."""
        others = [number for number in range(self._count) if number != self.number]
        answers = await asyncio.gather(*(self._ask(number, question) for number in others))
        return [answer for answer in answers if answer]

    async def _ask(self, number: int, question: bytes) -> bytes:
        try:
            async with asyncio.timeout(SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._socket(number))
                try:
                    writer.write(question + b"\n")
                    return await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(SECONDS):
                question = (await reader.readline()).strip()
            writer.write(await self.asked(question) if question else self._tell(self.number))
            await writer.drain()
        writer.close()

    def _take_number(self) -> tuple[int, int]:
        for number in range(self._count):
            lock = _locked(self._lock_file(number))
            if lock is not None:
                return number, lock
        raise ConfigError(f"More than {self._count} processes of this server run at once.")

    def _socket(self, number: int) -> Path:
        return self._folder / f"{number}.sock"

    def _lock_file(self, number: int) -> Path:
        return self._folder / f"{number}.lock"


async def _nothing(question: bytes) -> bytes:
    """Know nothing."""
    return b""


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
