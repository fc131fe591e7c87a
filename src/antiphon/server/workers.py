"""Several processes on one port: start them, watch them, pass signals on.

On Linux each has a listening socket of its own (SO_REUSEPORT), among which the kernel deals connections out evenly; this
process keeps them open, so that what has connected to a worker that died is served by its successor. Elsewhere all share one.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

import msgspec

from antiphon.config import Config
from antiphon.server.run import announce, listen

log = logging.getLogger("antiphon.server")

EARLY = 5.0
"""Seconds; who dies sooner after the start was never well."""

MOST_EARLY_DEATHS = 3
POLL = 0.1


class Task(msgspec.Struct, frozen=True):
    """What a worker is told on its standard input, in one line of JSON."""

    app_factory: str
    config: Config
    sockets: Sequence[int]


class Worker:
    """One process and the sockets that it serves."""

    def __init__(self, app_factory: str, config: Config, sockets: Sequence[socket.socket]) -> None:
        self.sockets = sockets
        self.early_deaths = 0
        self._task = Task(app_factory, config, [sock.fileno() for sock in sockets])
        self.start()

    def start(self) -> None:
        """Start the process. It keeps to itself: signals of the terminal reach it through this process alone."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "antiphon.server.worker"],
            stdin=subprocess.PIPE,
            pass_fds=self._task.sockets,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(self._task) + b"\n")
        self.process.stdin.flush()  # and left open: its end tells the worker that we are gone

    def revive(self) -> None:
        """Start again after an unexpected death."""
        early = time.monotonic() - self.started < EARLY
        self.early_deaths = self.early_deaths + 1 if early else 0
        log.error("worker %d ended with code %d; starting another", self.process.pid, self.process.returncode)
        self._close_pipe()
        self.start()

    def signal(self, number: int) -> None:
        """Pass a signal on."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        code = self.process.wait()
        self._close_pipe()
        return code

    def _close_pipe(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


class Supervisor:
    """Keeps the workers running until a signal comes."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._stopping = False

    def run(self) -> int:
        """Return the exit code: 1 where workers can't even start."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            failed = self._watch()
            codes = [worker.wait() for worker in self._workers]
            return 1 if failed or any(codes) else 0
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _watch(self) -> bool:
        while not self._stopping:
            time.sleep(POLL)
            for worker in self._workers:
                if worker.process.poll() is None or self._stopping:
                    continue
                if worker.early_deaths >= MOST_EARLY_DEATHS:
                    log.error("workers end right after their start; giving up")
                    self._stop(signal.SIGTERM)
                    return True
                worker.revive()
        return False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop(signal.SIGTERM)

    def _stop(self, number: int) -> None:
        self._stopping = True
        for worker in self._workers:
            for sock in worker.sockets:
                sock.close()
            worker.signal(number)


def supervise(app_factory: str, config: Config) -> int:
    """Serve with `config.workers` processes until a signal comes; return the exit code. Raises ConfigError."""
    sockets = worker_sockets(config)
    announce(sockets[0])
    return Supervisor([Worker(app_factory, config, own) for own in sockets]).run()


def worker_sockets(config: Config) -> list[list[socket.socket]]:
    """Return bound sockets for each worker. Raises ConfigError where the port is taken."""
    first = listen(config.host, config.port)  # not shared: a port that somebody else has is an error, not a partnership
    if sys.platform != "linux":
        return [first] * config.workers
    port = first[0].getsockname()[1]
    for sock in first:
        sock.close()
    return [listen(config.host, port, shared=True) for _ in range(config.workers)]


def exit_with_parent() -> None:
    """Wait for the supervisor's end (that of our standard input), then stop as if it had said so."""
    while os.read(0, 4096):  # not sys.stdin: its lock can't be had when the interpreter shuts down
        pass
    os.kill(os.getpid(), signal.SIGTERM)
