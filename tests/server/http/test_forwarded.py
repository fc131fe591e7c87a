"""Behind proxies: whose X-Forwarded-… is believed, what follows from it, and the path below which the server is served."""

from __future__ import annotations

import http.client
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from antiphon.composition import app as composition
from antiphon.config import BackendConfig, Config
from antiphon.config.rules import check
from antiphon.errors import ConfigError
from antiphon.server.http.forwarded import TrustedProxies
from tests.server.serving import serving, wait_until

Headers = list[tuple[bytes, bytes]]
NETWORKS = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"]


def pairs(**headers: str) -> Headers:
    return [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]


# Who is believed, and what


@pytest.mark.parametrize(
    ("entries", "trusted", "others"),
    [
        ([], [], ["", "127.0.0.1"]),
        (NETWORKS, ["10.1.2.3", "127.0.0.1", "fd00::1", "::ffff:10.0.0.1"], ["", "11.0.0.1", "::1", "x"]),
        (["unix"], [""], ["127.0.0.1"]),
        (["*"], ["", "1.2.3.4", "::1"], []),
    ],
)
def test_who_is_trusted(entries: list[str], trusted: list[str], others: list[str]) -> None:
    proxies = TrustedProxies(entries)
    assert [peer for peer in [*trusted, *others] if proxies.trusts(peer)] == trusted


