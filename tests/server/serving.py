"""Real servers for tests: an AntiphonApp on a real socket, in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import msgspec
import uvicorn

from antiphon.config import Config
from antiphon.server.asgi import AntiphonApp
from antiphon.server.process.run import make_server
from antiphon.server.process.sockets import listen

MODES = ("direct", "asgi")


class Served:
    """A running server."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def connect(self) -> socket.socket:
        """Open a raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def exchange(self, data: bytes) -> bytes:
        """Send bytes and return all that comes until the server closes."""
        with self.connect() as sock:
            sock.sendall(data)
            return read_all(sock)


def read_all(sock: socket.socket) -> bytes:
    """Read to the end."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


@contextlib.contextmanager
def serving(app: AntiphonApp, config: Config | None = None, mode: str = "direct") -> Iterator[Served]:
    """Run an app: `direct` as in production, `asgi` on uvicorn's own protocol with h11."""
    config = config or Config(shutdown_grace=0)
    sockets = listen("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    server = make_server(app, config) if mode == "direct" else plain_server(app, config)
    thread = threading.Thread(target=server.run, args=[sockets])
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        yield Served(server, port)
    finally:
        server.should_exit = True
        thread.join()


def plain_server(app: AntiphonApp, config: Config) -> uvicorn.Server:
    """Return uvicorn as anybody would start it: nothing of ours below the ASGI application."""

    async def bare(scope, receive, send):  # hides the AntiphonApp from what looks for it
        await app(scope, receive, send)

    settings = uvicorn.Config(
        bare,
        http="h11",
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        timeout_graceful_shutdown=msgspec.convert(config.shutdown_grace + 1, int, strict=False),
    )
    return uvicorn.Server(settings)


@contextlib.contextmanager
def serving_any(app) -> Iterator[str]:
    """Run any ASGI application on uvicorn as it is; yield its URL."""
    sockets = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=[sockets])
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def wait_until(condition, seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
