"""Proxies: which servers are called through one, what it is asked for, and what becomes of its refusals."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from antiphon.errors import BackendError, ConfigError, InvalidRequest
from antiphon.net import proxies, tls
from antiphon.net.fetching import Fetcher
from antiphon.net.http.address import Address
from antiphon.net.http.client import HttpClient, Timeouts
from antiphon.net.proxies import NoProxy, Proxy, from_environment, parse_proxy, proxy_for, shown
from antiphon.net.url_guard import UrlGuard

from .certificates import Authority
from .proxy import ForwardProxy, proxying
from .upstream import Call, Upstream, running

QUICK = Timeouts(connect=5, first_byte=5, idle=5)
FAR = "far.example"
"""A name that only the proxy can find."""


# What the environment says


@pytest.mark.parametrize(
    ("no_proxy", "direct", "proxied"),
    [
        ("", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"], ["a.b", "10.0.0.1", "localhost.com"]),
        ("*", ["a.b", "10.0.0.1"], []),
        ("corp.com", ["corp.com", "a.corp.com", "A.CORP.com", "corp.com."], ["notcorp.com", "corp.com.evil"]),
        (".corp.com, other", ["corp.com", "x.corp.com", "other"], ["another", "corp.co"]),
        ("*.corp.com", ["a.corp.com"], ["b.com"]),
        ("10.0.0.0/8 192.168.1.1", ["10.1.2.3", "192.168.1.1"], ["192.168.1.2", "10.evil"]),
        ("fd00::/8,[2001:db8::1]", ["fd00::1", "2001:db8::1"], ["2001:db8::2"]),
        ("a.b:8443,[::2]:443,10.0.0.1:80", [], ["a.b", "::2", "10.0.0.1"]),
        (",, ,*.", [], ["a.b"]),
    ],
)
def test_no_proxy(no_proxy: str, direct: list[str], proxied: list[str]) -> None:
    rules = NoProxy(no_proxy)
    assert [host for host in [*direct, *proxied] if rules.covers(host, 8080)] == direct


def test_no_proxy_with_ports() -> None:
    rules = NoProxy("a.b:8443,[fd00::2]:443,10.0.0.1:80,::3")
    asked = [
        ("a.b", 8443),
        ("x.a.b", 8443),
        ("a.b", 443),
        ("fd00::2", 443),
        ("fd00::2", 80),
        ("10.0.0.1", 80),
        ("::3", 1),
    ]
    assert [rules.covers(*one) for one in asked] == [True, True, False, True, False, True, True]


@pytest.mark.parametrize(
    ("variables", "http", "https"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": "http://p:1"}, "http://p:1", None),
        ({"https_proxy": "p:3128"}, None, "http://p:3128"),
        ({"HTTPS_PROXY": "http://large", "https_proxy": "http://small"}, None, "http://small:80"),
        ({"HTTPS_PROXY": "http://large", "https_proxy": ""}, None, None),
        ({"ALL_PROXY": "socks5h://s"}, "socks5h://s:1080", "socks5h://s:1080"),
        ({"ALL_PROXY": "socks5://s", "HTTP_PROXY": "https://u:p@h"}, "https://***@h:443", "socks5://s:1080"),
        ({"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}, None, None),
        ({"HTTPS_PROXY": "http://[fd00::1]:8"}, None, "http://[fd00::1]:8"),
    ],
)
def test_variables(variables: dict[str, str], http: str | None, https: str | None) -> None:
    found = from_environment(variables)
    got = [found.find("h.example", 80, tls=tls) for tls in (False, True)]
    assert [str(one) if one else None for one in got] == [http, https]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://p",
        "http://",
        "http://p:x",
        "socks4://p",
        "http://u:hush@",
        "http://hush/?a=b",
        "http://u:hush@\x07p",
        "http://u:hush@[::1",
        "socks4://u:hush@p:1",
        "ftp://p:21",
    ],
)
def test_bad_proxies_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="HTTPS_PROXY: expected a proxy") as caught:
        from_environment({"HTTPS_PROXY": url})
    assert "hush" not in str(caught.value)


def test_passwords_are_not_shown() -> None:
    variables = {"HTTPS_PROXY": "http://user:hush%40@p:3128", "NO_PROXY": "a,b"}
    assert list(shown(variables)) == [("HTTPS_PROXY", "http://***@p:3128"), ("NO_PROXY", "a,b")]
    proxy = from_environment(variables).find("x", 443, tls=True)
    assert proxy is not None and proxy.password == "hush@" and "hush" not in repr(proxy)
    assert {"hush@", proxy.authorization.removeprefix("Basic ")} == set(proxies.passwords(variables))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let a test set the variables of proxies; all others of them are away."""
    for name in proxies.VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        proxies.environment_proxies.cache_clear()

    put()
    yield put
    proxies.environment_proxies.cache_clear()


