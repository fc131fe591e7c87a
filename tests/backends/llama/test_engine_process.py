"""The process of the embedded engine: crashes, restarts, ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from antiphon.backends.base import read
from antiphon.backends.llama.backend import LlamaCppBackend, _pause
from antiphon.backends.llama.child import ChildParams
from antiphon.backends.llama.model import DEMO_FILE, find_model
from antiphon.backends.llama.process import EngineFailure, EngineProcess
from antiphon.config import EngineConfig
from antiphon.errors import BackendError, ConfigError
from tests.backends.llama.engine_setup import ENDLESS, Sockets, ask, engine, greedy, usage_of
from tests.backends.turns import read_all, text_of
from tests.bounds import bound

pytestmark = pytest.mark.slow


async def gone(pid: int, seconds: float = 10.0) -> bool:
    """Wait for a process to be gone, or a zombie that nobody has buried yet."""
    return await eventually(lambda: not running(pid), seconds)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def eventually(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:  # noqa: ASYNC110 (another process: nothing to await)
        await asyncio.sleep(0.01)
    return true()


# The process


async def test_a_crash_in_the_middle_fails_the_stream_and_the_next_call_works() -> None:
    async with engine() as backend:
        stream = await backend.open(greedy("Tell me a story.", max_output_tokens=2000, extra=ENDLESS))
        await read(stream)
        first = kill(backend)
        began = time.monotonic()
        with pytest.raises(BackendError) as caught:
            await read_all(stream)
        assert time.monotonic() - began < bound(5)
        assert caught.value.status == 502
        assert text_of(await ask(backend, "Hello"))
        assert backend.pid not in (None, first) and backend.healthy


def kill(backend: LlamaCppBackend) -> int:
    assert backend.pid is not None
    pid = backend.pid
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_calls_at_once_after_a_crash_all_wait_for_the_restart() -> None:
    async with engine() as backend:
        await backend.ready()
        kill(backend)
        answers = await asyncio.gather(*(ask(backend, "Hello", max_output_tokens=3) for _ in range(4)))
    assert all(usage_of(answer).output_tokens for answer in answers)


async def test_calls_before_it_is_loaded_wait() -> None:
    async with engine() as backend:
        assert not backend.healthy and backend.pid is None
        assert [card.id for card in await backend.models()] == ["antiphon-demo"], "known without the process"
        assert text_of(await ask(backend, "Hello"))


async def test_calls_do_not_wait_for_ever() -> None:
    async with engine(patience=0.0) as backend:
        with pytest.raises(BackendError) as caught:
            await backend.open(greedy("Hello"))
    assert (caught.value.status, caught.value.code) == (503, "backend_unavailable")
    assert caught.value.headers["Retry-After"] == "5"


async def test_restarts_come_ever_more_slowly(caplog: pytest.LogCaptureFixture) -> None:
    pauses = [_pause(failures) for failures in range(1, 12)]
    assert pauses[:5] == [0, 0.5, 1, 2, 4] and pauses[-1] == 30
    async with engine() as backend:
        await backend.ready()
        first = kill(backend)
        assert await eventually(lambda: backend.healthy and backend.pid != first)
        kill(backend)
        assert await eventually(lambda: backend.failure == "the process died of SIGKILL")
        assert await eventually(lambda: "restarting in 0.5 s" in caplog.text)


async def test_close_ends_the_process_and_removes_its_socket() -> None:
    sockets = Sockets()
    async with engine(sockets) as backend:
        await ask(backend, "Hello")
        pid, socket = backend.pid, Path(sockets.path)
        assert pid is not None and running(pid) and socket.is_socket()  # noqa: ASYNC240
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        began = time.monotonic()
        await backend.close()
        assert time.monotonic() - began < bound(5)
        assert not running(pid) and not socket.parent.exists()
        with pytest.raises(BackendError, match="not ready"):
            await backend.open(greedy("Hello"))


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.02, 0.05, 0.1])
async def test_close_while_it_loads(delay: float) -> None:
    async with engine() as backend:
        backend.start()
        await asyncio.sleep(0)
        pid = backend.pid
        await asyncio.sleep(delay)
        began = time.monotonic()
        await backend.close()
    assert time.monotonic() - began < bound(5)
    assert pid is not None and not running(pid)


async def test_close_before_it_is_started() -> None:
    async with engine() as backend:
        await backend.close()
        backend.start()
        assert backend.pid is None


async def test_a_signal_from_elsewhere_is_a_crash_too() -> None:
    async with engine() as backend:
        await backend.ready()
        pid = backend.pid
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        assert await eventually(lambda: backend.healthy and backend.pid != pid)
        assert text_of(await ask(backend, "Hello"))


async def test_a_process_that_does_not_heed_the_signal_is_killed(tmp_path: Path) -> None:
    process = EngineProcess(params(tmp_path))
    await process.loaded()
    os.kill(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    await process.stop()
    assert time.monotonic() - began < 5 and not running(process.pid)


def params(folder: Path, **fields: Any) -> ChildParams:
    given = {
        "model": str(DEMO_FILE),
        "socket": str(folder / "s.sock"),
        "parent": os.getpid(),
        "alias": "m",
        "context": 64,
    }
    return ChildParams(**(given | {"threads": 1} | fields))


async def test_a_process_whose_parent_is_already_another_ends(tmp_path: Path) -> None:
    process = EngineProcess(params(tmp_path, parent=1))
    with pytest.raises(EngineFailure, match="ended with status 1 while it loaded"):
        await process.loaded()
    await process.stop()


async def test_the_end_of_stdin_ends_the_process(tmp_path: Path) -> None:
    """The way out where the system does not tell a process of its parent's death."""
    command = [sys.executable, "-P", "-m", "antiphon.backends.llama.child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        assert process.stdin and process.stdout
        process.stdin.write(msgspec.json.encode(params(tmp_path)) + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b'{"error":""}\n'
        process.stdin.close()
        assert await eventually(lambda: process.poll() == 0)


PARENT = """
import asyncio, sys
from antiphon.backends.llama.backend import LlamaCppBackend
from antiphon.backends.llama.model import find_model
from antiphon.config import EngineConfig
from tests.bounds import bound

async def main():
    backend = LlamaCppBackend(EngineConfig(threads=1), find_model(EngineConfig()))
    backend.start()
    while backend.pid is None or (sys.argv[1] == "ready" and not backend.healthy):
        await asyncio.sleep(0.001)
    print(backend.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["ready", "loading"])
async def test_a_killed_parent_takes_the_process_along(when: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, when]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": str(tmp_path)}) as parent:  # noqa: ASYNC220
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert running(pid)
        parent.kill()
        assert await gone(pid)
    if when == "ready":
        assert await eventually(lambda: not list(tmp_path.rglob("*")), 10), "its socket is left"


async def test_a_file_that_llama_cpp_refuses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "antiphon.backends.llama")
    (tmp_path / "cut.gguf").write_bytes(DEMO_FILE.read_bytes()[:500_000])
    async with engine(model=str(tmp_path / "cut.gguf")) as backend:
        with pytest.raises(ConfigError) as caught:
            await backend.ready()
    message = str(caught.value)
    assert message.startswith(f"The embedded engine cannot load {tmp_path}/cut.gguf: llama.cpp refuses it\n")
    assert "model is corrupted or incomplete" in message
    assert any(record.levelno == logging.DEBUG for record in caplog.records)


def test_an_end_in_the_middle_of_a_start_on_uvloop() -> None:
    """The descriptors of a process that is just being started belong to nobody else, and the end does not wait for it."""

    async def started_and_closed(ticks: int) -> None:
        backend = LlamaCppBackend(EngineConfig(threads=1), find_model(EngineConfig()))
        backend.start()
        for _ in range(ticks):
            await asyncio.sleep(0)
        await asyncio.wait_for(backend.close(), bound(20))
        assert backend._task is not None and backend._task.done()

    async def all_of_them() -> None:
        await asyncio.gather(*(started_and_closed(ticks) for ticks in range(6)))

    uvloop.run(all_of_them())
