"""DocumentReader: the reading process as the server has it: started when it is needed, asked, ended."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
from collections.abc import Awaitable, Callable

import msgspec

from antiphon.errors import AntiphonError
from antiphon.runtime.isolated_process import ending, start_isolated
from antiphon.tools.retrieval.protocol import LENGTH, MOST_ANSWER, DocumentChunks, ReaderReady, ReadTask

log = logging.getLogger("antiphon.tools.retrieval")

MEMORY = 1 << 30  # bytes of address space
START_SECONDS = 30.0
READ_SECONDS = 60  # of the processor for one document
CLOCK_SECONDS = 150.0  # for one document, until its process is killed
IDLE_SECONDS = 60.0  # after which a process without work is ended
DECODED_INLINE = 1 << 20  # bytes; longer answers are decoded in a thread

_encode = msgspec.msgpack.Encoder().encode
_ready = msgspec.msgpack.Decoder(ReaderReady).decode
_answer = msgspec.msgpack.Decoder(DocumentChunks).decode


class ReaderUnusable(AntiphonError):
    """The process does not start; the message is for the operator."""


class ReaderDied(AntiphonError):
    """The process ended with a document; the message says how."""


class DocumentGone(AntiphonError):
    """The document was deleted while it was read."""


Content = Callable[[int], Awaitable[bytes | None]]
"""Returns what comes of a document from a byte on, a piece at a time; None: it is not there any more."""


class DocumentReader:
    """Reads one document at a time. Belongs to one event loop; `close` ends the process."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._popen: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._idle: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process, None where there is none."""
        return None if self._popen is None else self._popen.pid

    async def read(self, task: ReadTask, size: int, content: Content) -> DocumentChunks:
        """Have a document of `size` bytes read. Raises ReaderDied with the reason, ReaderUnusable, or DocumentGone."""
        if self._idle is not None:
            self._idle.cancel()
        try:
            await self._start()
            async with asyncio.timeout(CLOCK_SECONDS):
                body = _encode(task)
                await self._send(LENGTH.pack(len(body)) + body + LENGTH.pack(size))
                await self._send_content(size, content)
                answer = await self._receive()
            found = _answer(answer) if len(answer) < DECODED_INLINE else await asyncio.to_thread(_answer, answer)
        except TimeoutError:
            self.close()
            raise ReaderDied(f"it took more than {CLOCK_SECONDS:.0f} seconds") from None
        except (OSError, EOFError, msgspec.MsgspecError):
            raise ReaderDied(await self._ended()) from None
        except BaseException:
            self.close()
            raise
        self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.close)
        return found

    def close(self) -> None:
        """End the process at once. Idempotent."""
        if self._idle is not None:
            self._idle.cancel()
        if self._socket is not None:
            self._socket.close()
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
        self._socket = self._popen = None

    async def _start(self) -> None:
        if self._popen is not None and self._popen.poll() is None:
            return
        self.close()
        ours, theirs = socket.socketpair()
        try:
            self._popen = start_isolated(_PROGRAM, theirs, self._memory)
        except OSError as error:
            ours.close()
            raise ReaderUnusable(f"it cannot be started: {error.strerror}") from None
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket = ours
        try:
            async with asyncio.timeout(START_SECONDS):
                _ready(await self._receive())
        except (
            OSError,
            EOFError,
            msgspec.MsgspecError,
            ValueError,
            RecursionError,
        ) as error:  # TimeoutError is an OSError
            late = isinstance(error, TimeoutError)
            how = f"it is not ready after {START_SECONDS:.0f} seconds" if late else await self._ended()
            self.close()
            raise ReaderUnusable(how) from None

    async def _ended(self) -> str:
        """Return how the process ended; it is given a moment for that, and killed then."""
        popen = self._popen
        assert popen is not None
        try:
            for _ in range(100):
                if popen.poll() is not None:
                    break
                await asyncio.sleep(0.01)
            else:
                popen.kill()
            return ending(popen.wait())
        finally:  # also where this is cancelled: what is left of it would be taken for the next one
            self.close()

    async def _send(self, content: bytes) -> None:
        assert self._socket is not None
        await asyncio.get_running_loop().sock_sendall(self._socket, content)

    async def _send_content(self, size: int, content: Content) -> None:
        """Pass a document on, a piece at a time: it is never here as a whole. Raises DocumentGone."""
        sent = 0
        while sent < size:
            piece = await content(sent)
            if not piece:
                raise DocumentGone
            piece = piece[: size - sent]
            await self._send(piece)
            sent += len(piece)

    async def _receive(self) -> bytes:
        (size,) = LENGTH.unpack(await self._exactly(LENGTH.size))
        if size > MOST_ANSWER:
            raise EOFError
        return await self._exactly(size)

    async def _exactly(self, size: int) -> bytes:
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        content = bytearray(size)
        view = memoryview(content)
        filled = 0
        while filled < size:
            count = await loop.sock_recv_into(self._socket, view[filled : filled + (1 << 20)])
            if not count:
                raise EOFError
            filled += count
        return bytes(content)


_PROGRAM = """
import sys
parent, memory, *sys.path[:] = sys.argv[1:]
from antiphon.tools.retrieval.child import main
main(int(parent), int(memory))
"""
