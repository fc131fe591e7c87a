"""What a WebSocket connection may keep, what it does with hostile messages, and that it gives its memory back."""

from __future__ import annotations

import gc
import json
import socket
import time
import zlib

import pytest
from websockets.exceptions import ConnectionClosed

from antiphon.errors import APIError
from antiphon.server.ws.budget import Budgets
from tests.bounds import bound
from tests.server.http.test_framing import KEY, UPGRADE, VERSION
from tests.server.whole import turn, whole_server

pytestmark = pytest.mark.slow

DEEP = "[" * 100_000
SMALL = {
    "websocket_compression": True,
    "websocket_max_message": 200_000,
    "websocket_queue": 300_000,
    "websocket_owner_bytes": 500_000,
}


@pytest.fixture(scope="module")
def client():
    with whole_server(**SMALL) as client:
        yield client


HOSTILE = {
    "deep": '{"type":"response.create","stream_id":"s","input":' + DEEP,
    "deep and whole": '{"type":"response.create","stream_id":"s","input":' + DEEP[:50_000] + "]" * 50_000 + "}",
    "deep objects": '{"stream_id":"s","type":"response.create","input":' + '{"a":' * 20_000 + "1" + "}" * 20_001,
    "deep tools": '{"type":"response.create","stream_id":"s","model":"scripted","input":"x","tools":'
    + DEEP[:50_000]
    + "]" * 50_000
    + "}",
    "deep type": '{"stream_id":"s","type":' + DEEP[:50_000],
    "not JSON": '{"stream_id":"s", what',
    "a number of 5,000 digits": '{"type":"response.create","stream_id":"s","generate":' + "9" * 5000 + "}",
    "a type that is no text": '{"type":5,"stream_id":"s"}',
    "a type of 100 kB": '{"stream_id":"s","type":"' + "x" * 100_000 + '"}',
    "steering of no response": '{"type":"response.steer","stream_id":"s"}',
    "steering with wrong types": '{"type":"response.steer","stream_id":"s","previous_response_id":5,"input":5}',
    "deep steering": '{"type":"response.steer","stream_id":"s","previous_response_id":"r","input":' + DEEP[:50_000],
    "no model": '{"type":"response.create","stream_id":"s"}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_message_is_an_error_event(client, kind):
    with client.websocket() as connection:
        connection.send(HOSTILE[kind])
        event = json.loads(connection.recv(timeout=20))
        assert event["type"] in ("error", "response.steer.failed"), event
        if event["type"] == "error":
            assert event["stream_id"] == "s" and event["status"] in (400, 404)
            assert event["error"]["message"] and len(event["error"]["message"]) < 500
        assert turn(connection, model="scripted", input="hi")[-1]["type"] == "response.completed"


@pytest.mark.parametrize(
    "message",
    [
        b"\xff",
        b'{"type":"\xff"}',
        b'{"type":"response.create","model":"scripted","input":"\xff"}',
        b'{"type":"response.steer","previous_response_id":"\xff","input":"x"}',
    ],
)
def test_bytes_that_are_no_utf_8_are_an_error_event(client, message):
    with client.websocket() as connection:
        connection.send(message)
        assert json.loads(connection.recv(timeout=20))["type"] == "error"
        assert turn(connection, model="scripted", input="hi")[-1]["type"] == "response.completed"
    with client.websocket() as connection:
        connection.send(message, text=True)
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(timeout=20)
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1007  # RFC 6455, 8.1


def test_a_long_stream_id_is_refused(client):
    with client.websocket() as connection:
        event = turn(connection, model="scripted", input="hi", stream_id="x" * 257)[-1]
        assert event["type"] == "error" and event["error"]["param"] == "stream_id"


def test_what_waits_on_a_connection_is_bounded(client):
    with client.websocket() as connection:
        for _ in range(6):
            body = {
                "type": "response.create",
                "model": "scripted",
                "stream_id": "s",
                "input": "/delay 0.5\n" + "x" * 90_000,
            }
            connection.send(json.dumps(body))
        events = []
        while sum(event["type"] in ("response.completed", "error") for event in events) < 6:
            events.append(json.loads(connection.recv(timeout=20)))
        errors = [event for event in events if event["type"] == "error"]
        assert len(errors) == 3 and all(event["stream_id"] == "s" and event["status"] == 429 for event in errors)
        assert "websocket_queue" in errors[0]["error"]["message"]
        assert turn(connection, model="scripted", input="x" * 150_000)[-1]["type"] == "response.completed"


def test_a_message_that_is_too_large_closes_with_1009(client):
    for text in ("x" * 250_000, "x" * 20_000_000):
        with client.websocket() as connection:
            connection.send('{"a":"' + text)
            with pytest.raises(ConnectionClosed) as caught:
                connection.recv(timeout=20)
            assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009


def test_owners_share_a_bound():
    budgets = Budgets(connection=100, owner=150)
    one, two, other = budgets.open("ann"), budgets.open("ann"), budgets.open("bob")
    one.reserve(100)
    with pytest.raises(APIError) as caught:
        one.reserve(1)
    assert caught.value.status == 429 and "websocket_queue" in caught.value.message
    two.reserve(50)
    with pytest.raises(APIError) as caught:
        two.reserve(1)
    assert "websocket_owner_bytes" in caught.value.message
    other.reserve(100)
    one.close()
    two.reserve(50)
    assert not two.over
    two.keep(100)
    assert two.over
    del one, two, other, caught
    assert not budgets._owners


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, packed: bool = False) -> bytes:
    """Return a client's frame, masked with zeros."""
    head = bytes([opcode | (128 if fin else 0) | (64 if packed else 0)])
    size = len(payload)
    if size < 126:
        return head + bytes([128 | size]) + b"\0\0\0\0" + payload
    return (
        head + (b"\xfe%b" % size.to_bytes(2) if size < 65536 else b"\xff%b" % size.to_bytes(8)) + b"\0\0\0\0" + payload
    )


