"""Run the server: sockets, signals, one process or several; an orderly end (exit code 0)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import uvicorn

from antiphon.config import Config
from antiphon.runtime.heap import keep_large_blocks_apart, trim_forever
from antiphon.runtime.open_files import raise_limit
from antiphon.server.asgi import AntiphonApp
from antiphon.server.process.settings_source import WATCH_INTERVAL, Source, reload
from antiphon.server.process.sockets import Listeners, open_listeners
from antiphon.server.process.tls import ServerTls, server_tls

AppFactory = Callable[[Config], AntiphonApp]

LAST_WORDS = 5.0
"""Seconds for running responses to say that they failed, after the grace period."""

DIRECT_WITH = "0.54"
"""The minor version of uvicorn on whose insides `server/http/uvicorn_protocol.py` and `server/ws/uvicorn_protocol.py` build."""

BACKLOG = 16_384
"""Connections that wait to be accepted; the system has a limit of its own (`net.core.somaxconn`)."""

FEW_FILES = 4096
"""Open files below which a line of the log tells how many there may be."""

COLLECT_AFTER = (10_000, 20, 20)
"""New objects before the collector looks at them: hardly any are in cycles, and a look at each 700th costs 2 %."""

log = logging.getLogger("antiphon.server.process")


class GracefulServer(uvicorn.Server):
    """uvicorn's server with a grace period, after which the application ends its responses itself.

    A second signal ends the grace period, a third one leaves at once.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        app: AntiphonApp,
        grace: float,
        source: Source | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        super().__init__(config)
        self._tls = tls
        self._app = app
        self._grace = grace
        self._source = source
        self._hurry = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        if source is not None:
            app.reload_settings = self._reload_now
        self._pending: Config | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Count the signals; unlike uvicorn, don't raise them again at the end: a wish to stop is no failure."""
        self.force_exit = self._hurry.is_set()
        if self.should_exit:
            self._hurry.set()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and to heed SIGHUP and the settings' file."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._tasks.append(asyncio.create_task(trim_forever()))
        self._take_pending()
        if self._source is None:
            return
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup, self._source)
        if self._source.watches:
            self._tasks.append(asyncio.create_task(self._watch(self._source)))

    def reload_soon(self, config: Config) -> None:
        """Take other settings over; may be called from other threads."""
        self._pending = config
        if self._loop is not None:  # else `startup` looks
            self._loop.call_soon_threadsafe(self._take_pending)

    def _take_pending(self) -> None:
        config, self._pending = self._pending, None
        if config is not None:
            self._reload(lambda: config)

    def _on_hangup(self, source: Source) -> None:
        if source.hung_up():
            self.handle_exit(signal.SIGTERM, None)
        else:
            self._reload(source.load)

    def _reload_now(self) -> bool:
        """Do what SIGHUP does, at a request. Raises ConfigError."""
        assert self._source is not None
        self._app.reload(self._source.load())
        if self._tls is not None:
            self._tls.renew()
        return True

    def _reload(self, load: Callable[[], Config]) -> None:
        if not self.should_exit:
            reload(load, self._app.reload)
            if self._tls is not None:
                self._tls.renew()

    async def _watch(self, source: Source) -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            if source.touched():
                self._reload(source.load)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let what runs come to its end, or make it."""
        for task in self._tasks:
            task.cancel()
        if running := len(self.server_state.tasks):
            log.warning(
                "stopping: waiting up to %g s for %d running request%s; a second signal (Ctrl-C) ends them now",
                self._grace,
                running,
                "" if running == 1 else "s",
            )
        forcing = asyncio.create_task(self._force())
        try:
            await super().shutdown(sockets)
        finally:
            forcing.cancel()

    async def _force(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                await self._hurry.wait()
        self._app.force()


def protocols(websocket: bool) -> dict[str, Any]:
    """Return uvicorn's settings `http` and `ws`: our protocols, or its own where its version is another one."""
    if uvicorn.__version__.startswith(f"{DIRECT_WITH}."):
        from antiphon.server.http.uvicorn_protocol import DirectProtocol
        from antiphon.server.ws.uvicorn_protocol import GracefulWebSocket

        return {"http": DirectProtocol, "ws": GracefulWebSocket if websocket else "none"}
    log.warning(
        "uvicorn %s is not supported for direct socket writes (supported: %s.*); serving through plain ASGI, which is slower",
        uvicorn.__version__,
        DIRECT_WITH,
    )
    return {"http": "httptools", "ws": "websockets-sansio" if websocket else "none"}


def make_server(app: AntiphonApp, config: Config, source: Source | None = None) -> GracefulServer:
    """Return a server that is ready to run on given sockets. Raises ConfigError for a certificate that cannot be used."""
    tls = server_tls(config)
    settings = uvicorn.Config(
        app,
        **protocols(config.websocket),
        ws_max_size=config.websocket_max_message,
        ws_per_message_deflate=config.websocket_compression,
        backlog=BACKLOG,
        lifespan="on",
        interface="asgi3",
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=cast(int, config.shutdown_grace + LAST_WORDS),
    )
    if tls is not None:
        settings.load()
        settings.ssl = tls.context
    return GracefulServer(settings, app, config.shutdown_grace, source, tls)


def load_factory(name: str) -> AppFactory:
    """Return the function that `module:function` names."""
    module, _, function = name.partition(":")
    return cast(AppFactory, vars(importlib.import_module(module))[function])


def serve(app_factory: str, config: Config, source: Source | None = None) -> int:
    """Serve until a signal comes; return the exit code. `app_factory` is `module:function`, Config → AntiphonApp.

    `source` is where settings are loaded from again. Raises ConfigError where the address can't be had.
    """
    if config.workers > 1:
        from antiphon.server.process.supervisor import supervise

        return supervise(app_factory, config, source)
    listeners = open_listeners(config, os.environ)
    listeners.announce(tls=bool(config.tls_cert))
    app = load_factory(app_factory)(config)
    return run(app, make_server(app, config, source), listeners)


def run(app: AntiphonApp, server: GracefulServer, listeners: Listeners) -> int:
    """Serve on sockets until a signal comes; return the exit code."""
    keep_large_blocks_apart()
    files = raise_limit()
    if files is not None and files < FEW_FILES:
        log.warning("this process may open %d files, two for each stream: raise LimitNOFILE, or `ulimit -Hn`", files)
    gc.freeze()  # what is there now stays: the collector need not look at it again and again (4 % of a short request)
    gc.set_threshold(*COLLECT_AFTER)
    gc.enable()
    try:
        server.run(list(listeners.sockets))
    except SystemExit:  # what uvicorn does when the application can't start; it has said why
        return 1
    finally:
        listeners.remove()
    return 1 if app.failure else 0
