"""What the real command listens on: unix sockets, sockets that were handed over, TLS with renewed certificates."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect, unix_connect

from tests.acceptance.command import PATIENCE
from tests.net.certificates import Authority

pytestmark = pytest.mark.slow

WORKERS = pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])
SCRIPTED = ("--backend", "http://127.0.0.1:9/v1", "--backend-api", "scripted")
HAND_OVER = """
import os, socket, sys
numbers = [int(number) for number in sys.argv[1].split(",")]
spare = [os.dup(number) for number in numbers]
for at, number in enumerate(spare):
    os.dup2(number, 3 + at)
    os.set_inheritable(3 + at, True)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = str(len(numbers)), str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "antiphon", *sys.argv[2:]])
"""


class Started:
    """A running command and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(iter(self.process.stderr.readline, ""))

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until it has said something, so many times."""
        deadline = time.monotonic() + PATIENCE
        while "".join(self.said).count(words) < times:
            assert self.process.poll() is None and time.monotonic() < deadline, "".join(self.said)
            time.sleep(0.02)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self._reader.join()
        return code


@contextlib.contextmanager
def started(folder: Path, *arguments: str, handed: Sequence[socket.socket] = (), **variables: str) -> Iterator[Started]:
    """Run `antiphon serve`, with sockets that it inherits."""
    begin = ["-c", HAND_OVER, ",".join(str(sock.fileno()) for sock in handed)] if handed else ["-m", "antiphon"]
    process = subprocess.Popen(
        [sys.executable, *begin, "serve", "--store", str(folder / "s.db"), *SCRIPTED, *arguments],
        cwd=folder,
        env={**os.environ, "ANTIPHON_SHUTDOWN_GRACE": "2", **variables},
        pass_fds=[sock.fileno() for sock in handed],
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Started(process)
    try:
        yield running
    finally:
        process.kill()
        process.wait()
        running._reader.join()
        assert process.stderr is not None
        process.stderr.close()


class Connection(http.client.HTTPConnection):
    """A connection on a socket that is open already."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__("localhost")
        self.sock = sock


