"""One run of the engine's process: start it, hear whether it loaded, keep its last lines, end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque

import msgspec

from antiphon.backends.llama_child import ChildParams, ChildReport
from antiphon.errors import AntiphonError

log = logging.getLogger("antiphon.engine")

STAMP = re.compile(r"^[\d.]+ E ")
"""How llama.cpp begins a line that reports an error: its clock, and E."""

REFUSED = "Failed to init server"
LINES_KEPT = 200
LINES_SHOWN = 6
TERMINATE_SECONDS = 0.5


class EngineFailure(AntiphonError):
    """The engine's process refused to load, or died; the message is for the operator."""


class EngineProcess:
    """A started process. Only `start` makes one."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, params: ChildParams) -> EngineProcess:
        """Start the process and hand it its parameters; its stdin stays open for as long as it is to live."""
        # -P: no module of the working directory may take the place of ours. A session of its own: Ctrl-C at the
        # terminal is for the server alone, which lets its streams end before it stops the engine.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "antiphon.backends.llama_child"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(params) + b"\n")
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def loaded(self) -> None:
        """Wait until the socket answers. Raises EngineFailure with llama.cpp's own words."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise EngineFailure(f"{await self.died()} while it loaded{self._shown()}")
        if error := msgspec.json.decode(line, type=ChildReport).error:
            await self._process.wait()
            await self._listening
            said = "llama.cpp refuses it" if error.startswith(REFUSED) else error
            raise EngineFailure(f"{said}{self._shown()}")

    async def died(self) -> str:
        """Wait until the process has ended and say how."""
        code = await self._process.wait()
        await self._listening
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"the process died of {signal.Signals(-code).name}"
        return f"the process ended with status {code}"

    async def stop(self) -> None:
        """End the process: ask, then kill. Returns when it is gone."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(TERMINATE_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
        await self._process.wait()
        await self._listening

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    async def _listen(self) -> None:
        """Keep what the engine prints, whole lines only, whatever their length."""
        assert self._process.stderr is not None
        rest = b""
        while piece := await self._process.stderr.read(65536):
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[-65536:]
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
