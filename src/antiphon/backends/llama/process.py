"""One run of the engine's process: start it, hear whether it loaded, keep its last lines, end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO

import msgspec

from antiphon.backends.llama.child import ChildParams, ChildReport
from antiphon.errors import AntiphonError

log = logging.getLogger("antiphon.backends.llama")

STAMP = re.compile(r"^[\d.]+ E ")
"""How llama.cpp begins a line that reports an error: its clock, and E."""

REFUSED = "Failed to init server"
LINES_KEPT = 200
LINES_SHOWN = 6
LINE_LIMIT = 65536
TERMINATE_SECONDS = 0.5
POLL_SECONDS = 0.002


class EngineFailure(AntiphonError):
    """The engine's process refused to load, or died; the message is for the operator."""


class EngineProcess:
    """Starts a process, hands it its parameters, and keeps its stdin open for as long as it is to live.

    Plain Popen and pipes: asyncio's own subprocesses hang when their start is cancelled (Python 3.11).
    """

    def __init__(self, params: ChildParams) -> None:
        self._popen = _spawn()
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._listening = asyncio.create_task(self._listen())
        with contextlib.suppress(BrokenPipeError):  # it died at once: `loaded` tells
            _pipe(self._popen.stdin).write(msgspec.json.encode(params) + b"\n")

    @property
    def pid(self) -> int:
        return self._popen.pid

    async def loaded(self) -> None:
        """Wait until the socket answers. Raises EngineFailure with llama.cpp's own words."""
        async with _reading(_pipe(self._popen.stdout)) as reader:
            line = await reader.readline()
        if not line:
            raise EngineFailure(f"{await self.died()} while it loaded{self._shown()}")
        if error := msgspec.json.decode(line, type=ChildReport).error:
            await self.died()
            said = "llama.cpp refuses it" if error.startswith(REFUSED) else error
            raise EngineFailure(f"{said}{self._shown()}")

    async def died(self) -> str:
        """Wait until the process has ended and say how."""
        await asyncio.wait([self._listening])  # its stderr ends with it
        code = await self._exit()
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"the process died of {signal.Signals(-code).name}"
        return f"the process ended with status {code}"

    async def stop(self) -> None:
        """End the process: ask, then kill. Returns when it is gone."""
        _pipe(self._popen.stdin).close()
        self._popen.terminate()
        try:
            async with asyncio.timeout(TERMINATE_SECONDS):
                await self._exit()
        except TimeoutError:
            self._popen.kill()
        await self._exit()
        await asyncio.wait([self._listening], timeout=TERMINATE_SECONDS)
        self._listening.cancel()
        _pipe(self._popen.stdout).close()

    async def _exit(self) -> int:
        """Wait for the process to be gone and return its exit status, below 0 for a signal."""
        while (code := self._popen.poll()) is None:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(POLL_SECONDS)
        return code

    async def _listen(self) -> None:
        """Keep what the engine prints, whole lines only, whatever their length."""
        rest = b""
        async with _reading(_pipe(self._popen.stderr)) as reader:
            while piece := await reader.read(LINE_LIMIT):
                *lines, rest = (rest + piece).split(b"\n")
                rest = rest[-LINE_LIMIT:]
                for line in lines:
                    self._keep(line)
        self._keep(rest)

    def _keep(self, line: bytes) -> None:
        if text := line.decode("utf-8", "replace").strip():
            self._lines.append(text)
            log.debug("%s", text)

    def _shown(self) -> str:
        """Return the lines that report errors, else the last lines, each on a line of its own."""
        lines = dict.fromkeys(STAMP.sub("", line) for line in self._lines if STAMP.match(line)) or self._lines
        return "".join(f"\n  {line}" for line in list(lines)[-LINES_SHOWN:])


def _spawn() -> subprocess.Popen[bytes]:
    # -P: no module of the working directory may replace ours. A session of its own: Ctrl-C at the
    # terminal is for the server alone, which lets its streams end before it stops the engine.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "antiphon.backends.llama.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )


@asynccontextmanager
async def _reading(pipe: IO[bytes]) -> AsyncIterator[asyncio.StreamReader]:
    """Read a pipe without blocking; it is closed at the end."""
    reader = asyncio.StreamReader()
    transport = await _connected(reader, pipe)
    try:
        yield reader
    finally:
        transport.close()


async def _connected(reader: asyncio.StreamReader, pipe: IO[bytes]) -> asyncio.BaseTransport:
    """Connect a pipe to the loop. Cut off in the middle, uvloop would close its descriptor, and the pipe would not know."""
    loop = asyncio.get_running_loop()
    connecting = asyncio.ensure_future(loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe))
    try:
        return (await asyncio.shield(connecting))[0]
    except asyncio.CancelledError:
        (await connecting)[0].close()
        raise


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