def on_unix(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, {"content-type": "application/json"} if data else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def use(connection: http.client.HTTPConnection) -> None:
    """Ask for an answer and for a stream, one after the other on a connection."""
    status, text = ask(connection, "POST", "/v1/responses", {"model": "scripted", "input": "x"})
    assert (status, json.loads(text)["status"]) == (200, "completed")
    status, text = ask(connection, "POST", "/v1/responses", {"model": "scripted", "input": "x", "stream": True})
    assert status == 200 and b"response.completed" in text
    connection.close()


# Unix sockets


@WORKERS
def test_a_unix_socket(workers: int, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with started(tmp_path, "--host", f"unix:{path}", "--workers", str(workers), ANTIPHON_SOCKET_MODE="600") as server:
        server.wait_for(f"listening on unix:{path}")
        wait_until_healthy(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for _ in range(4):
            use(Connection(on_unix(path)))
        with unix_connect(str(path), "ws://localhost/v1/responses") as connection:
            connection.send(json.dumps({"type": "response.create", "model": "scripted", "input": "x"}))
            while json.loads(connection.recv(timeout=PATIENCE))["type"] != "response.completed":
                pass
        assert server.stop() == 0
        assert not path.exists()


def wait_until_healthy(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException), on_unix(path) as sock:
            if ask(Connection(sock), "GET", "/health")[0] == 200:
                return
        time.sleep(0.05)
    raise TimeoutError


def test_a_socket_that_a_server_has_left_is_taken_over_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with started(tmp_path, "--host", f"unix:{path}") as server:
        wait_until_healthy(path)
        with started(tmp_path, "--host", f"unix:{path}", "--store", "memory") as second:
            assert second.process.wait(PATIENCE) == 2
        assert "another process listens there" in "".join(second.said)
        use(Connection(on_unix(path)))  # the first one has kept it
        path.unlink()
        path.write_text("something else")  # and takes no other file for its own
        assert server.stop() == 0
    assert path.read_text() == "something else"
    with started(tmp_path, "--host", f"unix:{path}") as third:
        assert third.process.wait(PATIENCE) == 2
    assert "a file of another kind" in "".join(third.said)
    assert path.read_text() == "something else"


@pytest.mark.parametrize(
    ("host", "mode", "error"),
    [
        ("unix:relative", "660", "expected unix:/path/of/socket"),
        ("unix:/none/such/a.sock", "660", "No such file or directory"),
        (f"unix:/tmp/{'x' * 200}", "660", "AF_UNIX path too long"),
        ("unix:/tmp/never.sock", "999", "socket_mode: '999' is not a mode"),
        ("unix:/tmp/never.sock", "0o660", "socket_mode: '0o660' is not a mode"),
    ],
)
def test_unix_sockets_that_cannot_be(host: str, mode: str, error: str, tmp_path: Path) -> None:
    with started(tmp_path, "--host", host, ANTIPHON_SOCKET_MODE=mode) as server:
        assert server.process.wait(PATIENCE) == 2
    assert error in "".join(server.said)


# Sockets that were handed over


@WORKERS
def test_sockets_that_were_handed_over(workers: int, tmp_path: Path) -> None:
    path = tmp_path / "b.sock"
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    unix.listen()
    with socket.create_server(("127.0.0.1", 0)) as tcp, unix:
        with started(tmp_path, "--workers", str(workers), handed=[tcp, unix]) as server:
            port = tcp.getsockname()[1]
            server.wait_for(f"listening on http://127.0.0.1:{port}")
            server.wait_for(f"listening on unix:{path}")
            for _ in range(3):
                use(http.client.HTTPConnection("localhost", port, timeout=PATIENCE))  # waits in the socket's queue
                use(Connection(on_unix(path)))
            assert server.stop() == 0
        assert path.exists()  # it is not the server's
        with started(tmp_path, handed=[tcp, unix]) as successor:
            waiting = http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
            use(waiting)  # nothing was refused in between
            assert successor.stop() == 0


def test_handed_sockets_that_others_reach_need_a_key(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as tcp:
        with started(tmp_path, handed=[tcp]) as server:
            assert server.process.wait(PATIENCE) == 2
        assert "can be reached from other machines" in "".join(server.said)
        with started(tmp_path, "--api-key", "k", handed=[tcp]) as server:
            server.wait_for("listening on http://0.0.0.0")
            connection = http.client.HTTPConnection("localhost", tcp.getsockname()[1], timeout=PATIENCE)
            assert ask(connection, "GET", "/health")[0] == 200
            connection.close()
            assert server.stop() == 0


def test_what_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as idle:
        for sock in (udp, idle):
            with started(tmp_path, handed=[sock]) as server:
                assert server.process.wait(PATIENCE) == 2
            assert "descriptor 3 is no listening stream socket" in "".join(server.said)


# TLS


def secured(port: int, authority: Authority) -> http.client.HTTPSConnection:
    trusting = ssl.create_default_context(cafile=str(authority.file))
    return http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=trusting)


def serial(port: int) -> int:
    """Return the serial number of the certificate that a server shows."""
    from cryptography import x509

    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=PATIENCE)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


@contextlib.contextmanager
def tls_server(folder: Path, files: Mapping[str, str], *arguments: str) -> Iterator[tuple[Started, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with started(folder, "--port", str(port), *arguments, **files) as server:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                serial(port)
                break
            assert server.process.poll() is None, "".join(server.said)
            time.sleep(0.05)
        yield server, port


@WORKERS
def test_tls(workers: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.sign("localhost")
    files = {"ANTIPHON_TLS_CERT": str(cert), "ANTIPHON_TLS_KEY": str(key)}
    with tls_server(tmp_path, files, "--workers", str(workers), "--quiet") as (server, port):
        server.wait_for(f"listening on https://127.0.0.1:{port}")
        for _ in range(3):
            use(secured(port, authority))
        trusting = ssl.create_default_context(cafile=str(authority.file))
        with connect(f"wss://localhost:{port}/v1/responses", ssl=trusting) as connection:
            connection.send(json.dumps({"type": "response.create", "model": "scripted", "input": "x"}))
            while json.loads(connection.recv(timeout=PATIENCE))["type"] != "response.completed":
                pass
        plain = http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(plain, "GET", "/health")
        old = secured(port, authority)  # a connection that is open outlives the certificate that it began with
        assert ask(old, "GET", "/health")[0] == 200

        before = serial(port)
        authority.sign("localhost")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("certificate reloaded", workers)
        assert {serial(port) for _ in range(5)} & {before} == set()
        use(secured(port, authority))
        assert ask(old, "GET", "/health")[0] == 200

        renewed = serial(port)
        _, other = authority.sign("other")
        key.write_bytes(other.read_bytes())
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("certificate not reloaded: tls_cert", workers)
        assert {serial(port) for _ in range(5)} == {renewed}
        use(secured(port, authority))

        begun = time.monotonic()
        assert server.stop() == 0  # with an idle connection that says no goodbye
        assert time.monotonic() - begun < 15
        old.close()


def test_the_banner_knows_of_tls(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).sign("localhost")
    files = {"ANTIPHON_TLS_CERT": str(cert), "ANTIPHON_TLS_KEY": str(key)}
    with tls_server(tmp_path, files) as (server, port):
        server.wait_for(f"https://127.0.0.1:{port}/v1")
        server.wait_for("models  scripted")


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"ANTIPHON_TLS_CERT": "none.crt"}, "tls_cert: none.crt cannot be read"),
        ({"ANTIPHON_TLS_KEY": "a.key"}, "tls_key: needs tls_cert"),
        ({"ANTIPHON_TLS_CERT": "a.crt"}, "tls_cert: a.crt cannot be used"),
        ({"ANTIPHON_TLS_CERT": "a.crt", "ANTIPHON_TLS_KEY": "b.key"}, "tls_cert: a.crt cannot be used"),
        ({"ANTIPHON_TLS_CERT": "c.crt", "ANTIPHON_TLS_KEY": "c.key"}, "tls_cert: c.crt cannot be used"),
    ],
)
@WORKERS
def test_certificates_that_cannot_be_used_stop_the_start(
    workers: int, files: dict[str, str], error: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    for name, password in (("a", ""), ("b", ""), ("c", "password")):
        authority.sign(name, password)
    with started(tmp_path, "--port", "0", "--workers", str(workers), **files) as server:
        assert server.process.wait(PATIENCE) == 2
    assert error in "".join(server.said)
