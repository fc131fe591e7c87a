"""What one owner's clients make a server hold is bounded, and given back: bodies, histories, answers that nobody reads."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import APIError
from antiphon.runtime.request_memory import Rooms
from antiphon.server.http.unread_answers import Unread
from tests.server.process.watched import Watched, watched
from tests.server.serving import wait_until
from tests.server.whole import Client, whole_server

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
SCRIPTED = {"upstream": {"url": "http://127.0.0.1:9/v1", "api": "scripted"}}


def head(path: str = "/v1/responses", *fields: str, key: str = "ann", method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {key}", *fields, "", ""]
    return "\r\n".join(lines).encode()


@contextmanager
def sent(url: str, *pieces: bytes) -> Iterator[socket.socket]:
    """Open a connection that hardly takes in anything, and send."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        for piece in pieces:
            sock.sendall(piece)
        yield sock


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    limits = {"request_owner_bytes": MIB, "request_bytes": 2 * MIB, "unread_owner_bytes": 4 * MIB}
    with whole_server(api_keys=["ann", "bob", "cid"], **limits) as client:
        yield client.url


def ask(url: str, key: str, size: int = 900_000, **fields: Any) -> tuple[int, Any]:
    """Ask with a body of about so many bytes."""
    return Client(url, key).post("/v1/responses", model="scripted", input="x", metadata={}, user="u" * size, **fields)


LONG = "\n".join(["/repeat 100 " + "a" * 9999] * 8)
"""A script that says 8 MB: more than the system takes off the server's hands."""


# Bodies


@pytest.mark.parametrize("field", ["content-length: 30000000", "transfer-encoding: chunked"])
def test_the_key_is_asked_for_before_the_body(url: str, field: str) -> None:
    with sent(url, head("/v1/responses", field, key="mallory")) as sock:
        assert sock.recv(4096).startswith(b"HTTP/1.1 401")


UPLOADS = {
    "declared": lambda: [head("/v1/responses", "content-length: 900000")],
    "chunked": lambda: [head("/v1/responses", "transfer-encoding: chunked"), b"dbba0\r\n" + b" " * 900_000],
}


@pytest.mark.parametrize("kind", UPLOADS)
def test_bodies_of_one_owner_are_bounded(url: str, kind: str) -> None:
    with sent(url, *UPLOADS[kind]()):
        wait_until(lambda: ask(url, "ann")[0] == 429)
        status, answer = ask(url, "ann")
        assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded"), "what is still coming counts"
        assert "request_owner_bytes" in answer["error"]["message"]
        assert ask(url, "bob")[0] == 200, "others are not touched"
    wait_until(lambda: ask(url, "ann")[0] == 200)  # it was given back


def test_bodies_of_all_owners_are_bounded(url: str) -> None:
    with ExitStack() as stack:
        for key in ("ann", "bob"):
            stack.enter_context(sent(url, head("/v1/responses", "content-length: 1000000", key=key)))
        wait_until(lambda: ask(url, "cid")[0] == 503)
        status, answer = ask(url, "cid")
        assert (status, answer["error"]["code"]) == (503, "server_overloaded")


def test_a_request_that_is_alone_has_its_own_limits_only(url: str) -> None:
    assert ask(url, "ann", size=3 * MIB)[0] == 200


def test_a_history_counts(url: str) -> None:
    client = Client(url, "ann")
    first = client.create(model="scripted", input="y" * 800_000)
    fields = {"model": "scripted", "input": "x", "previous_response_id": first["id"]}
    with sent(url, head("/v1/responses", "content-length: 500000")):
        wait_until(lambda: client.post("/v1/responses", **fields)[0] == 429)
        status, answer = client.post("/v1/responses", **fields)
        assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    wait_until(lambda: client.post("/v1/responses", **fields)[0] == 200)


