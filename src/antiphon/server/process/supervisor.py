"""Supervisor of worker processes on one port: start, watch, pass signals on.

On Linux each has a listening socket of its own (SO_REUSEPORT), among which the kernel deals connections out evenly; this
process keeps them open, so that what has connected to a worker that died is served by its successor. Elsewhere all share one.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import msgspec

from antiphon.config import Config
from antiphon.server.process.settings_source import WATCH_INTERVAL, Source, reload
from antiphon.server.process.sockets import Listeners, listen, open_listeners
from antiphon.server.process.tls import server_tls

Handler = Callable[[int, FrameType | None], None]

log = logging.getLogger("antiphon.server.process")

EARLY = 5.0
"""Seconds; who dies sooner after the start was never well."""

MOST_EARLY_DEATHS = 3
GOOD_ENDS = frozenset((0, -signal.SIGTERM))
"""Exit codes after a stop: a worker that is still starting heeds no signal yet, and dies of it."""

POLL = 0.1
RELOAD = signal.SIGUSR1
"""By which a worker asks the supervisor to read the settings again: SIGHUP may mean that the terminal is gone."""


class WorkerTask(msgspec.Struct, frozen=True):
    """Instructions for a worker on its standard input, one line of JSON."""

    app_factory: str
    config: Config
    sockets: Sequence[int]
    reloads: bool = False
    """The supervisor reads the settings again on RELOAD."""


class Worker:
    """One process and the sockets that it serves."""

    def __init__(
        self, app_factory: str, config: Config, sockets: Sequence[socket.socket], reloads: bool = False
    ) -> None:
        self.sockets = sockets
        self.early_deaths = 0
        self._task = WorkerTask(app_factory, config, [sock.fileno() for sock in sockets], reloads)
        self.start()

    def start(self) -> None:
        """Start the process. It keeps to itself: signals of the terminal reach it through this process alone."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "antiphon.server.process.worker"],
            stdin=subprocess.PIPE,
            pass_fds=self._task.sockets,
            start_new_session=True,
        )
        self._tell(self._task)  # and the pipe is left open: its end tells the worker that we are gone

    def revive(self) -> None:
        """Start again after an unexpected death."""
        early = time.monotonic() - self.started < EARLY
        self.early_deaths = self.early_deaths + 1 if early else 0
        log.error("worker %d exited with code %d; starting another", self.process.pid, self.process.returncode)
        self._close_pipe()
        self.start()

    def reload(self, config: Config) -> None:
        """Let it take other settings over, and its successors."""
        self._task = msgspec.structs.replace(self._task, config=config)
        with contextlib.suppress(OSError):  # it has just died; its successor will know
            self._tell(config)

    def signal(self, number: int) -> None:
        """Pass a signal on."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        code = self.process.wait()
        self._close_pipe()
        return code

    def _tell(self, order: WorkerTask | Config) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")
        self.process.stdin.flush()

    def _close_pipe(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # what it did not live to read
            self.process.stdin.close()


class Supervisor:
    """Keeps the workers running until a signal comes, and tells them of other settings."""

    def __init__(self, workers: Sequence[Worker], source: Source | None = None) -> None:
        self._workers = workers
        self._source = source
        self._stopping = False
        self._wish = False
        self._look_at = 0.0

    def run(self) -> int:
        """Return the exit code: 1 where workers can't even start."""
        handlers: dict[signal.Signals, Handler] = dict.fromkeys((signal.SIGINT, signal.SIGTERM), self._on_signal)
        if self._source is not None:
            handlers[signal.SIGHUP] = self._on_hangup
            handlers[RELOAD] = self._on_wish
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            failed = self._watch()
            codes = {worker.wait() for worker in self._workers}
            return 1 if failed or codes - GOOD_ENDS else 0
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _watch(self) -> bool:
        while not self._stopping:
            time.sleep(POLL)
            if self._source is not None and self._wanted(self._source):
                reload(self._source.load, self._reload)
            for worker in self._workers:
                if worker.process.poll() is None or self._stopping:
                    continue
                if worker.early_deaths >= MOST_EARLY_DEATHS:
                    log.error("workers exit right after starting; giving up")
                    self._stop(signal.SIGTERM)
                    return True
                worker.revive()
        return False

    def _wanted(self, source: Source) -> bool:
        """Tell whether the settings are to be loaded again."""
        wanted, self._wish = self._wish, False
        if source.watches and self._look_at <= time.monotonic():
            self._look_at = time.monotonic() + WATCH_INTERVAL
            wanted = source.touched() or wanted
        return wanted

    def _reload(self, config: Config) -> None:
        for worker in self._workers:
            worker.reload(config)

    def _on_hangup(self, number: int, frame: FrameType | None) -> None:
        if self._source is not None and self._source.hung_up():
            self._stop(signal.SIGTERM)
        self._wish = True

    def _on_wish(self, number: int, frame: FrameType | None) -> None:
        self._wish = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop(signal.SIGTERM)

    def _stop(self, number: int) -> None:
        self._stopping = True
        for worker in self._workers:
            for sock in worker.sockets:
                sock.close()
            worker.signal(number)


def supervise(app_factory: str, config: Config, source: Source | None = None) -> int:
    """Serve with `config.workers` processes until a signal comes; return the exit code. Raises ConfigError."""
    gc.enable()
    server_tls(config)  # a certificate that cannot be used stops the start, not each worker
    listeners = open_listeners(config, os.environ)
    listeners.announce(tls=bool(config.tls_cert))
    sockets = worker_sockets(config, listeners)
    try:
        return Supervisor([Worker(app_factory, config, own, source is not None) for own in sockets], source).run()
    finally:
        listeners.remove()


def worker_sockets(config: Config, listeners: Listeners) -> list[Sequence[socket.socket]]:
    """Return bound sockets for each worker, of sockets on which nobody listens yet."""
    first = listeners.sockets  # not shared: a port that somebody else has is an error, not a partnership
    if listeners.alone or sys.platform != "linux":
        return [first] * config.workers
    port = first[0].getsockname()[1]
    for sock in first:
        sock.close()
    return [listen(config.host, port, shared=True) for _ in range(config.workers)]


def lines() -> Iterator[bytes]:
    """Yield the lines of our standard input; it ends with the supervisor."""
    rest = b""
    while data := os.read(0, 65536):  # not sys.stdin: its lock can't be had when the interpreter shuts down
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def obey(orders: Iterator[bytes], reload: Callable[[Config], None]) -> None:
    """Pass on the settings that the supervisor sends; at its end, stop as if it had said so."""
    for order in orders:
        reload(msgspec.json.decode(order, type=Config))
    os.kill(os.getpid(), signal.SIGTERM)
