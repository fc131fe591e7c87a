"""Answers that break off, are no HTTP, are too large, or do not come in time."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.errors import BackendError
from antiphon.net.http.client import Timeouts
from tests.net.http_servers import hang, pair

from .upstream import Call, until

# What breaks


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\npart",
    ],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_that_breaks_off(head: bytes, reset: bool) -> None:
    seen = asyncio.Event()

    async def breaks(call: Call) -> None:
        await call.raw(head)
        await seen.wait()
        call.reset() if reset else call.hang_up()

    async with pair(breaks) as (client, _):
        response = await client.send("GET", "/")
        assert await response.read() == b"part"
        seen.set()
        for _ in range(2):
            with pytest.raises(BackendError, match="ended early") as caught:
                await response.read()
            assert (caught.value.status, caught.value.code) == (502, "backend_error")
        await until(lambda: client.connections == 0)


async def test_what_arrived_before_the_break_can_be_read() -> None:
    async def breaks(call: Call) -> None:
        await call.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart")
        call.hang_up()

    async with pair(breaks) as (client, _):
        response = await client.send("GET", "/")
        await asyncio.sleep(0.05)
        assert await response.read() == b"part"
        with pytest.raises(BackendError):
            await response.read()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nbad header line\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"a" * 100_000,
    ],
)
async def test_an_answer_that_is_not_http(answer: bytes) -> None:
    async def send(call: Call) -> None:
        await call.raw(answer)
        await asyncio.sleep(5)

    async with pair(send) as (client, _):
        with pytest.raises(BackendError) as caught:
            await client.send("GET", "/")
        assert caught.value.status == 502
        await until(lambda: client.connections == 0)


async def test_a_second_answer_that_nobody_asked_for_closes_the_connection() -> None:
    async def twice(call: Call) -> None:
        one = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
        await call.raw(one + b"ok" + one + b"no")

    async with pair(twice) as (client, upstream):
        for _ in range(2):
            assert await (await client.send("GET", "/")).read_all() == b"ok"
        assert upstream.accepted == 2


async def test_a_body_that_is_too_large() -> None:
    async def large(call: Call) -> None:
        await call.answer(b"x" * 1_000_000)

    async with pair(large) as (client, _):
        response = await client.send("GET", "/")
        with pytest.raises(BackendError, match="too large"):
            await response.read_all(limit=10_000)
        await until(lambda: client.connections == 0)


# Time


async def test_no_head_in_time() -> None:
    async with pair(hang, Timeouts(first_byte=0.1, idle=5)) as (client, upstream):
        with pytest.raises(BackendError) as caught:
            await client.send("GET", "/")
        assert (caught.value.status, caught.value.code) == (504, "backend_timeout")
        await asyncio.wait_for(upstream.calls[0].gone.wait(), 5)


async def test_no_first_byte_of_the_body_in_time() -> None:
    async def head_only(call: Call) -> None:
        await call.start()
        await asyncio.sleep(5)

    async with pair(head_only, Timeouts(first_byte=0.1, idle=5)) as (client, _):
        response = await client.send("GET", "/")
        with pytest.raises(BackendError) as caught:
            await response.read()
        assert caught.value.status == 504


async def test_silence_in_the_middle() -> None:
    async def stops(call: Call) -> None:
        await call.start()
        for _ in range(4):
            await call.chunk(b"x")
            await asyncio.sleep(0.08)
        await asyncio.sleep(5)

    async with pair(stops, Timeouts(first_byte=5, idle=0.2)) as (client, _):
        response = await client.send("GET", "/")
        found = b""
        with pytest.raises(BackendError) as caught:  # noqa: PT012 (what was read before counts)
            while True:
                found += await response.read()
        assert found == b"xxxx"
        assert caught.value.code == "backend_timeout"


@pytest.mark.slow
async def test_a_long_wait_for_the_first_byte_is_not_cut_by_the_idle_timeout() -> None:
    async def slow(call: Call) -> None:
        await asyncio.sleep(0.3)
        await call.answer(b"x")

    async with pair(slow, Timeouts(first_byte=5, idle=0.05)) as (client, _):
        assert await (await client.send("GET", "/")).read_all() == b"x"
        assert await (await client.send("GET", "/")).read_all() == b"x"
