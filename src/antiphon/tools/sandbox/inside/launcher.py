"""The process around a sandbox by sandlock: drops root, starts the first process inside, ends all that is left of it.

It is outside of the sandbox, and no signal from inside reaches it. It ends everything when the server closes its socket or
dies, or when the first process ends: what has left its session in between comes back to it as a child. It is started as a text,
with nothing but the standard library and sandlock.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import sys
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
POLL_HANGUP = 0x2000  # POLLRDHUP: the other end of a socket is closed, whatever there is still to be read
FOLDERS = ("data", "tmp", "home", "skills", "shm")


def main(given: dict[str, Any]) -> None:
    """Run the sandbox to its end."""
    sys.path.insert(0, given["sandlock"])
    from sandlock.sandbox import Sandbox  # type: ignore[import-not-found, import-untyped, unused-ignore]  # may be missing

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    if given["user"] is not None:
        os.setgroups([])
        os.setgid(given["user"])
        os.setuid(given["user"])
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)  # sandlock opens its own files of /proc
    os.environ.clear()
    os.environ.update(given["environment"])
    base = tempfile.mkdtemp(prefix="antiphon-sandbox-", dir=given["base"])
    try:
        for name in FOLDERS:
            os.mkdir(os.path.join(base, name))
        mounts = {path: os.path.join(base, name) for path, name in given["folders"].items()}
        sandbox = Sandbox(
            chroot="/",
            fs_mount=mounts,
            fs_readable=given["readable"],
            fs_writable=[*mounts, *given["devices"]],
            clean_env=True,
            env=given["environment"],
            max_processes=given["processes"],
        )
        first = sandbox.popen(sys.argv[2:])
        _wait(first.pid)
    finally:
        end_children()
        shutil.rmtree(base, ignore_errors=True)
    os._exit(0)


def _wait(pid: int) -> None:
    """Return when the server has let go, or the process has ended; meanwhile wait for what else ends, and run only then."""
    first = os.pidfd_open(pid)
    ended, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watched = select.poll()
    for number, events in ((0, POLL_HANGUP), (first, select.POLLIN), (ended, select.POLLIN)):
        watched.register(number, events)
    while True:
        for child in _children():
            if child != pid:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child, os.WNOHANG)
        if {number for number, _ in watched.poll()} & {0, first}:
            return
        with contextlib.suppress(BlockingIOError):
            os.read(ended, 4096)


def end_children() -> None:
    """End all processes below this one, until there is none."""
    for _ in range(10_000):
        children = _children()
        if not children:
            return
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _children() -> list[int]:
    found: list[int] = []
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/children") as file:
            found += map(int, file.read().split())
    return found


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
