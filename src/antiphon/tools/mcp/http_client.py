"""The HTTP client for one MCP server: its credentials, the guard of addresses, a proxy where there is one.

It is an extra and takes a moment to import: that is done when the first server is called.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

from antiphon.net.http.address import Address
from antiphon.net.proxies import Proxy, proxy_for
from antiphon.net.url_guard import UrlGuard, split_url
from antiphon.tools.mcp.limits import Limits


def new_client(url: str, headers: Mapping[str, str], limits: Limits, guard: UrlGuard | None) -> Any:
    """Return a client that sends these headers. `guard` looks at every address that it connects to."""
    import httpx2

    timeout = httpx2.Timeout(limits.timeout, connect=min(limits.timeout, 10.0))
    host, port = split_url(url, "server_url")
    proxy = proxy_for(Address(host=host, port=port, tls=url.lower().startswith("https:")))
    sent = {**headers, "accept-encoding": "identity"}
    return httpx2.AsyncClient(headers=sent, timeout=timeout, transport=_transport_of(guard, proxy))


def _transport_of(guard: UrlGuard | None, proxy: Proxy | None) -> Any:
    """Return an HTTP transport that connects to the address that the guard has checked, redirects included."""
    import httpx2

    from antiphon.tools.mcp.through_proxy import through_proxy

    class Guarded(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if guard is not None:
                host, port = split_url(str(request.url), "server_url")
                address = await guard.resolve_for(proxy, host, port, "server_url")
                request.extensions = {**request.extensions, "sni_hostname": host}
                request.url = request.url.copy_with(host=address or host)
            return await super().handle_async_request(request)

    transport = Guarded(verify=tls_context(), trust_env=False)
    return transport if proxy is None else through_proxy(transport, proxy, tls_context())


@cache
def tls_context() -> ssl.SSLContext:
    """Return the one context of all connections: the authorities of the system, or of SSL_CERT_FILE, as for backends."""
    import antiphon.tools.mcp.through_proxy  # noqa: F401 (with all of the client 100 ms, which this is called in a thread for)

    return ssl.create_default_context()
