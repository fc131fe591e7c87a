"""Files from URLs: only where the guard lets them lead, at every hop, and not without end."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from antiphon.errors import BackendError, InvalidRequest
from antiphon.net.fetching import Fetched, Fetcher
from antiphon.net.http.address import Address
from antiphon.net.http.client import HttpClient, Timeouts
from antiphon.net.url_guard import UrlGuard

from .upstream import Call, running, until

LOOPBACK = UrlGuard(["127.0.0.0/8", "::1/128"])
LIMIT = 100_000


def fetcher(guard: UrlGuard = LOOPBACK, seconds: float = 5.0) -> Fetcher:
    return Fetcher(guard, limit=LIMIT, timeouts=Timeouts(connect=1.0, first_byte=0.3, idle=0.3), seconds=seconds)


async def refused(url: str, by: Fetcher | None = None) -> str:
    with pytest.raises(InvalidRequest) as error:
        await (by or fetcher()).fetch(url, "input[0].content[0].file_url")
    assert error.value.param == "input[0].content[0].file_url"
    return error.value.code


async def test_a_file() -> None:
    async def serve(call: Call) -> None:
        await call.answer(b"%PDF", type="application/pdf")

    async with running(serve) as server:
        url = f"{server.url}/a%20b/r%C3%A4port x.pdf?q=ä b#part"
        got = await fetcher().fetch(url, "x")
        assert got == Fetched(b"%PDF", "räport x.pdf", "application/pdf", url)
        (call,) = server.calls
        assert (call.method, call.path) == ("GET", "/v1/a%20b/r%C3%A4port%20x.pdf?q=%C3%A4%20b")
        assert (call.headers["host"], call.headers["accept"]) == (f"127.0.0.1:{server.port}", "*/*")
        assert "authorization" not in call.headers
        await until(lambda: not server.open)


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a.txt"', "a.txt"),
        ("attachment; filename*=UTF-8''%C3%A4.txt", "ä.txt"),
        ("attachment; filename*=ISO-8859-1'en'%E4.txt", "ä.txt"),
        ("inline", "x"),
        ("attachment; filename*=idna''xn--a", "x"),
        ("attachment; filename*=undefined''a", "x"),
        ("attachment; filename*=punycode''%FF%FF-", "x"),
        ("attachment; filename*=UTF-8''%FF%FE", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        ("attachment; filename*0*=UTF-8''a; filename*" + "9" * 900 + "=b", "ab"),
        ("attachment; filename=" + ";" * 5000, "x"),
        ('attachment; filename="' + "\\" * 900, "file"),
        ("attachment; filename=../../etc/passwd", "passwd"),
    ],
)
async def test_its_name_as_the_server_says(disposition: str, name: str) -> None:
    async def serve(call: Call) -> None:
        await call.answer(b"x", headers={"content-disposition": disposition})

    async with running(serve) as server:
        assert (await fetcher().fetch(f"{server.url}/x", "x")).filename == name


async def test_redirects_are_followed_and_guarded() -> None:
    async def serve(call: Call) -> None:
        where = {
            "/1": "/2",
            "/2": "there/3",
            "/private": "http://10.0.0.1/",
            "/file": "file:///etc/passwd",
            "/round": "/round",
        }
        where["/name"] = "http://metadata.test/"
        target = where.get(call.path)
        await call.answer(b"here", 200 if target is None else 302, {"location": target} if target else None)

    async with running(serve) as server:
        base = f"http://127.0.0.1:{server.port}"
        assert (await fetcher().fetch(f"{base}/1", "x")).content == b"here"
        assert [call.path for call in server.calls] == ["/1", "/2", "/there/3"]
        assert await refused(f"{base}/private") == "url_not_allowed"
        assert await refused(f"{base}/file") == "invalid_url"
        assert await refused(f"{base}/round") == "url_not_reachable"
        assert len(server.calls) == 3 + 2 + 6


async def test_private_addresses_are_never_called() -> None:
    async def serve(call: Call) -> None:
        await call.answer(b"secret")

    async with running(serve) as server:
        for host in ("127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]"):
            assert await refused(f"http://{host}:{server.port}/", fetcher(UrlGuard())) == "url_not_allowed"
        assert server.accepted == 0


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose second answer differs from the first (DNS rebinding)."""
    asked: list[str] = []

    async def lookup(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def serve(call: Call) -> None:
        await call.answer(b"x")

    async with running(serve) as server:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
        assert (await fetcher().fetch(f"http://files.test:{server.port}/", "x")).content == b"x"
        assert server.calls[0].headers["host"] == f"files.test:{server.port}"
    assert asked == ["files.test"]


async def test_large_files_are_refused_with_and_without_a_length() -> None:
    async def serve(call: Call) -> None:
        if call.path == "/length":
            await call.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (LIMIT + 1))
            await asyncio.sleep(10)
        await call.start("text/plain")
        for _ in range(LIMIT // 1000 + int(call.path == "/chunks")):
            await call.chunk(b"x" * 1000)
        await call.end()

    async with running(serve) as server:
        base = f"http://127.0.0.1:{server.port}"
        assert len((await fetcher().fetch(f"{base}/just", "x")).content) == LIMIT
        assert await refused(f"{base}/chunks") == "file_too_large"
        assert await refused(f"{base}/length") == "file_too_large"


async def test_packed_answers_are_refused() -> None:
    async def serve(call: Call) -> None:
        await call.answer(gzip.compress(b"\0" * 10_000_000), headers={"content-encoding": "gzip"})

    async with running(serve) as server:
        assert await refused(f"{server.url}/bomb") == "url_not_reachable"


@pytest.mark.slow
async def test_servers_that_do_not_answer_well() -> None:
    async def serve(call: Call) -> None:
        if call.path == "/missing":
            await call.answer(b"", 404)
        elif call.path == "/breaks":
            await call.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx")
            call.hang_up()
        elif call.path == "/nonsense":
            await call.raw(b"SSH-2.0-OpenSSH\r\n")
        elif call.path == "/silent":
            await asyncio.sleep(10)
        else:
            await call.start()
            while True:
                await call.chunk(b"x")
                await asyncio.sleep(0.05)

    async with running(serve) as server:
        base = f"http://127.0.0.1:{server.port}"
        for path in ("missing", "breaks", "nonsense", "silent"):
            assert await refused(f"{base}/{path}") == "url_not_reachable"
        assert await refused(f"{base}/drips", fetcher(seconds=0.3)) == "url_not_reachable"
        closed = server.port
    assert await refused(f"http://127.0.0.1:{closed}/") == "url_not_reachable"
    assert await refused("http://no-such-host.invalid/") == "url_not_reachable"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "http://", "", "http://u:p@127.0.0.1/"])
async def test_what_is_no_web_address(url: str) -> None:
    assert await refused(url) == "invalid_url"


# TLS to an address


def certificate(name: str, folder: Path) -> str:
    """Write a self-signed certificate for a name, and its key, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), 1, now - datetime.timedelta(1), now + datetime.timedelta(1)
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    signed = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + signed.public_bytes(serialization.Encoding.PEM)
    (folder / "both.pem").write_bytes(pem)
    return str(folder / "both.pem")


async def test_a_pinned_address_is_still_asked_for_the_names_certificate(tmp_path: Path) -> None:
    pem = certificate("files.test", tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    asked: list[str | None] = []
    serving.sni_callback = lambda _, name, __: asked.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        trusting = ssl.create_default_context(cafile=pem)
        for host, good in (("files.test", True), ("other.test", False)):
            client = HttpClient(Address(host=host, port=port, tls=True, ip="127.0.0.1"), tls=trusting)
            if good:
                assert await (await client.send("GET", "/")).read_all() == b"hi"
            else:
                with pytest.raises(BackendError):
                    await client.send("GET", "/")
            await client.close()
    assert asked == ["files.test", "other.test"]
