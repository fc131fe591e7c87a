"""Scripted HTTP servers for the tests of the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from antiphon.net.http.address import parse_url
from antiphon.net.http.client import HttpClient, HttpResponse, Timeouts

from .upstream import Call, Handler, Upstream, running

QUICK = Timeouts(connect=2, first_byte=2, idle=2)


@asynccontextmanager
async def pair(
    handler: Handler, timeouts: Timeouts = QUICK, max_idle: int = 8
) -> AsyncIterator[tuple[HttpClient, Upstream]]:
    async with running(handler) as upstream:
        client = HttpClient(parse_url(upstream.url), timeouts=timeouts, max_idle=max_idle)
        try:
            yield client, upstream
        finally:
            await client.close()
            assert client.connections == 0


async def pieces(response: HttpResponse) -> list[bytes]:
    found = []
    while data := await response.read():
        found.append(data)
    return found


async def hello(call: Call) -> None:
    await call.answer({"path": call.path, "body": call.body.decode()})


async def hang(call: Call) -> None:
    await asyncio.sleep(60)