@pytest.mark.parametrize(
    ("given", "client"),
    [
        ("", "10.0.0.1"),
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.0.0.9", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7, 10.0.0.9", "203.0.113.7"),  # what stands before may be made up
        ("10.0.0.8,10.0.0.9", "10.0.0.8"),
        ("203.0.113.7:1234", "203.0.113.7"),
        ("[2001:db8::1]:1234", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("203.0.113.7, unknown", "10.0.0.1"),
        ("203.0.113.7, unknown, 10.0.0.9", "10.0.0.9"),
        ("a\r\nb", "10.0.0.1"),
        (", ,", "10.0.0.1"),
        ("1.1.1.1," * 5000 + "10.0.0.9", "1.1.1.1"),
        ("10.0.0.9," * 5000, "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_that_no_proxy_is(given: str, client: str) -> None:
    headers = pairs(x_forwarded_for=given)
    assert TrustedProxies(NETWORKS).read("10.0.0.1", "http", headers).client == client


def test_addresses_in_several_headers_are_one_list() -> None:
    headers = [*pairs(x_forwarded_for="1.1.1.1"), *pairs(x_forwarded_for="203.0.113.7")]
    assert TrustedProxies(NETWORKS).read("10.0.0.1", "http", headers).client == "203.0.113.7"


@pytest.mark.parametrize(
    ("headers", "scheme", "host", "prefix"),
    [
        ({}, "http", "inner", ""),
        ({"x_forwarded_proto": "https"}, "https", "inner", ""),
        ({"x_forwarded_proto": "HTTPS, http"}, "https", "inner", ""),
        ({"x_forwarded_proto": "gopher"}, "http", "inner", ""),
        ({"x_forwarded_host": "ai.example.com"}, "http", "ai.example.com", ""),
        ({"x_forwarded_host": "ai.example.com, inner"}, "http", "ai.example.com", ""),
        ({"x_forwarded_host": "a/b"}, "http", "inner", ""),
        ({"x_forwarded_prefix": "/ai/"}, "http", "inner", "/ai"),
        ({"x_forwarded_prefix": "//evil.example"}, "http", "inner", ""),
        ({"x_forwarded_prefix": "/a<b"}, "http", "inner", ""),
        ({"x_forwarded_prefix": "ai"}, "http", "inner", ""),
    ],
)
def test_what_is_believed(headers: dict[str, str], scheme: str, host: str, prefix: str) -> None:
    said = TrustedProxies(NETWORKS).read("10.0.0.1", "http", pairs(host="inner", **headers))
    assert (said.scheme, dict(said.headers)[b"host"].decode(), said.prefix) == (scheme, host, prefix)
    assert said.direct_host == (b"inner" if host != "inner" else None)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"trusted_proxies": ["10.0.0.0/8", "proxy.lan"]}, r"trusted_proxies\[1\]: 'proxy.lan' is not a network"),
        ({"root_path": "ai"}, "root_path: 'ai' is not a path"),
        ({"root_path": "/ai/"}, "root_path: '/ai/' is not a path"),
        ({"root_path": "/a//b"}, "root_path"),
        ({"root_path": "/a?b"}, "root_path"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        check(Config(store="memory", **settings))


# A server


@pytest.fixture(params=["direct", "asgi"])
def mode(request: pytest.FixtureRequest) -> str:
    """As in production, and as on any other ASGI server."""
    return str(request.param)


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, {**given, **({"content-type": "application/json"} if data else {})})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


class Server:
    def __init__(self, port: int, caplog: pytest.LogCaptureFixture) -> None:
        self.port = port
        self._caplog = caplog

    def clients(self) -> list[str]:
        """Return who asked, by the access log."""
        names = [vars(line).get("client", "") for line in self._caplog.records if "access_log" in line.name]
        self._caplog.clear()
        return names


def running(caplog: pytest.LogCaptureFixture, mode: str, **settings: Any) -> Iterator[Server]:
    caplog.set_level(logging.INFO, "antiphon.telemetry.access_log")
    demo = {"demo": BackendConfig(url="http://127.0.0.1:9", api="scripted")}
    config = Config(store="memory", shutdown_grace=0, backends=demo, **settings)
    with serving(composition.build(config), config, mode) as served:
        yield Server(served.port, caplog)


@pytest.fixture
def trusting(caplog: pytest.LogCaptureFixture, mode: str) -> Iterator[Server]:
    yield from running(caplog, mode, trusted_proxies=["127.0.0.1"], allowed_hosts=["ai.example.com"], root_path="/ai")


@pytest.fixture
def wary(caplog: pytest.LogCaptureFixture, mode: str) -> Iterator[Server]:
    yield from running(caplog, mode)


SAID = {"x_forwarded_for": "203.0.113.7", "x_forwarded_proto": "https", "x_forwarded_host": "ai.example.com"}


def test_the_access_log_names_the_client(trusting: Server) -> None:
    assert ask(trusting.port, "GET", "/v1/models", **SAID)[0] == 200
    assert ask(trusting.port, "GET", "/v1/models")[0] == 200
    found: list[str] = []
    wait_until(lambda: len(found.extend(trusting.clients()) or found) == 2)
    assert found == ["203.0.113.7", "127.0.0.1"]


def test_a_stranger_is_not_believed(wary: Server) -> None:
    assert ask(wary.port, "GET", "/v1/models", **SAID)[0] == 200
    assert ask(wary.port, "GET", "/v1/models", **{**SAID, "x_forwarded_host": "evil.example"})[0] == 200
    status, _, body = ask(wary.port, "GET", "/openapi.json", x_forwarded_prefix="/evil")
    assert status == 200 and b"/evil" not in body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        (SAID, 200),
        ({"x_forwarded_host": "evil.example"}, 403),
        ({"x_forwarded_host": "localhost", "host": "evil.example"}, 403),  # a page whose name was pointed at the proxy
        ({"x_forwarded_host": "ai.example.com", "host": "evil.example"}, 403),
        ({"x_forwarded_host": "ai.example.com", "host": "localhost"}, 200),
        ({**SAID, "origin": "https://ai.example.com"}, 200),
        ({**SAID, "origin": "https://evil.example"}, 403),
        ({"x_forwarded_host": "evil.example", "host": "localhost", "origin": "https://evil.example"}, 403),
    ],
)
def test_host_and_origin_are_checked_as_the_client_named_them(
    trusting: Server, headers: dict[str, str], status: int
) -> None:
    assert ask(trusting.port, "GET", "/v1/models", **headers)[0] == status
    extra = {name.replace("_", "-"): value for name, value in headers.items() if name != "host"}
    host = headers.get("host", "127.0.0.1")
    try:
        with connect(
            f"ws://{host}:{trusting.port}/ai/v1/responses", additional_headers=extra, proxy=None,
            sock=socket.create_connection(("127.0.0.1", trusting.port)),
        ):  # fmt: skip
            got = 200
    except InvalidStatus as refused:
        got = refused.response.status_code
    assert got == status


@pytest.mark.parametrize("prefix", ["", "/ai"])
def test_requests_come_with_the_root_path_or_without(trusting: Server, prefix: str) -> None:
    for path in ("/v1/models", "/models", "/health", "/", "/docs"):
        assert ask(trusting.port, "GET", prefix + path)[0] == 200, path
    assert ask(trusting.port, "POST", f"{prefix}/v1/responses", {"model": "scripted", "input": "x"})[0] == 200
    document = json.loads(ask(trusting.port, "GET", f"{prefix}/openapi.json")[2])
    assert document["servers"] == [{"url": "/ai"}]
    assert ask(trusting.port, "GET", "/other/v1/models")[0] == 404


def test_a_proxy_that_cuts_a_prefix_off_names_it(caplog: pytest.LogCaptureFixture, mode: str) -> None:
    for server in running(caplog, mode, trusted_proxies=["127.0.0.1"]):
        document = json.loads(ask(server.port, "GET", "/openapi.json", x_forwarded_prefix="/there")[2])
        assert document["servers"] == [{"url": "/there"}]
        assert urlsplit(document["servers"][0]["url"]).netloc == ""
