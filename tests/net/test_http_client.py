"""The HTTP client against a real server on the loopback."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from antiphon.errors import BackendError, ConfigError
from antiphon.net.http import protocol
from antiphon.net.http.address import Address, parse_url
from antiphon.net.http.client import HttpClient, HttpResponse, Timeouts
from antiphon.net.http.protocol import UNREAD_LIMIT

from .upstream import Call, Handler, Upstream, running, until

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


async def test_a_request_arrives_whole_and_its_answer_comes_back() -> None:
    async with running(hello) as upstream:
        client = HttpClient(parse_url(upstream.url), headers={"Authorization": "Bearer k", "x-extra": "1"})
        response = await client.send("POST", "/v1/x", b'{"a":1}')
        assert response.status == 200
        assert response.header(b"content-type") == b"application/json"
        assert await response.read_all() == b'{"path": "/v1/x", "body": "{\\"a\\":1}"}'
        headers = upstream.calls[0].headers
        assert headers["authorization"] == "Bearer k"
        assert headers["x-extra"] == "1"
        assert headers["accept-encoding"] == "identity"
        assert headers["content-type"] == "application/json"
        assert headers["host"] == f"127.0.0.1:{upstream.port}"
        await client.close()


async def test_connections_are_kept_and_reused() -> None:
    async with pair(hello) as (client, upstream):
        for _ in range(5):
            await (await client.send("GET", "/")).read_all()
        assert upstream.accepted == 1
        await asyncio.gather(*(client.send("GET", "/") for _ in range(3)))
        assert upstream.accepted == 3
        assert client.connections == 3


async def test_no_more_connections_are_kept_than_wanted() -> None:
    async with pair(hello, max_idle=2) as (client, _):
        await asyncio.gather(*(client.send("GET", "/") for _ in range(5)))
        await until(lambda: client.connections == 2)


async def test_a_stale_connection_is_replaced_once() -> None:
    async def once_per_connection(call: Call) -> None:
        if call.headers["host"] and upstream.accepted == 1 and len(upstream.calls) == 2:
            call.hang_up()
        else:
            await hello(call)

    async with pair(once_per_connection) as (client, upstream):
        await (await client.send("POST", "/", b"1")).read_all()
        response = await client.send("POST", "/", b"2")
        assert response.status == 200
        assert upstream.accepted == 2
        assert [call.body for call in upstream.calls] == [b"1", b"2", b"2"]


async def test_a_connection_that_the_server_closed_in_between_is_noticed() -> None:
    async with pair(hello) as (client, upstream):
        await (await client.send("GET", "/")).read_all()
        upstream.drop_connections()
        assert (await client.send("GET", "/")).status == 200


async def test_a_fresh_connection_that_closes_without_an_answer_is_not_tried_again() -> None:
    async def leave(call: Call) -> None:
        call.hang_up()

    async with pair(leave) as (client, upstream):
        with pytest.raises(BackendError, match="ended early") as caught:
            await client.send("POST", "/", b"1")
        assert caught.value.status == 502
        assert len(upstream.calls) == 1


async def test_nothing_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    client = HttpClient(Address(host="127.0.0.1", port=port))
    with pytest.raises(BackendError) as caught:
        await client.send("GET", "/")
    error = caught.value
    assert (error.status, error.code, error.retriable) == (503, "backend_unavailable", True)
    assert int(error.headers["Retry-After"]) >= 1
    assert str(port) not in error.message
    assert "127.0.0.1" not in error.message


async def test_a_name_that_does_not_resolve() -> None:
    client = HttpClient(Address(host="no-such-host.invalid", port=80))
    with pytest.raises(BackendError) as caught:
        await client.send("GET", "/")
    assert caught.value.status == 503


async def test_keys_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = HttpClient(
        Address(host="no-such-host.invalid", port=80), headers={"authorization": "Bearer sk-secret-value"}
    )
    with pytest.raises(BackendError):
        await client.send("POST", "/", b"prompt-text")
    assert caplog.text
    assert "sk-secret-value" not in caplog.text
    assert "prompt-text" not in caplog.text


async def test_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    async with running(hello, socket=path):
        client = HttpClient(parse_url("http://localhost/v1", path))
        assert (await client.send("POST", "/v1/x", b"{}")).status == 200
        await client.close()


# Bodies


async def test_chunks_that_have_arrived_come_as_one_piece() -> None:
    async def many(call: Call) -> None:
        await call.start()
        await call.raw(b"".join(b"3\r\nab%d\r\n" % n for n in range(9)))
        await call.end()

    async with pair(many) as (client, _):
        response = await client.send("GET", "/")
        await asyncio.sleep(0.05)
        assert await response.read() == b"".join(b"ab%d" % n for n in range(9))
        assert await response.read() == b""
        assert await response.read() == b""


async def test_pieces_come_as_they_arrive() -> None:
    go_on = asyncio.Event()

    async def slowly(call: Call) -> None:
        await call.start()
        await call.chunk(b"one")
        await go_on.wait()
        await call.chunk(b"two")
        await call.end()

    async with pair(slowly) as (client, _):
        response = await client.send("GET", "/")
        assert await response.read() == b"one"
        go_on.set()
        assert await pieces(response) == [b"two"]


async def test_a_body_without_length_ends_with_the_connection() -> None:
    async def plain(call: Call) -> None:
        await call.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it")
        call.hang_up()

    async with pair(plain) as (client, _):
        response = await client.send("GET", "/")
        assert await response.read_all() == b"all of it"
        await until(lambda: client.connections == 0)


async def test_http_1_0() -> None:
    async def old(call: Call) -> None:
        await call.raw(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        call.hang_up()

    async with pair(old) as (client, _):
        assert await (await client.send("GET", "/")).read_all() == b"hi"


async def test_connection_close_is_heeded() -> None:
    async def closing(call: Call) -> None:
        await call.answer(b"x", headers={"connection": "close"})

    async with pair(closing) as (client, upstream):
        for _ in range(2):
            assert await (await client.send("GET", "/")).read_all() == b"x"
        assert upstream.accepted == 2


async def test_no_content() -> None:
    async def nothing(call: Call) -> None:
        await call.raw(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with pair(nothing) as (client, upstream):
        for _ in range(2):
            response = await client.send("GET", "/")
            assert (response.status, await response.read()) == (204, b"")
        assert upstream.accepted == 1


async def test_informational_answers_are_passed_over() -> None:
    async def early(call: Call) -> None:
        await call.raw(b"HTTP/1.1 103 Early Hints\r\nx-hint: 1\r\n\r\n")
        await hello(call)

    async with pair(early) as (client, _):
        response = await client.send("GET", "/")
        assert response.status == 200
        assert response.header(b"x-hint") == b""
        assert await response.read_all()


async def test_redirects_are_not_followed() -> None:
    async def elsewhere(call: Call) -> None:
        await call.answer(b"", status=307, headers={"location": "/other"})

    async with pair(elsewhere) as (client, upstream):
        assert (await client.send("GET", "/")).status == 307
        assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
    ],
)
async def test_packed_bodies(encoding: str, pack: object) -> None:
    text = b"some text " * 5000
    assert callable(pack)
    packed: bytes = pack(text)

    async def answer(call: Call) -> None:
        await call.raw(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\ntransfer-encoding: chunked\r\n\r\n" % encoding.encode()
        )
        for start in range(0, len(packed), 7):
            await call.chunk(packed[start : start + 7])
        await call.end()

    async with pair(answer) as (client, _):
        assert await (await client.send("GET", "/")).read_all() == text


@pytest.mark.parametrize(("encoding", "body"), [("br", b"x"), ("gzip", b"not gzip")])
async def test_bodies_that_cannot_be_unpacked(encoding: str, body: bytes) -> None:
    async def answer(call: Call) -> None:
        await call.answer(body, headers={"content-encoding": encoding})

    async with pair(answer) as (client, _):
        with pytest.raises(BackendError) as caught:
            await (await client.send("GET", "/")).read_all()
        assert caught.value.status == 502


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


async def test_a_long_wait_for_the_first_byte_is_not_cut_by_the_idle_timeout() -> None:
    async def slow(call: Call) -> None:
        await asyncio.sleep(0.3)
        await call.answer(b"x")

    async with pair(slow, Timeouts(first_byte=5, idle=0.05)) as (client, _):
        assert await (await client.send("GET", "/")).read_all() == b"x"
        assert await (await client.send("GET", "/")).read_all() == b"x"


# Pressure


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


# URLs


@pytest.mark.parametrize(
    ("url", "authority", "path", "tls"),
    [
        ("http://h:8000/v1", "h:8000", "/v1", False),
        ("http://h/v1/", "h", "/v1", False),
        ("https://h/openai/v1", "h", "/openai/v1", True),
        ("https://[::1]:8443", "[::1]:8443", "", True),
        ("unix:/run/llama.sock", "localhost", "", False),
        ("unix:///run/llama.sock:/v1/", "localhost", "/v1", False),
    ],
)
def test_urls(url: str, authority: str, path: str, tls: bool) -> None:
    address = parse_url(url)
    assert (address.authority, address.path, address.tls) == (authority, path, tls)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h/v1", "/v1/models"),
        (
            "https://h/openai/deployments/d?api-version=2024-10-21",
            "/openai/deployments/d/models?api-version=2024-10-21",
        ),
        ("https://h/v1/?a=b&c=d e", "/v1/models?a=b&c=d%20e"),
        ("https://h?key=k", "/models?key=k"),
        ("unix:/run/s:/v1?a=b", "/v1/models?a=b"),
    ],
)
def test_a_query_of_the_base_url_stays_behind_the_path(url: str, target: str) -> None:
    assert parse_url(url).target("/models") == target


@pytest.mark.parametrize(
    "url", ["h:8000", "ftp://h", "http://", "http://h:x", "http://u:secret@h/", "unix:secret", "unix:/s:secret"]
)
def test_bad_urls_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nx: y", "€"])
def test_headers_that_would_break_the_head(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        HttpClient(Address(host="h", port=80), headers={"authorization": value})
    assert value not in str(caught.value)
