"""One checking process as the server has it: started, asked, ended."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess

import msgspec

from antiphon.errors import AntiphonError
from antiphon.runtime.checker.protocol import LENGTH, MOST_FRAME, CheckTask, Ready, Verdict
from antiphon.runtime.isolated_process import ending, start_isolated

log = logging.getLogger("antiphon.runtime.checker")

START_SECONDS = 30.0  # a process that is not ready by then is given up; a busy machine takes its time
OWN_DEADLINE = 2.0  # seconds after which a process ends itself, beyond the CheckTask's time
REAP_SECONDS = 0.01

_encode = msgspec.msgpack.Encoder().encode
_verdict = msgspec.msgpack.Decoder(Verdict).decode
_ready = msgspec.msgpack.Decoder(Ready).decode


class WorkerDied(AntiphonError):
    """A process ended in the midst of a CheckTask; the message says how."""


class WorkerUnusable(AntiphonError):
    """A process does not start; the message is for the operator."""


class CheckWorker:
    """A process that does one CheckTask at a time. It has none of the server's environment and files."""

    def __init__(self, popen: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.fresh = True  # it has done nothing yet
        self._popen = popen
        self._connection = connection

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Tell whether it runs still."""
        return self._popen.poll() is None

    async def ask(self, task: CheckTask, seconds: float) -> Verdict:
        """Have a CheckTask done within `seconds`. Raises TimeoutError or WorkerDied, and the process has ended then."""
        body = _encode(msgspec.structs.replace(task, seconds=seconds + OWN_DEADLINE))
        try:
            async with asyncio.timeout(seconds):
                verdict = _verdict(await self._exchange(LENGTH.pack(len(body)) + body))
        except TimeoutError:
            await self.kill()
            raise
        except (OSError, EOFError, msgspec.MsgspecError, ValueError, RecursionError):
            raise WorkerDied(await self.kill()) from None
        except asyncio.CancelledError:
            self.abandon()
            raise
        self.fresh = False
        if verdict.last:
            await self.kill()
        return verdict

    async def _exchange(self, frame: bytes) -> bytes:
        if frame:
            await asyncio.get_running_loop().sock_sendall(self._connection, frame)
        size = LENGTH.unpack(await self._exactly(LENGTH.size))[0]
        if size > MOST_FRAME:
            raise EOFError
        return await self._exactly(size)

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        parts = bytearray()
        while len(parts) < size:
            piece = await loop.sock_recv(self._connection, size - len(parts))
            if not piece:
                raise EOFError
            parts += piece
        return bytes(parts)

    async def ready(self) -> None:
        """Wait until it has loaded what it needs. Raises WorkerUnusable."""
        try:
            async with asyncio.timeout(START_SECONDS):
                _ready(await self._exchange(b""))
        except (
            OSError,
            EOFError,
            msgspec.MsgspecError,
            ValueError,
            RecursionError,
        ) as error:  # TimeoutError is an OSError
            late = isinstance(error, TimeoutError)
            how = await self.kill()
            raise WorkerUnusable(f"not ready after {START_SECONDS:.0f} seconds" if late else how) from None
        except asyncio.CancelledError:
            self.abandon()
            raise

    async def kill(self) -> str:
        """End the process at once; return how it ended."""
        self._connection.close()
        if self._popen.poll() is None:
            self._popen.kill()
        while self._popen.poll() is None:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(REAP_SECONDS)
        return ending(self._popen.returncode)

    def abandon(self) -> None:
        """End the process at once; what is left of it is cleared up here, which takes a moment. Idempotent."""
        self._connection.close()
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()


async def start(memory: int) -> CheckWorker:
    """Start a process that may have `memory` bytes of address space. Raises WorkerUnusable."""
    ours, theirs = socket.socketpair()
    try:
        popen = start_isolated(_PROGRAM, theirs, memory)
    except OSError as error:
        ours.close()
        raise WorkerUnusable(f"it cannot be started: {error.strerror}") from None
    finally:
        theirs.close()
    ours.setblocking(False)
    worker = CheckWorker(popen, ours)
    await worker.ready()
    return worker


_PROGRAM = """
import sys
parent, memory, *sys.path[:] = sys.argv[1:]
from antiphon.runtime.checker.child import main
main(int(parent), int(memory))
"""
