"""Sandlock: a sandbox by Landlock and seccomp, for hosts where name spaces are forbidden. Only where the settings name it.

The package `sandlock` shows the files of a sandbox where they should be, hides the machine's, and bounds processes; Landlock
keeps signals in; the filter of system calls that bubblewrap's sandboxes get is put on top, without any socket but pairs.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from antiphon.tools.sandbox import seccomp
from antiphon.tools.sandbox.base import FOLDER, SKILLS, Command, Interior, SandboxError, SandboxLimits
from antiphon.tools.sandbox.bubblewrap import ENVIRONMENT, HOME, NOBODY

FOLDERS: Mapping[str, str] = {
    FOLDER: "data",
    "/tmp": "tmp",  # noqa: S108 (the sandbox's own)
    HOME: "home",
    SKILLS: "skills",
    "/dev/shm": "shm",  # noqa: S108 (the sandbox's own)
}
"""Folders inside → their names in the sandbox's folder."""
READABLE = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


class Sandlock:
    """Starts sandboxes with the package `sandlock`; each has a folder of its own on the disk, which ends with it."""

    name = "sandlock"
    known: Mapping[str, str] = {
        "devices": "code sees the names in /, /dev and /etc, and can open nothing of the machine there"
    }

    def __init__(self, root: bool | None = None) -> None:
        self.user = NOBODY if (os.geteuid() == 0 if root is None else root) else None

    def unusable(self) -> str | None:
        """Say why it cannot be used here."""
        if sys.platform != "linux":
            return "sandlock is for Linux"
        if seccomp.architecture() is None:
            return "there is no table of system calls for this processor"
        if not _folder():
            return "the package sandlock is not installed (pip install sandlock)"
        return None

    def command(self, interior: Interior, limits: SandboxLimits, program: Sequence[str], socket: int) -> Command:
        """Return the command: the process around the sandbox, with what it has to know."""
        machine = seccomp.architecture()
        if machine is None:
            raise SandboxError("there is no table of system calls for this processor")
        given = {
            "sandlock": _folder(),
            "user": self.user,
            "base": tempfile.gettempdir(),
            "folders": FOLDERS,
            "devices": DEVICES,
            "readable": [path for path in (*READABLE, *interior.folders) if os.path.exists(path)],
            "environment": ENVIRONMENT,
            "processes": limits.processes,
        }
        source = resources.files("antiphon.tools.sandbox.inside").joinpath("launcher.py").read_text()
        return Command(
            arguments=[sys.executable, "-I", "-B", "-c", source, json.dumps(given), interior.python],
            environment={},
            own_processes=True,
            user=self.user,
            stdio=True,
            filter=base64.b64encode(seccomp.program(machine, name_spaces=False)).decode(),
        )


def _folder() -> str:
    """Return the folder in which the package is, "" where it is not installed."""
    found = importlib.util.find_spec("sandlock")
    return str(Path(found.origin).parents[1]) if found is not None and found.origin else ""