def test_nothing_is_held_when_all_is_answered() -> None:
    rooms = Rooms(10, 15)
    one, other, foreign = rooms.open("ann"), rooms.open("ann"), rooms.open("bob")
    one.take(8)
    with pytest.raises(APIError, match="request_owner_bytes"):
        other.take(3)
    foreign.take(7)
    with pytest.raises(APIError, match="request_bytes"):
        other.take(1)
    later = one.hand_over()
    one.close()
    assert rooms.by_owner == {"ann": 8, "bob": 7}
    for held in (later, later, other, foreign):
        held.close()
    assert (rooms.held, rooms.by_owner) == (0, {})


# Answers that nobody reads


def stream(key: str = "ann") -> list[bytes]:
    fields = {"model": "scripted", "input": "/repeat 100 " + "a" * 9999, "user": "u" * 3_000_000}
    body = json.dumps({**fields, "stream": True, "store": False}).encode()
    return [head("/v1/responses", f"content-length: {len(body)}", key=key), body]


def received(sock: socket.socket) -> int:
    """Return how many bytes come until the connection ends."""
    size = 0
    try:
        while part := sock.recv(1 << 20):
            size += len(part)
    except ConnectionResetError:
        pass
    return size


def test_of_the_answers_that_nobody_reads_the_oldest_is_cut_off(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "antiphon.server")
    made = Client(url, "ann").create(model="scripted", input=LONG)
    request = head(f"/v1/responses/{made['id']}", "connection: close", method="GET")
    with ExitStack() as stack:
        socks = []
        for _ in range(6):
            socks.append(stack.enter_context(sent(url, request)))
            time.sleep(0.1)
        wait_until(lambda: "unread_owner_bytes" in caplog.text)
        assert ask(url, "bob", 10)[0] == 200
        assert received(socks[0]) < 8_000_000
        assert received(socks[-1]) > 8_000_000, "who reads gets the whole answer"


class Waiting:
    """A connection with bytes that wait."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.cut = False

    def unread(self) -> int:
        return self.size

    def cut_off(self) -> None:
        self.cut = True


def test_owners_do_not_pay_for_each_other() -> None:
    unread = Unread(100)
    ann, bob = [Waiting(60) for _ in range(3)], Waiting(90)
    unread.wrote("bob", bob, 90)
    for one in ann[:2]:
        unread.wrote("ann", one, 60)
    assert [one.cut for one in (*ann, bob)] == [True, False, False, False]
    ann[1].size = 10  # it was read meanwhile
    unread.wrote("ann", ann[2], 60)
    assert not ann[1].cut and not ann[2].cut
    ann[2].size = 500
    unread.wrote("ann", ann[2], 440)
    assert ann[1].cut and not ann[2].cut, "one large answer is none that waits"
    unread.left("ann", ann[1])
    unread.left("ann", ann[2])
    unread.left("ann", ann[2])
    unread.left("bob", bob)
    assert not unread._waiting and not unread._most


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Watched]:
    with watched(tmp_path, store=str(tmp_path / "store.db"), backends=SCRIPTED) as running:
        yield running


def test_unread_streams_hold_no_more_than_their_bytes_and_give_them_back(server: Watched) -> None:
    before = server.memory()
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(sent(server.url, *stream()))
        time.sleep(2)
        stalled = server.memory()
    assert (stalled - before) / 20 < 20e6, "the 3 MB that are echoed stand in three events; hardly more is held"
    wait_until(lambda: server.memory() - before < 60e6)


def test_a_client_that_reads_nothing_gets_no_further_answer(server: Watched) -> None:
    made = Client(server.url).create(model="scripted", input="z" * 1_000_000)
    before = server.memory()
    request = head(f"/v1/responses/{made['id']}", method="GET")
    with sent(server.url) as sock:
        writer = threading.Thread(target=lambda: _send_all(sock, request * 500), daemon=True)
        writer.start()
        time.sleep(2)
        assert server.memory() - before < 60e6, "500 answers have 500 MB"
        reader = _complete(sock, 20)
        assert reader == 20, "they come as they are read"


def _send_all(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:
        return


def _complete(sock: socket.socket, count: int) -> int:
    """Read until so many answers have come."""
    found, rest = 0, b""
    while found < count and (part := sock.recv(1 << 20)):
        rest = rest[-20:] + part
        found += rest.count(b"HTTP/1.1 200") - rest[:20].count(b"HTTP/1.1 200")
    return found
