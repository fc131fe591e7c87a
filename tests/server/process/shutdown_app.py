"""An application for `test_shutdown.py`, loaded by name in processes of its own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from antiphon.config import Config
from antiphon.errors import ConfigError
from antiphon.server.asgi import AntiphonApp
from antiphon.server.auth.authenticator import authenticator, callers
from antiphon.server.auth.hosts import Hosts
from antiphon.server.http.messages import Reply, Request, json_reply
from antiphon.server.http.router import RouteTable

log = logging.getLogger("tests")


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    log.info("entered")
    yield
    log.info("left")


@asynccontextmanager
async def broken() -> AsyncIterator[None]:
    raise ConfigError("The store is locked.")
    yield


def build(config: Config, lifespan=lifespan) -> AntiphonApp:
    forced = asyncio.Event()

    async def pid(request: Request) -> Reply:
        return json_reply({"pid": os.getpid()})

    async def finite(request: Request) -> None:
        sink = await request.stream()
        for _ in range(40):
            await sink.write(b"data: more\n\n")
            await asyncio.sleep(0.02)
        await sink.write(b"data: [DONE]\n\n")
        await sink.close()

    async def endless(request: Request) -> None:
        sink = await request.stream()
        while not forced.is_set():
            await sink.write(b"data: more\n\n")
            await asyncio.sleep(0.02)
        await sink.write(b"data: failed\n\ndata: [DONE]\n\n")
        await sink.close()

    async def stubborn(request: Request) -> None:
        sink = await request.stream()
        while True:
            await sink.write(b"data: more\n\n")
            await asyncio.sleep(0.02)

    router = RouteTable()
    router.add("GET", "/pid", pid)
    router.add("GET", "/finite", finite)
    router.add("GET", "/endless", endless)
    router.add("GET", "/stubborn", stubborn)
    return AntiphonApp(router, authenticator(callers([]), hosts=Hosts(["*"])), lifespan=lifespan, on_force=forced.set)


def build_broken(config: Config) -> AntiphonApp:
    return build(config, broken)
