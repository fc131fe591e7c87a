"""Ends of sandboxes, in threads of their own: processes that end what is below them, commands that remove what is left."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Sequence

END_SECONDS = 30.0  # for a container engine to remove what is left, for the process around a sandbox to end the rest


def await_end(popen: subprocess.Popen[bytes], seconds: float) -> None:
    """Let a process end what is below it, and end it where it does not."""
    try:
        popen.wait(seconds)
    except subprocess.TimeoutExpired:
        popen.kill()


def run_quietly(command: Sequence[str]) -> None:
    """Run a command that removes what is left of a sandbox."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        subprocess.run(  # noqa: S603 (the kind's own)
            list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=END_SECONDS, check=False
        )
