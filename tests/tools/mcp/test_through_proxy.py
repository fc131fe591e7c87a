"""MCP servers over HTTP through a proxy: those of the configuration by name, those of requests by the checked address."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from antiphon.config import McpServerConfig
from antiphon.net.proxies import from_environment
from antiphon.net.url_guard import UrlGuard
from antiphon.tools.base import McpTool, ToolServerError
from antiphon.tools.mcp import http_client
from antiphon.tools.mcp.servers import McpServers
from tests.acceptance.background import Tools, _Server
from tests.net.certificates import Authority
from tests.net.proxy import proxying

pytestmark = pytest.mark.needs("mcp")

NAME = "tools.example"
CHECKED = "93.184.216.34"


@contextmanager
def mcp_server(pair: tuple[Path, Path] | None) -> Iterator[int]:
    """Run a server, with a certificate where there is one; gives its port."""
    server = _Server(("127.0.0.1", 0), Tools)
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("password", ["", "hush-hush"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("configured", [True, False], ids=["configured", "of a request"])
async def test_a_call_goes_through(
    configured: bool, secure: bool, scheme: str, password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    monkeypatch.setattr(http_client, "tls_context", lambda: trusting)

    async def one_address(self: object, host: str, port: int, **more: int) -> object:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (CHECKED if host == NAME else host, port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", one_address)
    with mcp_server(authority.sign(NAME) if secure else None) as port:
        async with proxying({NAME: "127.0.0.1", CHECKED: "127.0.0.1"}, password) as proxy:
            variables = {"ALL_PROXY": f"{scheme}://user:{password}@127.0.0.1:{proxy.port}"}
            monkeypatch.setattr("antiphon.net.proxies.environment_proxies", lambda: from_environment(variables))
            url = f"{'https' if secure else 'http'}://{NAME}:{port}/mcp"
            declared = McpTool(server_label="t", server_url=None if configured else url)
            known = {"t": McpServerConfig(url=url)} if configured else {}
            server = McpServers(UrlGuard(), known, 10).connect(declared)
            assert [one.name for one in await server.list()] == ["tick"]
            assert (await server.call("tick", '{"job": "m", "n": 3}')).text == "tick 3"
            await server.close()
            verb = "CONNECT" if scheme == "http" else "SOCKS"
            assert set(proxy.asked) == {f"{verb} {NAME if configured else CHECKED}:{port}"}


async def test_a_proxy_that_refuses_is_a_server_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxying(password="right") as proxy:
        variables = {"HTTP_PROXY": f"http://user:wrong@127.0.0.1:{proxy.port}"}
        monkeypatch.setattr("antiphon.net.proxies.environment_proxies", lambda: from_environment(variables))
        known = {"t": McpServerConfig(url=f"http://{NAME}:1/mcp")}
        server = McpServers(UrlGuard(), known, 10).connect(McpTool(server_label="t"))
        with pytest.raises(ToolServerError, match="cannot be reached") as caught:
            await server.list()
        assert "wrong" not in str(caught.value) and str(proxy.port) not in str(caught.value)
        await server.close()


def test_authorities_of_the_operator_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path, "house").file))
    context = http_client.tls_context.__wrapped__()
    assert [dict(part[0] for part in one["subject"])["commonName"] for one in context.get_ca_certs()] == ["house"]
