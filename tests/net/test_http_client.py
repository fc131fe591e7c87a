"""The HTTP client against a real server on the loopback."""

from __future__ import annotations

import asyncio
import errno
import gzip
import logging
import socket
import zlib
from pathlib import Path

import pytest

from antiphon.errors import BackendError, OutOfFiles
from antiphon.net.http.address import Address, parse_url
from antiphon.net.http.client import HttpClient
from antiphon.net.http.protocol import HEADERS_LIMIT
from tests.net.http_servers import hello, pair, pieces

from .upstream import Call, running, until


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


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_no_file_is_left(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object) -> None:
        raise OSError(number, "Too many open files")

    monkeypatch.setattr("antiphon.net.http.client.open_connection", refused)
    with pytest.raises(OutOfFiles) as caught:
        await HttpClient(Address(host="127.0.0.1", port=9)).send("GET", "/")
    error = caught.value
    assert (error.status, error.code, error.retriable) == (503, "server_overloaded", False)
    assert int(error.headers["Retry-After"]) >= 1


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


async def test_the_first_header_of_a_name_counts_and_a_trailer_does_not() -> None:
    async def answer(call: Call) -> None:
        head = b"HTTP/1.1 200 OK\r\nX-One: first\r\nX-One: second\r\nx-one: third\r\ntransfer-encoding: chunked\r\n\r\n"
        await call.raw(head + b"1\r\na\r\n0\r\nx-two: trailer\r\n\r\n")

    async with pair(answer) as (client, upstream):
        for _ in range(2):
            response = await client.send("GET", "/")
            assert await response.read_all() == b"a"
            assert (response.header(b"x-one"), response.header(b"x-two")) == (b"first", b"")
        assert upstream.accepted == 1


async def test_no_more_headers_are_kept_than_some() -> None:
    async def answer(call: Call) -> None:
        lines = b"".join(b"x-%d: 1\r\n" % number for number in range(HEADERS_LIMIT + 5))
        await call.raw(b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: 0\r\n\r\n")

    async with pair(answer) as (client, _):
        response = await client.send("GET", "/")
        assert len(response.headers) == HEADERS_LIMIT


async def test_what_is_kept_of_requests_does_not_grow_with_them() -> None:
    async with pair(hello) as (client, upstream):
        for number in range(4):
            await (await client.send("GET", f"/search?q={number}")).read_all()
            kind = b"multipart/form-data; boundary=%d" % number
            await (await client.send("POST", "/form", b"x", content_type=kind)).read_all()
            await (await client.send("POST", "/json", b"{}")).read_all()
        assert [call.headers.get("content-type") for call in upstream.calls[-2:]] == [kind.decode(), "application/json"]
        assert len(client._starts) == 1


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
