"""The real command as a subprocess: what a person starts, on a port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 200.0  # seconds until the server answers, on a busy machine


class Command:
    """A running `antiphon serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def wait_until_healthy(self) -> None:
        """Return once it answers. Raises RuntimeError with its output if it ends or stays silent."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        self.process.kill()
        raise RuntimeError(self.process.stdout.read() if self.process.stdout is not None else "see its log")

    def stop(self) -> int:
        """Ask it to stop, as a terminal or a supervisor does, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    folder: Path, *arguments: str, module: str = "antiphon", log: Path | None = None, source: Path = ROOT
) -> Iterator[Command]:
    """Run `antiphon serve` in a folder until the block ends; `module` may be one of the tests that changes it.

    `source`: where modules are looked for first, such as those of another version.

    `log`: where its output goes. Without one it is read only if the server does not start: it must not be long.
    """
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", module, "serve", "--port", str(port), *arguments],
        cwd=folder,
        env={
            **os.environ,
            "ANTIPHON_ACCESS_LOG": "false",
            "PYTHONPATH": os.pathsep.join((str(source), str(source / "src"))),
        },  # nobody reads the pipe until the end
        stdout=subprocess.PIPE if log is None else log.open("ab"),
        stderr=subprocess.STDOUT,
        text=True,
    )
    command = Command(process, port)
    try:
        command.wait_until_healthy()
        yield command
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
