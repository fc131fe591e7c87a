"""SandboxProcess: a sandbox as the server has it: asked, watched, ended. What it says is taken as hostile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

from antiphon.tools.sandbox import watch
from antiphon.tools.sandbox.base import Ended, Output, SandboxError, SandboxFileError, SandboxLimits
from antiphon.tools.sandbox.endings import END_SECONDS, await_end, run_quietly
from antiphon.tools.sandbox.inside.frames import HEAD, pack

START_SECONDS = 20.0
STOP_SECONDS = 2.0  # for a sandbox to end what runs in it; then all of it is ended
FILE_SECONDS = 30.0
WATCH_SECONDS = 0.1
MOST_OUTPUT = 100_000
MOST_JSON = 2 << 20
MOST_BYTES = 52 << 20  # ten pictures of 5 MiB
PIECE = 1 << 20
MOST_CHANGED = 1000
THREADS_EACH = 4  # for each process that there may be, where nothing inside bounds threads


class SandboxProcess:
    """One sandbox. `starting.start` makes it."""

    def __init__(
        self,
        kind: str,
        popen: subprocess.Popen[bytes],
        connection: socket.socket,
        limits: SandboxLimits,
        end: Sequence[str] = (),
        *,
        ends_itself: bool = False,
    ) -> None:
        self.kind = kind
        self.version = ""
        self._popen = popen
        self._connection = connection
        self._limits = limits
        self._end = end
        self._ends_itself = ends_itself
        self._abandoned = False
        self._turn = asyncio.Lock()
        self._reason = ""

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Tell whether it runs still."""
        return not self._abandoned and self._popen.poll() is None

    async def answers(self) -> bool:
        """Tell whether it runs still: its process says so."""
        return self.alive

    async def run(self, code: str, seconds: float, output: Output, *, memory: int | None = None) -> Ended:
        """Run Python, as a REPL does."""
        limit = self._limits.memory if memory is None else min(memory, self._limits.memory)
        wish = {"do": "run", "code": code, "most": MOST_OUTPUT, "memory": limit}
        return await self._call(wish, seconds, output, limit)

    async def shell(self, command: str, seconds: float, output: Output, *, most: int | None = None) -> Ended:
        """Run a command with `/bin/sh`."""
        wish = {"do": "shell", "command": command, "most": MOST_OUTPUT if most is None else most}
        return await self._call(wish, seconds, output, self._limits.memory)

    async def write(self, path: str, content: bytes) -> None:
        """Write a file."""
        await self._write({"do": "write", "path": path}, content)

    async def install(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Write a file of a skill."""
        await self._write({"do": "install", "path": path, "executable": executable}, content)

    async def _write(self, wish: dict[str, Any], content: bytes) -> None:
        async with self._in_turn():
            for start in range(0, max(len(content), 1), PIECE):
                await self._file({**wish, "more": start > 0}, content[start : start + PIECE])

    async def read(self, path: str, most: int) -> bytes:
        """Read a file of at most so many bytes."""
        parts = bytearray()
        async with self._in_turn():
            while piece := await self._file({"do": "read", "path": path, "offset": len(parts), "size": PIECE}):
                parts += piece
                if len(parts) > most:
                    raise SandboxFileError(f"'{path}' has more than {most} bytes")
        return bytes(parts)

    async def remove(self, path: str) -> None:
        """Delete a file."""
        async with self._in_turn():
            await self._file({"do": "remove", "path": path})

    async def close(self) -> None:
        """End it, with all its processes."""
        self.abandon()
        await self._wait()

    def abandon(self) -> None:
        """End it, without a chance for other tasks in between: what is left of it takes a moment. Idempotent.

        A call that waits for its answer sees the end at once, and closes the socket: one that is only closed would let it wait.
        """
        if self._abandoned:
            return
        self._abandoned = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        if not self._turn.locked():
            self._connection.close()
        if self._ends_itself:
            threading.Thread(target=await_end, args=(self._popen, END_SECONDS), daemon=True).start()
        elif self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
            self._popen.kill()
        if self._popen.stderr is not None:
            self._popen.stderr.close()
        if self._end:
            threading.Thread(target=run_quietly, args=(self._end,), daemon=True).start()

    # Calls

    @contextlib.asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """Wait for the calls before; in the end close what was abandoned meanwhile."""
        try:
            async with self._turn:
                yield
        finally:
            if self._abandoned:
                self._connection.close()

    async def _call(self, wish: dict[str, Any], seconds: float, output: Output, memory: int) -> Ended:
        async with self._in_turn():
            watching = asyncio.create_task(self._watch(memory))
            try:
                ended = await self._watched(wish, seconds, output)
                # What it leaves would be in the way of other sandboxes.
                if self._ends_itself and self._is_too_much(memory):
                    raise EOFError
                return ended
            except (OSError, EOFError, ValueError, KeyError, TypeError):
                raise SandboxError(await self._lost()) from None
            except asyncio.CancelledError:
                self.abandon()  # what it does now is nobody's any more
                raise
            finally:
                watching.cancel()

    async def _watched(self, wish: dict[str, Any], seconds: float, output: Output) -> Ended:
        timed_out = False
        limit = seconds
        await self._send(wish)
        while True:
            try:
                async with asyncio.timeout(limit):
                    while True:
                        message, blob = await self._receive()
                        if "output" not in message:
                            if timed_out and "stopped" not in message:
                                await (
                                    self._receive()
                                )  # it ended by itself just before: the wish to stop has its own answer
                            return _ended(message, blob, timed_out)
                        output(2 if message["output"] == 2 else 1, blob)
            except TimeoutError:
                if timed_out:
                    raise EOFError from None
                timed_out, limit = True, STOP_SECONDS
                await self._send({"do": "stop"})

    async def _file(self, wish: dict[str, Any], content: bytes = b"") -> bytes:
        try:
            async with asyncio.timeout(FILE_SECONDS):
                await self._send(wish, content)
                message, blob = await self._receive()
        except (OSError, EOFError, ValueError):  # TimeoutError is an OSError
            raise SandboxError(await self._lost()) from None
        except asyncio.CancelledError:
            self.abandon()
            raise
        if "error" in message:
            raise SandboxFileError(f"'{wish['path']}': {message.get('says') or message['error']}"[:500])
        return blob

    async def _watch(self, memory: int) -> None:
        """End the sandbox where its processes are too many, or hold too much together."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._is_too_much(memory):
                return

    def _is_too_much(self, memory: int) -> bool:
        """Tell whether its processes are too many, or hold too much together; then it is ended."""
        pids = watch.processes(self._popen.pid)
        threads = THREADS_EACH * self._limits.processes
        if len(pids) > self._limits.processes + 8:  # the sandbox's own come in addition
            self._reason = f"its processes were more than {self._limits.processes}"
        elif watch.threads(pids) > threads:
            self._reason = f"its threads were more than {threads}"
        elif watch.held(pids, memory) > memory + (64 << 20):  # the interpreter itself comes in addition
            self._reason = f"its processes held more than {memory >> 20} MiB of memory together"
        else:
            return False
        self.abandon()
        return True

    async def _lost(self) -> str:
        """End what is left, and say how it ended."""
        self.abandon()
        code = await self._wait()
        if self._reason:
            return f"The sandbox was ended: {self._reason}."
        return f"The sandbox ended, with status {code}."

    async def _wait(self) -> int:
        while (code := self._popen.poll()) is None:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.005)
        return code

    # Frames

    async def _send(self, message: dict[str, Any], blob: bytes = b"") -> None:
        await asyncio.get_running_loop().sock_sendall(self._connection, pack(message, blob))

    async def _receive(self) -> tuple[dict[str, Any], bytes]:
        size, more = HEAD.unpack(await self._exactly(HEAD.size))
        if size > MOST_JSON or more > MOST_BYTES:
            raise EOFError
        message = json.loads(await self._exactly(size))
        if not isinstance(message, dict):
            raise EOFError
        return message, await self._exactly(more)

    async def _exactly(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        parts = bytearray()
        while len(parts) < size:
            piece = await loop.sock_recv(self._connection, min(size - len(parts), 1 << 18))
            if not piece:
                raise EOFError
            parts += piece
        return bytes(parts)

    async def ready(self, sources: bytes) -> None:
        """Send it what runs inside, and wait until it can be asked. Raises SandboxError."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await asyncio.get_running_loop().sock_sendall(self._connection, sources)
                message, _ = await self._receive()
                self.version = str(message["ready"])[:40]
        except (OSError, EOFError, ValueError, KeyError):
            words = await self._first_words()
            self.abandon()
            await self._wait()
            raise SandboxError(words or "it does not start") from None
        except asyncio.CancelledError:
            self.abandon()
            raise

    async def _first_words(self) -> str:
        """Return what it said when it did not start."""
        stderr = self._popen.stderr
        if stderr is None:
            return ""
        os.set_blocking(stderr.fileno(), False)
        await asyncio.sleep(0.05)
        said = (stderr.read(4000) or b"").decode(errors="replace").strip().splitlines()
        return said[-1][:300] if said else ""


def _ended(message: dict[str, Any], blob: bytes, timed_out: bool) -> Ended:
    """Return a call's end. Raises what its fields raise where they are not what they should be."""
    if "error" in message:
        raise ValueError
    images, index = [], 0
    for size in message.get("images", [])[:10]:
        images.append(blob[index : index + int(size)])
        index += int(size)
    status = message.get("exit")
    ok = bool(message.get("ok")) or status == 0
    return Ended(
        ok=ok,
        status=None if status is None else int(status),
        timed_out=timed_out and not ok and status is None,
        died=None if "died" not in message else _how(message["died"]),
        fresh=bool(message.get("lost")),
        dropped=int(message.get("dropped", 0)),
        images=images,
        changed=[(str(path), int(size)) for path, size in message.get("changed", [])[:MOST_CHANGED]],
        gone=[str(path) for path in message.get("gone", [])[:MOST_CHANGED]],
        odd=int(message.get("odd", 0)),
    )


def _how(died: object) -> str:
    if isinstance(died, int) and died < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-died).name
    return f"status {died}" if isinstance(died, int) else str(died)[:100]
