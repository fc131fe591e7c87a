"""Bubblewrap: a sandbox of Linux's name spaces, with a filter of system calls. The default on Linux."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from antiphon.tools.sandbox import seccomp
from antiphon.tools.sandbox.base import FOLDER, NOTHING_KNOWN, SKILLS, Command, Interior, SandboxError, SandboxLimits

NOBODY = 65534
"""The uid of sandboxes where the server runs as root: root's processes are not limited in number."""
USER = 1000
HOME = "/home/user"
SMALL = 64 << 20
NEEDED = ("--disable-userns", "--size", "--cap-drop", "--clearenv")
ASK_SECONDS = 10
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_OTHER = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/fonts",
    "/etc/localtime",
)
ENVIRONMENT = {
    "HOME": HOME,
    "USER": "user",
    "LOGNAME": "user",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "MPLBACKEND": "Agg",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",  # a program that is run again finds the members of a set in the same order
}
"""All of the environment inside."""


class Bubblewrap:
    """Starts sandboxes with `bwrap`: name spaces of their own, the system read-only, everything else in sized memory."""

    name = "bwrap"
    known: Mapping[str, str] = NOTHING_KNOWN

    def __init__(self, path: str | None = None, root: bool | None = None) -> None:
        beside = Path(sys.executable).parent / "bwrap"
        self._path = path or shutil.which("bwrap") or (str(beside) if beside.exists() else "")
        self.user = NOBODY if (os.geteuid() == 0 if root is None else root) else None
        self._understands: frozenset[str] | None = None

    def unusable(self) -> str | None:
        """Say why it cannot be used here."""
        if sys.platform != "linux":
            return "bubblewrap is for Linux"
        if seccomp.architecture() is None:
            return "there is no table of system calls for this processor"
        if not self._path:
            return "bubblewrap is not installed (the package 'bubblewrap' of your system)"
        if self._understands is None:
            self._understands = self._options()
        missing = [option for option in NEEDED if option not in self._understands]
        if missing:
            return f"bubblewrap 0.8 or newer is needed: this one lacks {', '.join(missing)}"
        return None

    def _options(self) -> frozenset[str]:
        try:
            said = subprocess.run(  # noqa: S603 (found by the operator's PATH)
                [self._path, "--help"], capture_output=True, timeout=ASK_SECONDS, check=False, env={}
            )
        except (OSError, subprocess.SubprocessError):
            return frozenset()
        return frozenset((said.stdout + said.stderr).decode(errors="replace").split())

    def command(self, interior: Interior, limits: SandboxLimits, program: Sequence[str], socket: int) -> Command:
        """Return the command. The filter is in a pipe that bwrap reads."""
        machine = seccomp.architecture()
        if machine is None:
            raise SandboxError("there is no table of system calls for this processor")
        reading, writing = os.pipe()
        os.write(writing, seccomp.program(machine))  # less than a pipe holds
        os.close(writing)
        arguments = [
            *(self._path, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
            *("--clearenv", "--cap-drop", "ALL", "--seccomp", str(reading), "--uid", str(USER), "--gid", str(USER)),
            *("--hostname", "sandbox"),
            *_system(),
            *("--proc", "/proc", "--dev", "/dev", *_memory("/dev/shm", SMALL), "--remount-ro", "/dev"),  # noqa: S108
            *_memory("/tmp", limits.disk),  # noqa: S108 (the sandbox's own)
            *_memory(FOLDER, limits.disk),
            *_memory(HOME, SMALL),
            *_memory(SKILLS, SMALL),
            *(word for folder in interior.folders for word in ("--ro-bind", folder, folder)),
            *(word for name, value in ENVIRONMENT.items() for word in ("--setenv", name, value)),
            *("--chdir", FOLDER, "--remount-ro", "/", interior.python, *program),
        ]
        return Command(arguments=arguments, environment={}, own_processes=True, user=self.user, keep=(reading,))


def _memory(path: str, size: int) -> tuple[str, ...]:
    return ("--size", str(size), "--tmpfs", path)


def _system() -> list[str]:
    """Return how the system's folders are shown: read-only, links as links."""
    words: list[str] = []
    for path in _SYSTEM:
        if os.path.islink(path):
            words += ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            words += ("--ro-bind", path, path)
    return [*words, *(word for path in _OTHER if os.path.exists(path) for word in ("--ro-bind", path, path))]
