"""MCP over stdio: a program of the operator's, one JSON message in a line (specification, "Transports")."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque

from antiphon.config import McpServerConfig
from antiphon.config.environment import PREFIX
from antiphon.tools.base import ToolServerError
from antiphon.tools.mcp.limits import Limits
from antiphon.tools.mcp.messages import WITHOUT_HANDSHAKE, RpcMessage, RpcRequest, messages, reply

log = logging.getLogger("antiphon.tools.mcp")

MOST_LINES = 10_000
"""Lines that a program may write before the answer that is waited for."""
PATIENCE = 1.0
"""Seconds that a program has to end by itself once its input is closed."""
STDERR = 4096
"""Bytes of what a program last wrote to stderr that are kept, for the log."""


class StdioChannel:
    """A running program. It is started with the first message and answers one request after the other."""

    may_be_modern = True

    def __init__(self, configured: McpServerConfig, limits: Limits) -> None:
        self._configured = configured
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[None] | None = None
        self._last_words: deque[bytes] = deque(maxlen=8)
        self._one_by_one = asyncio.Lock()
        self._modern = False

    async def ask(self, request: RpcRequest) -> RpcMessage:
        """Send a request and return its answer. Raises ToolServerError, OSError."""
        async with self._one_by_one:
            await self._send(request.body)
            return await self._answer(request)

    async def tell(self, message: bytes) -> None:
        """Send a notification."""
        async with self._one_by_one:
            await self._send(message)

    def agree(self, version: str) -> None:
        """Know the revision of the protocol: since 2026-07-28 a program asks nothing of its client."""
        self._modern = version == WITHOUT_HANDSHAKE

    async def close(self) -> None:
        """End the program: it has a moment to do so itself, then it is killed with all that it started, and waited for."""
        process = self._process
        if process is None:
            return
        try:
            if process.stdin is not None:
                process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if self._stderr is not None:
                self._stderr.cancel()
            with contextlib.suppress(TimeoutError):  # what has left its group may hold its pipes
                async with asyncio.timeout(PATIENCE):
                    await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        configured = self._configured
        process = await asyncio.create_subprocess_exec(
            configured.command,
            *configured.args,
            env={**_inherited(), **configured.env},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=self._limits.answer,
            start_new_session=True,
        )
        self._process = process
        self._stderr = asyncio.create_task(self._drain(process))
        return process

    async def _drain(self, process: asyncio.subprocess.Process) -> None:
        """Read what the program writes to stderr, so that it never waits for a reader."""
        assert process.stderr is not None
        while data := await process.stderr.read(STDERR):
            self._last_words.append(data[-STDERR:])

    async def _send(self, message: bytes) -> None:
        process = self._process or await self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(message + b"\n")
            await process.stdin.drain()
        except (ConnectionError, RuntimeError):
            raise self._ended() from None

    async def _answer(self, request: RpcRequest) -> RpcMessage:
        assert self._process is not None
        assert self._process.stdout is not None
        read = 0
        for _ in range(MOST_LINES):
            try:
                line = await self._process.stdout.readline()
            except ValueError:  # asyncio's word for a line above the limit
                raise self._too_large() from None
            if not line:
                raise self._ended()
            read += len(line)
            if read > self._limits.answer:
                raise self._too_large()
            if not line.lstrip().startswith((b"{", b"[")):
                continue  # the program's own chatter, which does not belong there
            found = messages(line)
            answer = request.answer_among(found)
            if answer is not None:
                return answer
            for one in found:
                if one.method is not None and one.id is not None and not self._modern:
                    await self._send(reply(one))
        raise ToolServerError(f"it wrote {MOST_LINES} lines without an answer.")

    def _too_large(self) -> ToolServerError:
        return ToolServerError(f"its answer has more than {self._limits.answer} bytes.")

    def _ended(self) -> ToolServerError:
        words = b"".join(self._last_words)[-STDERR:].decode(errors="replace")
        for secret in (*self._configured.env.values(), *self._configured.args):
            words = words.replace(secret, "<redacted>") if len(secret) > 3 else words
        log.warning("MCP server: program exited; last output: %s", words or "none")
        return ToolServerError("its program ended.")


def _inherited() -> dict[str, str]:
    """Return this server's environment without its own settings, which hold keys and are not the program's affair."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