def connect(client, extensions: bytes = b"") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", int(client.url.rpartition(":")[2])), timeout=20)
    sock.sendall(b"GET /v1/responses HTTP/1.1\r\nhost: localhost\r\n" + UPGRADE + VERSION + KEY + extensions + b"\r\n")
    assert sock.recv(4096).startswith(b"HTTP/1.1 101")
    return sock


def closed_with(sock: socket.socket) -> int:
    """Read to the end and return the code of the close frame."""
    received = b""
    try:
        while part := sock.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return int.from_bytes(received[received.rindex(b"\x88") + 2 :][:2])


def test_fragments_are_counted(client):
    with connect(client) as sock:
        sock.sendall(frame(b"x", fin=False) + frame(b"", 0, fin=False) * 5000)
        assert closed_with(sock) == 1008


def test_a_packed_bomb_closes_with_1009(client):
    packer = zlib.compressobj(wbits=-12)
    bomb = packer.compress(b" " * 50_000_000) + packer.flush(zlib.Z_SYNC_FLUSH)
    with connect(client, b"sec-websocket-extensions: permessage-deflate; client_max_window_bits=12\r\n") as sock:
        began = time.monotonic()
        sock.sendall(frame(bomb[:-4], packed=True))
        assert closed_with(sock) == 1009
        assert time.monotonic() - began < bound(5)


def test_a_client_that_sends_and_never_reads_is_not_read(client):
    """Each message is answered by an error; they are not gathered without end."""
    with connect(client) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.settimeout(2)
        messages, sent = frame(b"x") * 5000, 0
        try:
            while sent < 5_000_000:  # 700,000 messages: 200 MB of answers
                sock.sendall(messages)
                sent += len(messages)
        except TimeoutError:
            return
    raise AssertionError("everything was read")


def test_a_connection_leaves_nothing_for_the_collector(client):
    def one() -> None:
        with client.websocket() as connection:
            assert turn(connection, model="scripted", input="hi", store=False)[-1]["type"] == "response.completed"

    def garbage() -> dict[str, int]:
        """Return how many objects of ours and of the libraries only the collector finds."""
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(5):
                one()
            time.sleep(0.3)
            gc.collect()
            names = [f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
        return {
            name: names.count(name)
            for name in names
            if name.startswith(("antiphon.server", "uvicorn.", "websockets.server"))
        }

    gc.disable()
    try:
        one()
        assert garbage() == {}
    finally:
        gc.enable()
