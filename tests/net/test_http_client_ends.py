"""How a call of the HTTP client ends: slow readers, abort, release, cancellation, close."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.errors import BackendError
from antiphon.net.http import protocol
from antiphon.net.http.client import Timeouts
from antiphon.net.http.protocol import UNREAD_LIMIT
from tests.net.http_servers import hang, hello, pair, pieces

from .upstream import Call, until

# Pressure


@pytest.mark.slow
async def test_a_slow_reader_stops_the_backend() -> None:
    written = 0

    async def flood(call: Call) -> None:
        nonlocal written
        await call.start()
        for _ in range(1000):
            await call.chunk(b"x" * 64_000)
            written += 64_000
        await call.end()

    async with pair(flood, Timeouts(first_byte=0.3, idle=0.3)) as (client, _):
        response = await client.send("GET", "/")
        await asyncio.sleep(0.6)  # longer than the timeouts: they do not run while the reader is the slow one
        assert response.size < UNREAD_LIMIT + 512 * 1024
        assert written < 40_000_000
        assert sum(map(len, await pieces(response))) == 64_000_000


# Leaving


async def test_abort_closes_at_once() -> None:
    async def endless(call: Call) -> None:
        await call.start()
        await call.chunk(b"x")
        await hang(call)

    async with pair(endless) as (client, upstream):
        response = await client.send("GET", "/")
        await response.read()
        response.abort()
        response.abort()
        await asyncio.wait_for(upstream.calls[0].gone.wait(), 5)
        with pytest.raises(BackendError):
            await response.read()
        assert client.connections == 0


async def test_abort_after_the_end_keeps_the_connection() -> None:
    async with pair(hello) as (client, upstream):
        response = await client.send("GET", "/")
        await response.read_all()
        following = await client.send("GET", "/")
        response.abort()
        assert await following.read_all()
        assert upstream.accepted == 1


async def test_release_waits_a_moment_for_the_end_so_that_the_connection_is_kept() -> None:
    async def late(call: Call) -> None:
        await call.start()
        await call.chunk(b"done")
        await asyncio.sleep(0.05)
        await call.chunk(b"more")
        await call.end()

    async with pair(late) as (client, upstream):
        for _ in range(2):
            response = await client.send("GET", "/")
            assert await response.read() == b"done"
            response.release()
            response.release()
            assert await response.read() == b""
            await asyncio.sleep(0.1)
        assert upstream.accepted == 1


async def test_release_closes_when_the_end_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.05)

    async def endless(call: Call) -> None:
        await call.start()
        while True:
            await call.chunk(b"x" * 100_000)

    async with pair(endless) as (client, upstream):
        response = await client.send("GET", "/")
        await asyncio.sleep(0.05)
        response.release()
        await asyncio.wait_for(upstream.calls[0].gone.wait(), 5)
        await until(lambda: client.connections == 0)


async def test_cancelling_the_wait_for_the_head_closes() -> None:
    async with pair(hang) as (client, upstream):
        waiting = asyncio.ensure_future(client.send("GET", "/"))
        await until(lambda: len(upstream.calls) == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(upstream.calls[0].gone.wait(), 5)
        assert client.connections == 0


async def test_a_cancelled_read_can_be_read_on_or_aborted() -> None:
    go_on = asyncio.Event()

    async def waits(call: Call) -> None:
        await call.start()
        await go_on.wait()
        await call.chunk(b"late")
        await hang(call)

    async with pair(waits) as (client, upstream):
        response = await client.send("GET", "/")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.read(), 0.05)
        go_on.set()
        assert await response.read() == b"late"
        response.abort()
        await asyncio.wait_for(upstream.calls[0].gone.wait(), 5)


async def test_close_ends_what_is_in_the_making() -> None:
    async with pair(hang) as (client, upstream):
        waiting = asyncio.ensure_future(client.send("GET", "/"))
        await until(lambda: len(upstream.calls) == 1)
        await client.close()
        with pytest.raises(BackendError):
            await waiting
        with pytest.raises(BackendError):
            await client.send("GET", "/")
