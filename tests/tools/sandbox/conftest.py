"""Every kind of sandbox, as the server's user and, where that is root, as one whose server is not."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

import msgspec
import pytest

from antiphon.tools.sandbox.base import Ended, Sandbox, SandboxKind, SandboxLimits
from antiphon.tools.sandbox.bubblewrap import Bubblewrap
from antiphon.tools.sandbox.interior import interiors
from antiphon.tools.sandbox.process import SandboxProcess
from antiphon.tools.sandbox.sandlock import Sandlock
from antiphon.tools.sandbox.starting import start

LIMITS = SandboxLimits(memory=512 << 20, disk=24 << 20, processes=40)

KINDS: dict[str, Callable[[], SandboxKind]] = {"bwrap": Bubblewrap, "sandlock": Sandlock}


class Asked(msgspec.Struct, frozen=True):
    """What a call gave: all its output, and its end."""

    text: str
    ended: Ended


Ask = Callable[..., Awaitable[Asked]]


async def started(kind: SandboxKind, limits: SandboxLimits = LIMITS) -> SandboxProcess:
    user = kind.user if isinstance(kind, Bubblewrap | Sandlock) else None
    return await start(kind, next(interiors("", user)), limits)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.needs(name)) for name in KINDS])
def kind(request: pytest.FixtureRequest) -> SandboxKind:
    return KINDS[request.param]()


@pytest.fixture
async def sandbox(kind: SandboxKind) -> AsyncIterator[SandboxProcess]:
    sandbox = await started(kind)
    yield sandbox
    await sandbox.close()


async def ask(sandbox: Sandbox, code: str, seconds: float = 20.0) -> Asked:
    pieces: list[bytes] = []
    ended = await sandbox.run(code, seconds, lambda _, piece: pieces.append(piece))
    return Asked(b"".join(pieces).decode(errors="replace"), ended)


def alive(pids: Collection[int]) -> list[int]:
    """Return those of some processes that are there and no zombies."""
    found = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] not in "ZX":
                    found.append(pid)
        except OSError:
            continue
    return found


async def none_of(pids: Collection[int]) -> None:
    """Wait until some processes have ended."""
    deadline = time.monotonic() + 20
    while left := alive(pids):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.05)


root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a server as another user")
