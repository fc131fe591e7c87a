"""Python processes that do work on others' data: with nothing of the server's environment, folder and terminal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import antiphon

_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # where shared libraries are found; no secrets


def start_isolated(program: str, stdin: socket.socket, memory: int) -> subprocess.Popen[bytes]:
    """Start a program of this package. Its arguments are this process's id, `memory` in bytes and the folders of modules.

    Raises OSError.
    """
    # -I -S: nothing of the environment, of the user's folder or of `.pth` files. A session of its own: Ctrl-C at the
    # terminal is for the server alone.
    folders = [str(Path(antiphon.__file__).parents[1]), *(folder for folder in sys.path if folder)]
    return subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-I", "-S", "-B", "-c", program, str(os.getpid()), str(memory), *folders],
        stdin=stdin.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ},
        start_new_session=True,
    )


def ending(code: int) -> str:
    """Return how a process ended, by its return code."""
    try:
        return f"it died of {signal.Signals(-code).name}"
    except ValueError:  # no signal, or one without a name
        return f"it ended with status {code}"
