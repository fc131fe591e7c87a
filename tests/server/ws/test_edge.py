"""WebSocket connections below the handler: handshake, refusals, compression, the end."""

from __future__ import annotations

import threading

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from antiphon.config import Config
from antiphon.server.asgi import AntiphonApp
from antiphon.server.auth.authenticator import authenticator, callers, owner_of
from antiphon.server.auth.hosts import Hosts
from antiphon.server.http.messages import ServerStopping
from antiphon.server.http.router import RouteTable
from tests.server.handlers import make_app
from tests.server.serving import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def url(serve, mode):
    return serve(make_app(keys=("k",)), mode=mode).url.replace("http", "ws")


KEY = {"authorization": "Bearer k"}


def test_messages_go_both_ways(url, mode):
    with connect(url + "/v1/ws?x=1", additional_headers=KEY) as socket:
        assert socket.response.headers["x-request-id"].startswith("req_")
        for message in ("hello", "ü" * 100_000):
            socket.send(message)
            assert socket.recv() == f"{owner_of(b'k')}:{message}"
        socket.send(b"bytes")
        assert socket.recv().endswith(":bytes")
        assert bool(socket.protocol.extensions) is (mode == "asgi")  # unpacking is not offered, unless it is wished


REFUSED = [
    ("/ws", {}, 401, "missing_api_key"),
    ("/ws", {"x-api-key": "wrong"}, 401, "invalid_api_key"),
    ("/nothing", KEY, 404, "not_found"),
    ("/echo", KEY, 404, "not_found"),
    ("/off", KEY, 426, "upgrade_required"),
]


@pytest.mark.parametrize(("path", "headers", "status", "code"), REFUSED)
def test_refusals_have_the_one_shape(url, path, headers, status, code):
    with pytest.raises(InvalidStatus) as caught:
        connect(url + path, additional_headers={**headers, "x-request-id": "mine"})
    response = caught.value.response
    assert response.status_code == status and response.headers["x-request-id"] == "mine"
    assert response.headers["content-type"] == "application/json"
    assert f'"code":"{code}"'.encode() in response.body


def test_switched_off_is_a_426(serve):
    served = serve(make_app(), Config(websocket=False, shutdown_grace=0))
    with pytest.raises(InvalidStatus) as caught:
        connect(served.url.replace("http", "ws") + "/ws")
    assert caught.value.response.status_code == 426
    assert b'"code":"upgrade_required"' in caught.value.response.body


def test_foreign_pages_get_no_socket(plain):
    with pytest.raises(InvalidStatus) as caught:
        connect(plain().url.replace("http", "ws") + "/ws", origin="https://evil.example")
    assert caught.value.response.status_code == 403


def test_a_bug_closes_with_1011(url, caplog):
    with connect(url + "/ws", additional_headers=KEY) as socket:
        socket.send("boom")
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1011
    assert any("unexpected error" in record.getMessage() for record in caplog.records)


def test_a_stopping_server_lets_the_handler_finish(serve):
    stopping = threading.Event()

    async def handler(socket) -> None:
        try:
            await socket.receive()
        except ServerStopping:
            stopping.set()
            await socket.send(b"last words")
            raise

    router = RouteTable()
    router.websocket("/ws", handler)
    served = serve(AntiphonApp(router, authenticator(callers([]), hosts=Hosts(["*"]))), Config(shutdown_grace=5))
    with connect(served.url.replace("http", "ws") + "/ws") as socket:
        served.server.should_exit = True
        assert socket.recv(timeout=20) == "last words"
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=20)
    assert stopping.is_set() and caught.value.rcvd is not None and caught.value.rcvd.code == 1012


def test_an_upgrade_behind_an_unanswered_request_is_dropped(serve):
    served = serve(make_app())
    raw = served.exchange(
        b"GET /timer HTTP/1.1\r\nhost: a\r\n\r\nGET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b"101 " not in raw


def test_connections_are_forgotten(url, serve):
    served = serve(make_app())
    with connect(served.url.replace("http", "ws") + "/ws"):
        wait_until(lambda: len(served.server.server_state.connections) == 1)
    wait_until(lambda: not served.server.server_state.connections)
