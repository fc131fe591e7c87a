"""Bodies that a handler reads part by part, and answers of a known length, by both ways that bytes can take."""

from __future__ import annotations

import json
import socket
import time

import pytest

from antiphon.server.http.direct_exchange import HIGH_WATER
from tests.server.handlers import Probe, make_app
from tests.server.serving import read_all, wait_until

HEAD = b"POST /parts HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"


def answer_of(raw: bytes) -> dict[str, int]:
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    found: dict[str, int] = json.loads(body)
    return found


def opened() -> Probe:
    probe = Probe()
    probe.forced.set()
    return probe


@pytest.mark.parametrize("size", [0, 1, HIGH_WATER + 1, 5_000_000])
def test_all_parts_arrive(serve, mode, size):
    served = serve(make_app(opened()), mode=mode)
    with served.connect() as sock:
        sock.sendall(HEAD % size + b"x" * size)
        assert answer_of(read_all(sock))["size"] == size


def test_a_chunked_body_arrives_in_parts(serve, mode):
    served = serve(make_app(opened()), mode=mode)
    with served.connect() as sock:
        sock.sendall(b"POST /parts HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n")
        for _ in range(50):
            sock.sendall(b"4e20\r\n" + b"x" * 20_000 + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        assert answer_of(read_all(sock))["size"] == 1_000_000


def test_says_100_continue_when_the_first_part_is_wanted(serve, mode):
    served = serve(make_app(opened()), mode=mode)
    with served.connect() as sock:
        sock.sendall((HEAD % 5).replace(b"host: a", b"host: a\r\nexpect: 100-continue"))
        assert sock.recv(4096).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"abcde")
        assert answer_of(read_all(sock))["size"] == 5


@pytest.mark.slow
def test_a_handler_that_does_not_read_holds_the_client_back(serve):
    """What is not asked for stays with the client: the server takes in a little more than its mark."""
    probe = Probe()
    served = serve(make_app(probe))
    size = 20_000_000
    with served.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        sock.sendall(HEAD % size)
        sock.setblocking(False)
        sent, still = 0, time.monotonic() + 1
        while time.monotonic() < still:
            try:
                sent += sock.send(b"x" * 65_536)
                still = time.monotonic() + 1
            except BlockingIOError:
                time.sleep(0.01)
        assert sent < size * 0.9, "the kernel's buffers hold some megabytes, the server no more"
        sock.setblocking(True)
        probe.forced.set()
        rest = b"x" * (size - sent)
        sock.sendall(rest)
        answer = answer_of(read_all(sock))
        assert answer["size"] == size and answer["largest"] < 1_000_000


@pytest.mark.slow
def test_each_part_has_its_own_time(serve, mode):
    served = serve(make_app(opened(), body_timeout=0.6), mode=mode)
    with served.connect() as sock:
        sock.sendall(HEAD % 5)
        for letter in (b"a", b"b", b"c", b"d", b"e"):
            time.sleep(0.25)
            sock.sendall(letter)
        assert answer_of(read_all(sock))["size"] == 5


def test_a_part_that_does_not_come_is_a_408(serve, mode):
    served = serve(make_app(opened(), body_timeout=0.2), mode=mode)
    with served.connect() as sock:
        sock.sendall(HEAD % 9 + b"xx")
        assert b" 408 " in sock.recv(4096)


@pytest.mark.parametrize("chunked", [False, True])
def test_more_than_is_allowed_is_a_413(serve, mode, chunked):
    served = serve(make_app(opened()), mode=mode)
    with served.connect() as sock:
        if chunked:
            sock.sendall(b"POST /parts HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            try:
                for _ in range(250):
                    sock.sendall(b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
            except OSError:
                pass  # it was answered before all was sent
        else:
            sock.sendall(HEAD % 20_000_001)
        assert b" 413 " in sock.recv(4096)


def test_a_client_that_leaves_is_noticed(serve, mode):
    probe = opened()
    served = serve(make_app(probe), mode=mode)
    with served.connect() as sock:
        sock.sendall(HEAD % 1_000_000 + b"x" * 300_000)
        wait_until(lambda: probe.written)
    wait_until(lambda: probe.gone, 1)


def test_an_answer_of_known_length_is_not_chunked(serve, mode):
    served = serve(make_app(Probe()), mode=mode)
    with served.connect() as sock:
        for last in (False, True):
            extra = b"connection: close\r\n" if last else b""
            sock.sendall(b"GET /sized HTTP/1.1\r\nhost: a\r\n" + extra + b"\r\n")
            received = b""
            while received.count(b"x") < 200_000:
                received += sock.recv(1 << 20)
            assert b"content-length: 200000" in received and b"chunked" not in received
        assert read_all(sock) == b""
