"""Frames that break the protocol (RFC 6455): each is answered by a close frame, also to a client that goes on writing."""

from __future__ import annotations

import json
import socket
import struct
from collections import deque

import pytest

from tests.attack.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, frame
from tests.server.http.test_framing import KEY, UPGRADE, VERSION
from tests.server.whole import whole_server

pytestmark = pytest.mark.slow

HEAD = b"GET /v1/responses HTTP/1.1\r\nhost: localhost\r\n" + UPGRADE + VERSION + KEY + b"\r\n"
SIZE = 100_000


def code(number: int, reason: bytes = b"") -> bytes:
    return frame(struct.pack("!H", number) + reason, CLOSE)


BROKEN = {
    # 5.1: a client masks
    "no mask": (frame(b"{}", masked=False), 1002),
    "no mask on a ping": (frame(b"", PING, masked=False), 1002),
    # 5.2: bits and codes that nobody has agreed on; lengths
    **{f"reserved bits {bits}": (frame(b"{}", reserved=bits), 1002) for bits in (1, 2, 3, 4, 7)},
    **{f"opcode {opcode}": (frame(b"{}", opcode), 1002) for opcode in (3, 4, 7, 11, 15)},
    "a length beyond the limit": (b"\x81\xff" + struct.pack("!Q", SIZE + 1), 1009),
    "a length of 63 bits": (b"\x81\xff" + b"\x7f" + b"\xff" * 7, 1009),
    "a length of 64 bits": (b"\x81\xff" + b"\xff" * 8, 1009),
    "fragments beyond the limit": (
        frame(b"x" * SIZE, fin=False) + frame(b"x", CONTINUATION, fin=False),
        1009,
    ),
    # 5.4: fragments
    "a continuation of nothing": (frame(b"{}", CONTINUATION), 1002),
    "a continuation of nothing, unfinished": (frame(b"", CONTINUATION, fin=False), 1002),
    "a text between fragments": (frame(b"{", fin=False) + frame(b"{}"), 1002),
    "bytes between fragments": (frame(b"{", fin=False) + frame(b"{}", BINARY, fin=False), 1002),
    "a second continuation": (frame(b"{", fin=False) + frame(b"}", CONTINUATION) + frame(b"", CONTINUATION), 1002),
    # 5.5: control frames
    **{f"fragments of {opcode}": (frame(b"", opcode, fin=False), 1002) for opcode in (CLOSE, PING, PONG)},
    **{f"126 bytes of {opcode}": (frame(b"x" * 126, opcode), 1002) for opcode in (CLOSE, PING, PONG)},
    "a reserved bit on a pong": (frame(b"", PONG, reserved=4), 1002),
    # 5.5.1, 7.4: close frames
    "a close of one byte": (frame(b"\x03", CLOSE), 1002),
    **{f"close {number}": (code(number), 1002) for number in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535)},
    "a close whose reason is not UTF-8": (code(1000, b"\xff"), 1007),
    # 8.1: text is UTF-8
    "no UTF-8": (frame(b"\xff"), 1007),
    "half a character": (frame(b'{"a":"\xc3'), 1007),
    "a surrogate": (frame(b"\xed\xa0\x80"), 1007),
    "half a character at the end of fragments": (frame(b"\xc3", fin=False) + frame(b"", CONTINUATION), 1007),
}
FINE = {
    "a close without a code": (frame(b"", CLOSE), 1005),
    **{f"close {number}": (code(number, b"bye"), number) for number in (1000, 1001, 1011, 1014, 3000, 4999)},
    "a ping between fragments": (
        frame(b"{", fin=False) + frame(b"x" * 125, PING) + frame(b"}", CONTINUATION) + code(1000),
        1000,
    ),
    "a character between fragments": (frame(b'"\xc3', fin=False) + frame(b'\xa4"', CONTINUATION) + code(1000), 1000),
}


@pytest.fixture(scope="module")
def client():
    with whole_server(websocket_max_message=SIZE) as client:
        yield client


def connect(client) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(client.url.rpartition(":")[2])), timeout=20)


def opened(sock: socket.socket) -> bytes:
    """Read the answer to the handshake; return what came behind it."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = sock.recv(65536)
        assert part, received
        received += part
    head, _, rest = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    return rest


def closing(sock: socket.socket, received: bytes = b"") -> int:
    """Read all frames to the end of the connection; return the code of the last one, a close frame (1005: without one)."""
    while part := sock.recv(65536):
        received += part
    last = b""
    while received:
        size, start = received[1], 2
        assert size < 127, "a frame of the server is longer than this test"
        if size == 126:
            size, start = int.from_bytes(received[2:4]), 4
        last, received = received[: start + size], received[start + size :]
    assert last[:1] == b"\x88", last
    return int.from_bytes(last[2:4]) if last[1] else 1005


@pytest.mark.parametrize("kind", [*BROKEN, *FINE])
def test_the_end_is_a_close_frame(client, kind):
    sent, expected = (BROKEN | FINE)[kind]
    with connect(client) as sock:
        sock.sendall(HEAD)
        received = opened(sock)
        sock.sendall(sent)
        assert closing(sock, received) == expected


@pytest.mark.parametrize("kind", BROKEN)
def test_a_client_that_goes_on_writing_sees_it(client, kind):
    """It is no reset that it gets: that would come before the close frame, and in its place."""
    sent, expected = BROKEN[kind]
    with connect(client) as sock:
        sock.sendall(HEAD)
        received = opened(sock)
        sock.sendall(sent + frame(b"{}") * 1000)
        for _ in range(20):
            sock.sendall(b"\0" * 50_000)
        assert closing(sock, received) == expected


@pytest.mark.parametrize("kind", BROKEN)
def test_frames_behind_the_handshake_are_told_as_well(client, kind):
    """Whoever does not wait for the answer to the handshake gets that first, then the close frame."""
    sent, expected = BROKEN[kind]
    with connect(client) as sock:
        sock.sendall(HEAD + sent + frame(b"{}"))
        assert closing(sock, opened(sock)) == expected


def test_a_message_behind_the_handshake_is_answered(client):
    message = json.dumps({"type": "response.create", "model": "scripted", "input": "hi", "pad": "x" * 20_000}).encode()
    with connect(client) as sock:
        sock.sendall(HEAD + frame(message) + frame(b"nonsense"))
        received = opened(sock)
        while b"response.completed" not in received or b'"type":"error"' not in received:
            part = sock.recv(65536)
            assert part, received
            received += part


def test_a_client_that_never_closes_is_closed(client, monkeypatch):
    monkeypatch.setattr("antiphon.server.ws.uvicorn_protocol.LAST_WRITE", 0.2)
    with connect(client) as sock:
        sock.sendall(HEAD)
        opened(sock)
        sock.sendall(frame(b"{}", 3))
        assert sock.recv(1000)[:1] == b"\x88" and sock.recv(1000) == b""
        sent = iter(lambda: sock.sendall(b"x" * 100_000), ...)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            deque(sent, maxlen=0)
