"""What a process that works on others' data does to itself: it ends with its parent, takes no more than it may, steps back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterable

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
NICENESS = 5  # the server's own work comes first


def end_with_parent(parent: int, *options: int) -> None:
    """End when the process `parent` ends, or at once where it has. `options` of prctl are switched on besides."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for option in (PR_SET_NO_NEW_PRIVS, *options):
            libc.prctl(option, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def step_back() -> None:
    """Let the server go first, and where memory runs out be ended rather than the server."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def limit(memory: int, files: int, others: Iterable[int] = ()) -> None:
    """Limit the address space, in bytes, and the file descriptors; allow no core dump, no file that grows, none of `others`."""
    none = (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, *others)
    limits = [*((name, 0) for name in none), (resource.RLIMIT_AS, memory), (resource.RLIMIT_NOFILE, files)]
    for name, most in limits:
        with contextlib.suppress(OSError, ValueError):  # a system that has no such limit
            resource.setrlimit(name, (most, most))


def exactly(connection: socket.socket, size: int) -> bytes:
    """Return the next `size` bytes of a socket, b"" where it ends before. Its memory grows with what has come."""
    parts = bytearray()
    while len(parts) < size:
        piece = connection.recv(min(size - len(parts), 1 << 20))
        if not piece:
            return b""
        parts += piece
    return bytes(parts)
