"""How a server ends: signals, grace, force, exit codes; one process and several."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from antiphon.errors import ConfigError
from antiphon.server.process.sockets import listen
from antiphon.server.process.supervisor import Supervisor
from tests.server.handlers import Answer, call
from tests.server.serving import read_all, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
MAIN = """
import logging, sys
from antiphon.config import Config
from antiphon.errors import ConfigError
from antiphon.server.process import run
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
try:
    sys.exit(run.serve("tests.server.process.shutdown_app:build", Config(port={port}, workers={workers}, shutdown_grace={grace})))
except ConfigError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Running:
    """A server in a process of its own."""

    def __init__(self, grace: float, workers: int, port: int = 0) -> None:
        self.port = port or free_port()
        code = MAIN.format(port=self.port, workers=workers, grace=grace)
        self.process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def call(self, path: str) -> Answer:
        return call(f"http://127.0.0.1:{self.port}", "GET", path)

    def up(self) -> bool:
        assert self.process.poll() is None
        try:
            return self.call("/pid").status == 200
        except OSError:
            return False

    def open(self, path: str) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        assert sock.recv(4096)
        return sock

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for the end; return exit code and log."""
        _, log = self.process.communicate(timeout=15)
        return self.process.returncode, log


@contextmanager
def running(grace: float = 5, workers: int = 1) -> Iterator[Running]:
    server = Running(grace, workers)
    try:
        wait_until(server.up, 10)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        assert server.process.stderr is not None
        server.process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_at_once(number):
    with running() as server, server.open("/pid") as idle:
        began = time.monotonic()
        server.signal(number)
        assert read_all(idle) == b""
        code, log = server.end()
        assert (code, time.monotonic() - began < 10) == (0, True)
        assert "Traceback" not in log


def test_a_stream_goes_on_in_the_grace_period():
    with running(grace=5) as server, server.open("/finite") as stream:
        server.signal()
        wait_until(lambda: not accepts(server.port))
        assert read_all(stream).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        code, log = server.end()
        assert code == 0
        assert "stopping: waiting up to 5 s for 1 running request; a second signal (Ctrl-C) ends them now" in log


def test_after_the_grace_period_streams_are_made_to_end():
    with running(grace=0.3) as server, server.open("/endless") as stream:
        began = time.monotonic()
        server.signal()
        assert b"data: failed\n\ndata: [DONE]" in read_all(stream)
        assert 0.25 < time.monotonic() - began < 10
        assert server.end()[0] == 0


def test_a_second_signal_ends_the_grace_period():
    with running(grace=30) as server, server.open("/endless") as stream:
        began = time.monotonic()
        server.signal()
        time.sleep(0.3)
        server.signal()
        assert b"data: failed" in read_all(stream)
        code, _ = server.end()
        assert (code, time.monotonic() - began < 15) == (0, True)


def test_a_third_signal_waits_for_nobody():
    with running(grace=30) as server, server.open("/stubborn"):
        began = time.monotonic()
        for _ in range(3):
            server.signal()
            time.sleep(0.3)
        server.end()
        assert time.monotonic() - began < 15


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_the_lifespan_is_left_at_the_end():
    with running() as server:
        server.signal()
        code, log = server.end()
        assert code == 0 and log.index("entered") < log.index("left")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_taken_port_is_an_error_without_a_traceback(workers):
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = Running(0, workers, other.getsockname()[1])
        code, log = server.end()
    assert code == 1 and "Can't listen on 127.0.0.1 port" in log and "Address already in use" in log
    assert "Traceback" not in log


def test_what_cannot_start_says_why():
    code = MAIN.format(port=free_port(), workers=1, grace=0).replace(":build", ":build_broken")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "The store is locked." in done.stderr and "Traceback" not in done.stderr


# Several processes


def pids(server: Running, count: int) -> set[int]:
    return {server.call("/pid").json()["pid"] for _ in range(count)}


def test_workers_share_the_port_replace_the_dead_and_end_together():
    with running(workers=2) as server:
        wait_until(lambda: len(pids(server, 20)) == 2, 10)
        victim, other = pids(server, 40)
        assert server.process.pid not in (victim, other)
        os.kill(victim, signal.SIGKILL)
        after: set[int] = set()
        # No connection is refused meanwhile: `pids` would raise.
        wait_until(lambda: after.update(pids(server, 4)) or len(after - {victim}) == 2, 10)
        server.signal(signal.SIGINT)
        code, log = server.end()
        assert code == 0 and f"worker {victim} exited with code -9; starting another" in log
        wait_until(lambda: not any(map(alive, after)))


def test_workers_do_not_outlive_their_supervisor():
    with running(workers=2) as server:
        wait_until(lambda: len(pids(server, 20)) == 2, 10)
        workers = pids(server, 40)
        server.process.kill()
        wait_until(lambda: not any(map(alive, workers)), 5)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_localhost_and_wildcards_can_be_listened_on():
    for host in ("localhost", "127.0.0.1", "0.0.0.0", "::1", "::", ""):
        sockets = listen(host, 0)
        ports = {sock.getsockname()[1] for sock in sockets}
        for sock in sockets:
            sock.close()
        assert len(ports) == 1


def test_an_unknown_host_is_a_config_error():
    with pytest.raises(ConfigError, match="can't be resolved"):
        listen("no.such.host.invalid", 0)


@pytest.mark.parametrize(("codes", "code"), [((0, -signal.SIGTERM), 0), ((0, 1), 1), ((-signal.SIGKILL, 0), 1)])
def test_a_worker_that_is_stopped_while_it_starts_is_no_failure(codes, code):
    class Ended:
        sockets = ()
        early_deaths = 0

        def __init__(self, code):
            self.wait = lambda: code

    supervisor = Supervisor([Ended(code) for code in codes])
    supervisor._stopping = True  # as behind the signal
    assert supervisor.run() == code
