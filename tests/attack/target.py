"""The server under attack: the real command as a process of its own, and what can be seen of it from outside."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.command import free_port
from tests.attack.wire import NONE, Answer, Connection, request

ANN, BOB, READER, LIMITED, ADMIN = "ann-key-1", "bob-key-1", "reader-key-1", "limited-key-1", "admin-key-1"

KEYS = f"""
metrics = "open"
shutdown_grace = 2.0
background_lease = 2.0
recent_requests = 50
recall_bytes = 1000000  # so that these are full before a soak begins to compare
prompt_memory_bytes = 1000000
capture_bytes = 500000
input_memory_bytes = 500000
[keys.ann]
key = "{ANN}"
[keys.bob]
key = "{BOB}"
[keys.reader]
key = "{READER}"
owner = "ann"
scopes = ["read"]
[keys.limited]
key = "{LIMITED}"
models = ["scripted"]
[keys.admin]
key = "{ADMIN}"
scopes = ["admin"]
"""

_CRASH = re.compile(r"Traceback \(most recent call last\):|Fatal Python error")
_HELD = re.compile(r"event loop blocked for (\d+) ms function=(\S+)")
_PLACE = re.compile(r'File "[^"]*/((?:antiphon|uvicorn|websockets)/[^"]+)", line \d+, in (\w+)')


def backends(url: str) -> str:
    """Return settings for backends of several kinds at one URL, and a scripted one. Their models: `MODELS`."""
    lines = ['[backends.scripted]\nurl = "http://127.0.0.1:9"\napi = "scripted"']
    for profile in ("generic", "llama_cpp", "vllm", "sglang", "ollama", "openai"):
        lines.append(f'[backends.{profile}]\nurl = "{url}"\nprofile = "{profile}"\ndiscover = false')
        lines.append(f'[models.chat-{profile}]\nbackends = ["{profile}"]\nname = "one"')
    lines.append(f'[backends.relay]\nurl = "{url}"\napi = "responses"\ndiscover = false')
    lines.append('[models.relayed]\nbackends = ["relay"]\nname = "one"')
    return "\n".join(lines)


CHAT_MODELS = tuple(f"chat-{profile}" for profile in ("generic", "llama_cpp", "vllm", "sglang", "ollama", "openai"))
MODELS = ("scripted", "relayed", *CHAT_MODELS)


class Target:
    """A running server."""

    def __init__(self, folder: Path, port: int, arguments: list[str]) -> None:
        self.folder = folder
        self.port = port
        self.log = folder / "server.log"
        self._arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None
        self._read_log = 0

    async def start(self, seconds: float = 120.0) -> None:
        """Start the process and wait until it answers. Raises AssertionError with its log."""
        self.process = self._launch()
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if (await self.ask("GET", "/health", seconds=2, tries=1)).status == 200:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(self.log.read_text(errors="replace")[-4000:])

    def _launch(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._arguments, cwd=self.folder, stdout=log, stderr=log, env={**os.environ, "PYTHONFAULTHANDLER": "1"}
            )

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def stop(self) -> int:
        """Ask it to stop; return the exit status, -9 where it had to be killed."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self.process.wait, 15)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.process.returncode

    @property
    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self.process is not None and self.process.poll() is None

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str = "",
        seconds: float = 20.0,
        headers: tuple[tuple[str, str], ...] = (),
        tries: int = 20,
    ) -> Answer:
        """Make one request on a connection of its own."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = Connection(self.port, tries)
        try:
            return await connection.ask(request(method, path, data, headers, key), seconds)
        except OSError:
            return NONE
        finally:
            connection.close()

    async def json(self, method: str, path: str, body: object = None, *, key: str = ANN, seconds: float = 20.0) -> Any:
        """Make a request that must succeed; return its JSON. Raises AssertionError."""
        answer = await self.ask(method, path, body, key=key, seconds=seconds)
        assert answer.status == 200, (method, path, answer)
        return json.loads(answer.body)

    async def metrics(self) -> Mapping[str, float]:
        """Return the series of `/metrics`."""
        answer = await self.ask("GET", "/metrics", key=ADMIN)
        pairs = (line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    async def largest_delay(self) -> float:
        """Return the event loop's largest delay within the last minute, in seconds."""
        return (await self.metrics()).get("antiphon_event_loop_delay_max_seconds", 0.0)

    @property
    def rss(self) -> float:
        """Memory in MB, of the process and its children."""
        assert self.process is not None
        return sum(_rss(pid) for pid in _family(self.process.pid))

    @property
    def own_rss(self) -> float:
        """Memory in MB, of the process alone."""
        assert self.process is not None
        return _rss(self.process.pid)

    @property
    def cpu(self) -> float:
        """CPU seconds so far, of the process and its children."""
        assert self.process is not None
        return sum(_cpu(pid) for pid in _family(self.process.pid))

    @property
    def files(self) -> int:
        """Open file descriptors."""
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def held(self) -> dict[str, str]:
        """Return the functions that held the event loop for long, by the log: how often, and the longest in ms."""
        text = self.log.read_text(errors="replace")
        found: dict[str, list[int]] = {}
        for milliseconds, function in _HELD.findall(text):
            found.setdefault(function, []).append(int(milliseconds))
        return {function: f"{len(times)} times, {max(times)} ms" for function, times in found.items()}

    def crashes(self) -> list[tuple[str, str]]:
        """Return the tracebacks in the log since the last call: where each came from, and its text."""
        with self.log.open("rb") as log:
            log.seek(self._read_log)
            data = log.read()
        self._read_log += len(data)
        text = data.decode(errors="replace")
        return [_crash(text[max(0, match.start() - 300) :], match.start()) for match in _CRASH.finditer(text)]


def _crash(text: str, start: int) -> tuple[str, str]:
    """Return a short name of a traceback, and the traceback with what stands before it."""
    before = min(300, start)
    lines = text[before:].splitlines()
    end = next((number for number, line in enumerate(lines[1:], 1) if line[:1] not in (" ", "")), len(lines) - 1)
    places = _PLACE.findall("\n".join(lines[:end]))
    at = f" in {places[-1][0]}:{places[-1][1]}" if places else ""
    return lines[end].split(":")[0][:80] + at, text[:before] + "\n".join(lines[: end + 1])


def _family(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return [pid]
    return [pid, *(one for child in text.split() for one in _family(int(child)))]


def _rss(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # its own and that of children that have ended


def make_target(folder: Path, settings: str, *, store: str = "antiphon.db", extra: tuple[str, ...] = ()) -> Target:
    """Write the settings and return the server, not yet started. `settings` may begin with plain ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "antiphon.toml").write_text(f'store = "{store}"\naccess_log = false\n{settings}')
    port = free_port()
    command = [sys.executable, "-m", "antiphon", "serve", "--config", "antiphon.toml", "--port", str(port), *extra]
    return Target(folder, port, command)


@asynccontextmanager
async def target(folder: Path, settings: str, *, store: str = "antiphon.db") -> AsyncIterator[Target]:
    """Run a server until the block ends."""
    one = make_target(folder, settings, store=store)
    await one.start()
    try:
        yield one
    finally:
        if one.alive:
            await one.stop()
