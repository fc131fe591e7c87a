"""How a sandbox is started: the process, from a thread; its limits; what is left where nobody waits for it any more."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from antiphon.tools.sandbox import watch
from antiphon.tools.sandbox.base import FOLDER, SKILLS, Command, Interior, SandboxError, SandboxKind, SandboxLimits
from antiphon.tools.sandbox.interior import program, sources
from antiphon.tools.sandbox.process import SandboxProcess

COUNTED_APART = (5, 14)  # from this Linux on, a limit of processes counts those of the own name space alone
BESIDE = 16
"""Sandboxes as full as this one that may be there at the same time, where their processes are counted together."""

Spawned = tuple[subprocess.Popen[bytes], Sequence[str], bool]
"""A process, the command that ends what is left of it, and whether it ends all of that itself."""


async def start(kind: SandboxKind, interior: Interior, limits: SandboxLimits) -> SandboxProcess:
    """Start a sandbox, from a thread: a fork waits until the new process runs. Raises SandboxError."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    spawning = asyncio.get_running_loop().run_in_executor(None, _spawn, kind, interior, limits, theirs)
    try:
        popen, end, ends_itself = await asyncio.shield(spawning)
    except OSError as error:
        ours.close()
        raise SandboxError(f"{kind.name} cannot be started: {error.strerror}") from None
    except BaseException:  # nobody waits for it any more, and it may come to be all the same
        spawning.add_done_callback(partial(_let_go, kind.name, ours, limits))
        raise
    sandbox = SandboxProcess(kind.name, popen, ours, limits, end, ends_itself=ends_itself)
    await sandbox.ready(sources())
    return sandbox


def _let_go(kind: str, ours: socket.socket, limits: SandboxLimits, spawning: asyncio.Future[Spawned]) -> None:
    if spawning.cancelled() or spawning.exception() is not None:
        ours.close()
        return
    popen, end, ends_itself = spawning.result()
    SandboxProcess(kind, popen, ours, limits, end, ends_itself=ends_itself).abandon()


def _spawn(kind: SandboxKind, interior: Interior, limits: SandboxLimits, theirs: socket.socket) -> Spawned:
    """Make the process, and close its end of the sockets here. Raises OSError and SandboxError."""
    with theirs:
        return _spawned(kind, interior, limits, theirs)


def _spawned(kind: SandboxKind, interior: Interior, limits: SandboxLimits, theirs: socket.socket) -> Spawned:
    number = theirs.fileno()
    settings: dict[str, object] = {
        "folder": FOLDER,
        "skills": SKILLS,
        "folders": [FOLDER, "/tmp", "/dev/shm", "/home/user", SKILLS],  # noqa: S108 (the sandbox's own)
        "memory": limits.memory,
        "disk": limits.disk,
    }
    command = kind.command(interior, limits, [], number)
    try:
        settings |= {"own_processes": command.own_processes, "folder": command.folder, "filter": command.filter}
        settings |= {"socket": None if command.stdio else number, "processes": _process_limit(limits, command)}
        command = replace(command, arguments=[*command.arguments, *program(settings)])
        return _popen(command, theirs), command.end, bool(command.filter)
    finally:
        _close(command)


def _popen(command: Command, theirs: socket.socket) -> subprocess.Popen[bytes]:
    number = theirs.fileno()
    user = None if command.filter else command.user
    groups: Sequence[int] | None = None if user is None else []
    return subprocess.Popen(  # noqa: S603 (our own program)
        list(command.arguments),
        stdin=number if command.stdio else subprocess.DEVNULL,
        stdout=number if command.stdio else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        env=dict(command.environment),
        pass_fds=command.keep if command.stdio else (number, *command.keep),
        start_new_session=True,
        user=user,
        group=user,
        extra_groups=groups,
    )


def _close(command: Command) -> None:
    for one in command.keep:
        os.close(one)


def _process_limit(limits: SandboxLimits, command: Command) -> int | None:
    """Return the limit of processes and threads to set inside.

    Where it is one of all of the user's, others have to fit in: sandlock counts the processes of each sandbox by itself, the
    server the threads; on older kernels those of bubblewrap have room for themselves. Elsewhere there is none.
    """
    if sys.platform != "linux" or command.image:
        return None
    version = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2] if part.isdecimal())
    if command.own_processes and not command.filter and version >= COUNTED_APART:
        return limits.processes
    others = watch.tasks_of(os.geteuid() if command.user is None else command.user)
    return (BESIDE if command.filter else 1) * limits.processes + others
