"""Seatbelt: sandboxes by `sandbox-exec` of macOS. Apple calls it deprecated and has nothing in its place.

Everything is denied that the profile does not allow: reading the system and the Python inside, writing below one folder of the
sandbox's own, starting processes. macOS has no name space of processes: those of others are there, and cannot be signalled.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence

from antiphon.tools.sandbox.base import NOTHING_KNOWN, Command, Interior, SandboxError, SandboxLimits
from antiphon.tools.sandbox.bubblewrap import ENVIRONMENT

PROGRAM = "/usr/bin/sandbox-exec"
_READABLE = (
    "/System",
    "/usr/lib",
    "/usr/share",
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/Library/Apple",
    "/Library/Developer",
    "/Library/Frameworks/Python.framework",
    "/opt/homebrew",
    "/private/var/db/timezone",
    "/private/etc/localtime",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


class Seatbelt:
    """Starts sandboxes with `sandbox-exec`; each has a folder of its own below `folder`, which ends with the server's process."""

    name = "seatbelt"
    known: Mapping[str, str] = NOTHING_KNOWN

    def __init__(self, path: str = PROGRAM, platform: str = sys.platform) -> None:
        self._path = path
        self._platform = platform

    def unusable(self) -> str | None:
        """Say why it cannot be used here."""
        if self._platform != "darwin":
            return "sandbox-exec is for macOS"
        return None if os.path.exists(self._path) else f"{self._path} is not there"

    def command(self, interior: Interior, limits: SandboxLimits, program: Sequence[str], socket: int) -> Command:
        """Return the command, with a new folder for the sandbox's files."""
        folder = os.path.realpath(tempfile.mkdtemp(prefix="antiphon-sandbox-"))
        own = {"HOME": folder, "TMPDIR": folder}
        return Command(
            arguments=[self._path, "-p", profile(folder, interior), interior.python, *program],
            environment={**ENVIRONMENT, **own},
            own_processes=False,
            folder=folder,
            end=(shutil.which("rm") or "/bin/rm", "-rf", folder),
        )


def profile(folder: str, interior: Interior) -> str:
    """Return the profile, in the language of sandbox-exec (TinyScheme)."""
    readable = [*_READABLE, *interior.folders, os.path.dirname(os.path.realpath(interior.python))]
    return "\n".join(
        (
            "(version 1)",
            "(deny default)",
            "(deny network*)",
            "(allow process-fork)",
            "(allow process-exec)",
            "(allow signal (target same-sandbox))",
            "(allow sysctl-read)",
            "(allow file-read-metadata)",
            f"(allow file-read* {' '.join(f'(subpath {_quoted(path)})' for path in dict.fromkeys(readable))})",
            f"(allow file-read* file-write-data {' '.join(f'(literal {_quoted(path)})' for path in _DEVICES)})",
            f"(allow file-read* file-write* (subpath {_quoted(folder)}))",
            "(deny file-write-setugid)",
            "(deny mach-lookup)",
            "(deny iokit-open)",
        )
    )


def _quoted(path: str) -> str:
    """Return a path as a string of the profile's language. Raises SandboxError for one that would end it."""
    if any(one in '"\\' or not one.isprintable() for one in path):
        raise SandboxError("a folder's name holds what a profile of sandbox-exec cannot")
    return json.dumps(path, ensure_ascii=False)
