"""Under which names an open server may be called (DNS rebinding), and which pages it serves."""

from __future__ import annotations

import socket

import pytest

from antiphon.config import Config
from antiphon.config.rules import check
from antiphon.errors import APIError, ConfigError
from antiphon.server.auth.authenticator import authenticator, callers
from antiphon.server.auth.hosts import Hosts
from tests.server.handlers import make_app
from tests.server.whole import whole_server

OWN = [
    "localhost",
    "localhost:8080",
    "LOCALHOST:1",
    "app.localhost",
    "127.0.0.1",
    "127.0.0.1:8080",
    "127.8.9.1",
    "[::1]",
    "[::1]:8080",
    "host.docker.internal:8080",
    "host.containers.internal",
]
FOREIGN = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "evillocalhost",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "2130706433",
    "0x7f.0.0.1",
    "127.1",
    "0177.0.0.1",
    "0.0.0.0",
    "192.168.0.1",
    "[::]",
    "[::ffff:10.0.0.1]",
    "[::1",
    "::1]x",
    "",
    ":8080",
    "localhost:8080:x",
    "localhost,evil.example",
    "docker.internal",
    "host.docker.internal.evil.example",
    "*",
]
PATHS = [
    "/v1/responses/resp_1",
    "/v1/files",
    "/admin/responses",
    "/metrics",
    "/",
    "/docs",
    "/openapi.json",
    "/health",
    "/nothing",
]


@pytest.fixture(scope="module")
def server():
    with whole_server() as client:
        yield client


def raw(client, method: str, path: str, host: str | None, extra: str = "", version: str = "1.1") -> tuple[int, bytes]:
    """Send a request with any Host."""
    line = "" if host is None else f"host: {host}\r\n"
    extra += "" if "upgrade" in extra else "connection: close\r\n"
    port = int(client.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(f"{method} {path} HTTP/{version}\r\n{line}{extra}\r\n".encode("latin-1"))
        answer = b""
        while part := sock.recv(65536):
            answer += part
    return int(answer[9:12]), answer


@pytest.mark.parametrize("host", OWN)
def test_names_of_this_machine_are_answered(server, host):
    assert raw(server, "GET", "/v1/files", host)[0] == 200


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
def test_other_names_are_refused(server, host, method):
    status, answer = raw(server, method, "/v1/files", host)
    assert status in (403, 400)
    assert method == "HEAD" or b'"code":"host_not_allowed"' in answer or b'"code":"invalid_http"' in answer


@pytest.mark.parametrize("path", PATHS)
def test_other_names_are_refused_on_every_path(server, path):
    assert raw(server, "GET", path, "evil.example:8080")[0] == 403
    assert raw(server, "GET", f"http://evil.example{path}", "localhost")[0] == 403  # the target's host goes before


def test_a_websocket_has_a_host_too(server):
    upgrade = (
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    status, answer = raw(server, "GET", "/v1/responses", "evil.example", upgrade)
    assert status == 403 and b'"code":"host_not_allowed"' in answer and b"content-type: application/json" in answer
    assert raw(server, "GET", "/v1/responses", "localhost", upgrade + "origin: http://evil.example\r\n")[0] == 403


def test_probes_need_no_host(server):
    for path in ("/health", "/ready"):
        assert raw(server, "GET", path, None, version="1.0")[0] in (200, 503)
    assert raw(server, "GET", "/v1/files", None, version="1.0")[0] == 403


def test_hosts_can_be_configured():
    with whole_server(allowed_hosts=["ai.example.com", "*.lan"]) as client:
        for host, status in (
            ("ai.example.com", 200),
            ("AI.example.com:443", 200),
            ("box.lan", 200),
            ("lan", 403),
            ("xai.example.com", 403),
            ("localhost", 200),
        ):
            assert raw(client, "GET", "/v1/files", host)[0] == status, host
        page = "origin: https://ai.example.com\r\n"
        assert raw(client, "GET", "/v1/files", "127.0.0.1", page)[0] == 200


def test_keys_need_no_host_unless_hosts_are_configured():
    key = "authorization: Bearer k\r\n"
    with whole_server(api_keys=["k"]) as client:
        assert raw(client, "GET", "/v1/files", "anything.example", key)[0] == 200
    with whole_server(api_keys=["k"], allowed_hosts=["ai.example.com"]) as client:
        assert raw(client, "GET", "/v1/files", "anything.example", key)[0] == 403
        assert raw(client, "GET", "/v1/files", "ai.example.com", key)[0] == 200
        assert raw(client, "GET", "/health", "10.1.2.3:8080")[0] == 200
        assert raw(client, "GET", "/docs", "10.1.2.3:8080")[0] == 403
    with whole_server(api_keys=["k"], allowed_hosts=["*"]) as client:
        assert raw(client, "GET", "/v1/files", "anything.example", key)[0] == 200


@pytest.mark.parametrize(
    "origin",
    [
        "HTTP://evil.example",
        "Https://evil.example",
        " http://evil.example",
        "http://evil.example http://localhost:8080",
        "http://localhost:8080 http://evil.example",
        "http:evil.example",
        "http//evil.example",
        "://evil.example",
        "http://",
        "ws://evil.example",
        "ftp://evil.example",
        "file:///etc/passwd",
        "file://",
        "data://x",
        "NULL",
        "null",
        "evil.example",
        "http://localhost:8081",
        "http://localhost.evil.example:8080",
        "h\xfftp://evil.example",
    ],
)
async def test_other_origins_are_refused(origin):
    headers = [(b"host", b"localhost:8080"), (b"origin", origin.encode("latin-1"))]
    with pytest.raises(APIError) as caught:
        await authenticator({}).authenticate(headers)
    assert caught.value.code == "foreign_origin"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("HTTP://LocalHost:8080", "localhost:8080"),
        ("https://[::1]:8443", "[::1]:8443"),
        ("chrome-extension://abc", "localhost"),
        ("moz-extension://abc", "localhost"),
        ("vscode-webview://abc", "localhost"),
        ("tauri://localhost", "localhost"),
    ],
)
async def test_own_pages_and_programs_are_let_in(origin, host):
    assert await authenticator({}).authenticate([(b"host", host.encode()), (b"origin", origin.encode())])


async def test_two_origins_are_refused():
    with pytest.raises(APIError):
        await authenticator({}).authenticate(
            [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"http://localhost")]
        )


def test_what_is_remembered_of_hosts_is_bounded():
    hosts = Hosts(["*"])
    for number in range(1000):
        assert hosts.knows(b"h%d" % number)
    assert len(hosts._good) <= 256


@pytest.mark.parametrize("name", ["", "*.", "http://a", "a b", "a/b", "a*b", "ä.example"])
def test_a_host_that_is_none_is_a_mistake_of_the_operator(name):
    with pytest.raises(ConfigError) as caught:
        check(Config(allowed_hosts=[name]))
    assert "allowed_hosts" in str(caught.value)


def test_the_settings_can_change_while_the_server_runs():
    app = make_app()
    app._on_reload = lambda config: authenticator(callers([]), hosts=Hosts(config.allowed_hosts))
    with pytest.raises(APIError):
        app._auth.visit(b"/v1/files", b"new.example")
    app.reload(Config(allowed_hosts=["new.example"]))
    app._auth.visit(b"/v1/files", b"new.example")
