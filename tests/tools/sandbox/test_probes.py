"""Every probe, against every kind of sandbox, started by this user and by one who is not root."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from antiphon.tools.sandbox import probes, watch
from antiphon.tools.sandbox.base import Interior, SandboxError, SandboxKind
from antiphon.tools.sandbox.bubblewrap import Bubblewrap
from antiphon.tools.sandbox.inside.files import counted
from antiphon.tools.sandbox.process import SandboxProcess
from antiphon.tools.sandbox.sandlock import Sandlock
from antiphon.tools.sandbox.starting import start

from .conftest import LIMITS, ask, none_of, root, started

GROUND = probes.Ground(server=0, most=(LIMITS.disk >> 20) * 4)


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_probes_find_nothing_open(kind: SandboxKind, sandbox: SandboxProcess, port: int) -> None:
    """All of them in one sandbox: those that fill it come last."""
    name = f"antiphon-{os.getpid()}-{port}"
    ground = probes.Ground(port=port, name=name, most=GROUND.most)
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0" + name)
        abstract.listen()
        with socket.socket(socket.AF_UNIX) as reachable:
            reachable.connect("\0" + name)  # from here
        await found_nothing(kind, sandbox, ground)


async def found_nothing(kind: SandboxKind, sandbox: SandboxProcess, ground: probes.Ground) -> None:
    assert await probes.failing(sandbox, [*probes.QUICK, *probes.SLOW], ground, linux=True) == [*kind.known]


async def test_a_probe_can_fail(kind: SandboxKind, sandbox: SandboxProcess) -> None:
    leaky = [
        probes.Probe("false", "False"),
        probes.Probe("nothing", "None"),
        probes.Probe("raises", "1/0"),
        probes.Probe("writes where it may", "raises(lambda: open('/mnt/data/x', 'w'))"),
        probes.Probe("pairs of sockets, which are allowed", "raises(lambda: socket.socketpair())"),
    ]
    assert await probes.failing(sandbox, leaky, GROUND, linux=True) == [probe.name for probe in leaky]


@root
def test_the_same_holds_where_the_server_is_not_root(kind: SandboxKind) -> None:
    """In a child that gives root up: without an exec, as the tests' Python may be out of another user's reach."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            sys.executable = "/usr/bin/python3"
            os.write(writing, asyncio.run(_as_nobody(type(kind))).encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        assert said.read() == f"65534: {[*kind.known]}"
    os.waitpid(pid, 0)


async def _as_nobody(made: Callable[[], SandboxKind]) -> str:
    kind = made()
    assert isinstance(kind, Bubblewrap | Sandlock) and kind.user is None
    sandbox = await start(kind, Interior(python="/usr/bin/python3"), LIMITS)
    found = await probes.failing(sandbox, [*probes.QUICK, *probes.SLOW], GROUND, linux=True)
    await sandbox.close()
    return f"{os.geteuid()}: {found}"


HOLDERS = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        os.setsid()
        x = b'x' * (200 << 20)
        time.sleep(600)
time.sleep(600)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_memory_of_many_processes_together_ends_the_sandbox(kind: SandboxKind, loop: str) -> None:
    """At once, not when the call's time is over; and nothing is left, on either loop: uvloop closes a socket later."""
    (uvloop.run if loop == "uvloop" else asyncio.run)(_held_too_much(kind))


async def _held_too_much(kind: SandboxKind) -> None:
    sandbox = await started(kind)
    call = asyncio.create_task(ask(sandbox, HOLDERS, 600))
    pids: set[int] = set()
    while not call.done():
        pids |= {*watch.processes(sandbox.pid)}
        await asyncio.sleep(0.02)
    with pytest.raises(SandboxError, match=r"more than 512 MiB of memory together"):
        await call
    assert not sandbox.alive and len(pids) > 5
    await none_of(pids)
    await sandbox.close()


async def test_many_empty_files_end_the_call(kind: SandboxKind, sandbox: SandboxProcess) -> None:
    if kind.name == "sandlock":
        pytest.skip(
            "sandlock makes 50,000 files in minutes; test_files_are_counted_where_folders_have_no_size has the count"
        )
    code = "n = 0\nwhile True:\n    open(f'/tmp/{n}', 'w').close()\n    n += 1"
    asked = await ask(sandbox, code, 120)
    assert asked.ended.died == "more than 50000 files"
    assert sandbox.alive


async def test_processes_are_bounded_for_each_sandbox_by_itself(kind: SandboxKind) -> None:
    bomb = "import os, signal\ntry:\n    while True:\n        if os.fork() == 0: signal.pause()\nexcept OSError: print('full')"
    first, second = await started(kind), await started(kind)
    try:
        assert (await ask(first, bomb)).text == "full\n"
        assert (await ask(second, "import subprocess; subprocess.run(['echo', 'x']).returncode")).text == "x\n0\n"
    finally:
        await first.close()
        await second.close()


async def test_threads_are_bounded_for_each_sandbox_by_itself(kind: SandboxKind) -> None:
    bomb = "import threading; threading.stack_size(1 << 16)\nend = threading.Event()\nn = 0\ntry:\n    while n < 5000:"
    bomb += "\n        threading.Thread(target=end.wait, daemon=True).start()\n        n += 1\nexcept RuntimeError: print('full')"
    first, second = await started(kind), await started(kind)
    try:
        if kind.name == "sandlock":
            with pytest.raises(SandboxError, match="its threads were more than 160"):
                await ask(first, bomb)
        else:
            assert (await ask(first, bomb)).text == "full\n"
        assert (await ask(second, "import subprocess; subprocess.run(['echo', 'x']).returncode")).text == "x\n0\n"
    finally:
        await first.close()
        await second.close()


def test_files_are_counted_where_folders_have_no_size(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("x", "a/y", "a/b/z"):
        (tmp_path / name).write_bytes(b"." * 8192)
    (tmp_path / "link").symlink_to("/usr")
    assert not counted([str(tmp_path), "/nowhere"], files=6, size=3 * 8192)
    assert counted([str(tmp_path)], files=5, size=3 * 8192)
    assert counted([str(tmp_path)], files=6, size=3 * 8192 - 1)


@pytest.mark.needs("sandlock")
async def test_files_together_end_the_call_where_folders_have_no_size() -> None:
    sandbox = await started(Sandlock())
    code = "import time\nfor n in range(4): open(f'/tmp/{n}', 'wb').write(b'x' * (20 << 20))\ntime.sleep(60)"
    asked = await ask(sandbox, code, 100)
    assert "files that are too large" in (asked.ended.died or "")
    await sandbox.close()
