"""Every probe, against every kind of sandbox, started by this user and by one who is not root."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from antiphon.tools.sandbox import probes
from antiphon.tools.sandbox.base import Interior, SandboxError, SandboxKind
from antiphon.tools.sandbox.bubblewrap import Bubblewrap
from antiphon.tools.sandbox.process import SandboxProcess, start

from .conftest import LIMITS, ask, root, started

GROUND = probes.Ground(server=0, most=(LIMITS.disk >> 20) * 4)


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("probe", probes.QUICK + probes.SLOW, ids=lambda probe: probe.name)
async def test_a_probe_finds_nothing_open(sandbox: SandboxProcess, probe: probes.Probe, port: int) -> None:
    ground = probes.Ground(port=port, most=GROUND.most)
    assert await probes.failing(sandbox, [probe], ground, linux=True) == []


async def test_a_probe_can_fail(kind: SandboxKind, sandbox: SandboxProcess) -> None:
    leaky = [
        probes.Probe("false", "False"),
        probes.Probe("nothing", "None"),
        probes.Probe("raises", "1/0"),
        probes.Probe("writes where it may", "raises(lambda: open('/mnt/data/x', 'w'))"),
        probes.Probe("a family that is allowed", "raises(lambda: socket.socket(2, 1))"),
    ]
    assert await probes.failing(sandbox, leaky, GROUND, linux=True) == [probe.name for probe in leaky]


@root
@pytest.mark.needs("bwrap")
def test_the_same_holds_where_the_server_is_not_root() -> None:
    """In a child that gives root up: without an exec, as the tests' Python may be out of another user's reach."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writing, asyncio.run(_as_nobody()).encode())
        except BaseException as error:
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        assert said.read() == "65534: []"
    os.waitpid(pid, 0)


async def _as_nobody() -> str:
    kind = Bubblewrap()
    assert kind.user is None
    sandbox = await start(kind, Interior(python="/usr/bin/python3"), LIMITS)
    found = await probes.failing(sandbox, [*probes.QUICK, *probes.SLOW], GROUND, linux=True)
    await sandbox.close()
    return f"{os.geteuid()}: {found}"


async def test_memory_of_many_processes_together_ends_the_sandbox(sandbox: SandboxProcess) -> None:
    code = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        x = b'x' * (200 << 20)
        time.sleep(60)
time.sleep(60)
"""
    with pytest.raises(SandboxError, match=r"more than 512 MiB of memory together"):
        await ask(sandbox, code, 40)
    assert not sandbox.alive


async def test_many_empty_files_end_the_call(sandbox: SandboxProcess) -> None:
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