def test_a_setting_wins_over_the_environment(environment: Callable[..., None]) -> None:
    environment(HTTPS_PROXY="http://env:1")
    address = Address(host="h.example", port=443, tls=True)
    assert str(proxy_for(address)) == "http://env:1"
    assert str(proxy_for(address, "http://own:2")) == "http://own:2"
    assert proxy_for(address, "none") is None
    assert proxy_for(Address(host="h.example", port=443, tls=True, socket="/s")) is None
    near = Address(host="127.0.0.1", port=443, tls=True)
    assert proxy_for(near) is None and str(proxy_for(near, "http://own:2")) == "http://own:2"


# Requests through proxies


async def hello(call: Call) -> None:
    await call.answer({"host": call.headers["host"], "auth": call.headers.get("proxy-authorization")})


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Run a test's body in each kind of event loop: they differ in how they begin TLS."""

    def go(body: Callable[[], object]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(body())  # type: ignore[arg-type]
            runner.run(asyncio.sleep(0.05))  # connections that were closed go

    return go


@asynccontextmanager
async def far_server(context: ssl.SSLContext | None) -> AsyncIterator[tuple[Upstream, int]]:
    upstream = Upstream(hello)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield upstream, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await upstream.stop()


def server_context(pair: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


@pytest.mark.parametrize("password", ["", "pass:word"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
def test_a_request_goes_through(
    scheme: str, secure: bool, password: str, tmp_path: Path, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    monkeypatch.setattr("antiphon.net.http.tunnel.default_context", lambda: trusting)
    its = server_context(authority.sign("localhost")) if scheme == "https" else None

    async def body() -> None:
        context = server_context(authority.sign(FAR)) if secure else None
        async with far_server(context) as (upstream, port), proxying({FAR: "127.0.0.1"}, password, its) as proxy:
            address = Address(host=FAR, port=port, tls=secure)
            client = HttpClient(address, timeouts=QUICK, tls=trusting, proxy=proxy.proxy(scheme))
            verb = "SOCKS " if scheme.startswith("socks") else "CONNECT " if secure else "POST http://"
            count = 1 if verb.startswith("POST") else 3  # the proxy of these tests reads one such request
            for _ in range(count):
                answer = await (await client.send("POST", "/v1/x", b"{}")).read_all()
                assert answer == f'{{"host": "{FAR}:{port}", "auth": null}}'.encode()
            assert [call.path for call in upstream.calls] == ["/v1/x"] * count
            assert client.connections == 1
            await client.close()
            rest = "/v1/x" if verb.startswith("POST") else ""
            assert proxy.asked == [f"{verb}{FAR}:{port}{rest}"]

    run(body)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_refuses_is_told_of_in_the_log_alone(
    scheme: str, run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with proxying(password="right-one") as proxy:
            wrong = Proxy(scheme, "127.0.0.1", proxy.port, "user", "wrong-one")
            client = HttpClient(Address(host=FAR, port=443, tls=True), timeouts=QUICK, proxy=wrong)
            with pytest.raises(BackendError) as caught:
                await client.send("GET", "/")
            assert (caught.value.status, caught.value.retriable) == (503, True)
            assert client.connections == 0

    run(body)
    told = "status 407" if scheme == "http" else "refused the password"
    assert told in caplog.text and FAR in caplog.text and "wrong-one" not in caplog.text


@asynccontextmanager
async def saying(answer: bytes | None) -> AsyncIterator[Proxy]:
    """Run what answers CONNECT with some bytes and hangs up; None: it says nothing."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        if answer is not None:
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Proxy("http", "127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"HTTP/1.1 200", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nmore", b"HTTP/1.1 100 C\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", b"x" * 40_000, None,
    ],
)  # fmt: skip
async def test_a_proxy_that_speaks_no_http_or_nothing_counts_as_out_of_reach(answer: bytes | None) -> None:
    async with saying(answer) as proxy:
        timeouts = Timeouts(connect=0.2 if answer is None else 20)
        client = HttpClient(Address(host=FAR, port=443, tls=True), timeouts=timeouts, proxy=proxy)
        with pytest.raises(BackendError) as caught:
            await client.send("GET", "/")
        assert caught.value.status == 503
        assert client.connections == 0


# Files of users' URLs: the guard


@asynccontextmanager
async def fetching(
    environment: Callable[..., None], allow: list[str], names: dict[str, str] | None = None
) -> AsyncIterator[tuple[Fetcher, ForwardProxy, int]]:
    async def serve(call: Call) -> None:
        await call.answer(call.headers["host"].encode())

    async with running(serve) as server, proxying(names) as proxy:
        environment(HTTP_PROXY=f"http://127.0.0.1:{proxy.port}")
        yield Fetcher(UrlGuard(allow), limit=1000, timeouts=QUICK), proxy, server.port


def looked_up(monkeypatch: pytest.MonkeyPatch, **names: str) -> None:
    """Let the DNS know some names, with one label in front of `.example`."""
    real = asyncio.BaseEventLoop.getaddrinfo

    async def answer(self: asyncio.BaseEventLoop, host: str, port: int, **more: int) -> Sequence[object]:
        address = names.get(host.removesuffix(".example"))
        if address is not None:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]
        if host.endswith(".example"):
            raise OSError
        return await real(self, host, port, **more)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", answer)


async def test_a_proxy_is_asked_for_the_address_that_was_checked(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up(monkeypatch, good="93.184.216.34", rebound="10.0.0.1")
    async with fetching(environment, [], {"93.184.216.34": "127.0.0.1"}) as (fetcher, proxy, port):
        got = await fetcher.fetch(f"http://good.example:{port}/a", "x")
        assert got.content == f"good.example:{port}".encode()
        assert proxy.asked == [f"CONNECT 93.184.216.34:{port}"]
        for url, code in (
            (f"http://rebound.example:{port}/", "url_not_allowed"),
            (f"http://10.0.0.1:{port}/", "url_not_allowed"),
            (f"http://127.0.0.1:{port}/", "url_not_allowed"),
            (f"http://hidden.example:{port}/", "url_not_reachable"),
        ):
            with pytest.raises(InvalidRequest) as caught:
                await fetcher.fetch(url, "x")
            assert caught.value.code == code
        assert len(proxy.asked) == 1


async def test_a_proxy_finds_hosts_that_are_allowed_by_name(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up(monkeypatch)
    async with fetching(environment, ["*.hidden.example"], {"a.hidden.example": "127.0.0.1"}) as (fetcher, proxy, port):
        got = await fetcher.fetch(f"http://a.hidden.example:{port}/a", "x")
        assert got.content == f"a.hidden.example:{port}".encode()
        assert proxy.asked == [f"GET http://a.hidden.example:{port}/a"]


# Certificates


async def test_a_server_of_a_private_authority_that_wants_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = server_context(authority.sign("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    ours = [str(file) for file in authority.sign("client")]
    async with far_server(context) as (_, port):
        address = Address(host="localhost", port=port, tls=True)
        client = HttpClient(address, timeouts=QUICK, tls=tls.client_context(str(authority.file), *ours))
        assert (await client.send("GET", "/")).status == 200
        await client.close()
        for context_without in (tls.client_context(str(authority.file)), tls.client_context("", *ours)):
            client = HttpClient(address, timeouts=QUICK, tls=context_without)
            with pytest.raises(BackendError):
                await client.send("GET", "/")
            await client.close()


def test_certificates_that_cannot_be_used_name_their_setting(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = map(str, authority.sign("a"))
    _, other = map(str, authority.sign("b"))
    _, locked = map(str, authority.sign("c", "password"))
    missing = str(tmp_path / "none.pem")
    for given, setting in (
        ((missing,), "b.ca"),
        ((key,), "b.ca"),
        (("", missing), "b.client_cert"),
        (("", cert, missing), "b.client_key"),
        (("", cert), "b.client_cert"),
        (("", cert, other), "b.client_cert"),
        (("", cert, locked), "b.client_cert"),
        (("", "", key), "b.client_key"),
    ):
        with pytest.raises(ConfigError, match=f"^{setting}: "):
            tls.client_context(*given, path="b.")
    assert tls.client_context() is tls.default_context()


def test_a_proxy_of_a_setting_is_named_in_the_error() -> None:
    with pytest.raises(ConfigError, match=r"^backends\.b\.proxy: expected"):
        parse_proxy("gopher://x", "backends.b.proxy")
