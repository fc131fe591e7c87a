"""Embedded server of the terminal: a child process on a free port, with a random key."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from antiphon.cli.client import Client
from antiphon.cli.options import arguments
from antiphon.errors import APIError, ConfigError

DISCOVERY = 10.0
"""Seconds that a server that answers may take to know its models."""

POLL = 0.05


@contextlib.contextmanager
def own_server(given: Mapping[str, Any]) -> Iterator[Client]:
    """Run a server with these options while the block lasts. Raises ConfigError where it does not start."""
    key, port = secrets.token_hex(16), free_port()
    command = [sys.executable, "-m", "antiphon", "serve", "--quiet", "--host=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--store=memory", "--workers=1", "--log-level=warning", *arguments(given)],
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "ANTIPHON_API_KEYS": key,
            "ANTIPHON_TLS_CERT": "",
            "ANTIPHON_TLS_KEY": "",
            "ANTIPHON_ROOT_PATH": "",
        },
        start_new_session=True,  # Ctrl-C is for the answer, not for the server
    )
    try:
        with _orderly_end():
            client = Client(f"http://127.0.0.1:{port}", key)
            _wait(process, client)
            yield client
    finally:
        _end(process)


def free_port() -> int:
    """Return a port of the loopback that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
        return number


def _wait(process: subprocess.Popen[bytes], client: Client) -> None:
    """Wait for the models; a download may take its time."""
    deadline = float("inf")
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(APIError):
            if client.models():
                return
            deadline = min(deadline, time.monotonic() + DISCOVERY)
        time.sleep(POLL)
    if process.poll() is not None:
        raise ConfigError("the server did not start; see its output above")
    raise ConfigError("no backend lists a model; run `antiphon check` to see why")


def _end(process: subprocess.Popen[bytes]) -> None:
    for stop in (process.terminate, process.terminate, process.kill):
        stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
            return


@contextlib.contextmanager
def _orderly_end() -> Iterator[None]:
    """Leave by way of an exception when the terminal is closed, so that the server is ended too."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
