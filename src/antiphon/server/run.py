"""Run the server: sockets, signals, one process or several; an orderly end (exit code 0)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import cast

import uvicorn

from antiphon.config import Config
from antiphon.errors import ConfigError
from antiphon.server.asgi import AntiphonApp
from antiphon.server.protocol import DirectProtocol
from antiphon.server.ws_protocol import GracefulWebSocket

AppFactory = Callable[[Config], AntiphonApp]

LAST_WORDS = 5.0
"""Seconds for running responses to say that they failed, after the grace period."""

log = logging.getLogger("antiphon.server")


class GracefulServer(uvicorn.Server):
    """uvicorn's server with a grace period, after which the application ends its responses itself.

    A second signal ends the grace period, a third one leaves at once.
    """

    def __init__(self, config: uvicorn.Config, app: AntiphonApp, grace: float) -> None:
        super().__init__(config)
        self._app = app
        self._grace = grace
        self._hurry = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Count the signals; unlike uvicorn, don't raise them again at the end: a wish to stop is no failure."""
        self.force_exit = self._hurry.is_set()
        if self.should_exit:
            self._hurry.set()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let what runs come to its end, or make it."""
        forcing = asyncio.create_task(self._force())
        try:
            await super().shutdown(sockets)
        finally:
            forcing.cancel()

    async def _force(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self._grace)
        self._app.force()


def make_server(app: AntiphonApp, config: Config) -> GracefulServer:
    """Return a server that is ready to run on given sockets."""
    settings = uvicorn.Config(
        app,
        http=DirectProtocol,
        ws=GracefulWebSocket if config.websocket else "none",
        ws_max_size=config.max_body,
        lifespan="on",
        interface="asgi3",
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=cast(int, config.shutdown_grace + LAST_WORDS),
    )
    return GracefulServer(settings, app, config.shutdown_grace)


def load_factory(name: str) -> AppFactory:
    """Return the function that `module:function` names."""
    module, _, function = name.partition(":")
    return cast(AppFactory, vars(importlib.import_module(module))[function])


def serve(app_factory: str, config: Config) -> int:
    """Serve until a signal comes; return the exit code. `app_factory` is `module:function`, Config → AntiphonApp.

    Raises ConfigError where the address can't be had.
    """
    if config.workers > 1:
        from antiphon.server.workers import supervise

        return supervise(app_factory, config)
    sockets = listen(config.host, config.port)
    announce(sockets)
    return run(load_factory(app_factory)(config), config, sockets)


def run(app: AntiphonApp, config: Config, sockets: Sequence[socket.socket]) -> int:
    """Serve on sockets until a signal comes; return the exit code."""
    server = make_server(app, config)
    gc.freeze()  # what is there now stays: the collector need not look at it again and again (4 % of a short request)
    try:
        server.run(list(sockets))
    except SystemExit:  # what uvicorn does when the application can't start; it has said why
        return 1
    return 1 if app.failure else 0


def listen(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Return bound sockets, one for each address of `host`. Raises ConfigError.

    With `shared`, other processes may bind the same port (SO_REUSEPORT): the kernel deals connections out.
    """
    try:
        addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"The address {host!r} can't be resolved: {error.strerror}.") from None
    sockets: list[socket.socket] = []
    for family, kind, proto, _, address in dict.fromkeys(addresses):
        number = port or (sockets[0].getsockname()[1] if sockets else 0)
        sockets.append(_bind(family, kind, proto, (address[0], number, *address[2:]), shared))
    return sockets


def _bind(family: int, kind: int, proto: int, address: tuple[object, ...], shared: bool) -> socket.socket:
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise ConfigError(f"Can't listen on {address[0]} port {address[1]}: {error.strerror}.") from None
    sock.setblocking(False)
    sock.set_inheritable(True)
    return sock


def announce(sockets: Sequence[socket.socket]) -> None:
    """Log where the server listens."""
    for sock in sockets:
        host, port = sock.getsockname()[:2]
        log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
