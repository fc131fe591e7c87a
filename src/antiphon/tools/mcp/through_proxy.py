"""MCP servers through a proxy: the HTTP client's connections begin as tunnels, and are like direct ones from then on.

The client's own support for proxies would not do: it names hosts to the proxy, where the guard has checked an address.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpcore2
from httpx2 import AsyncHTTPTransport

from antiphon.net.http.tunnel import ProxyRefused, tunnel
from antiphon.net.proxies import Proxy

MOST_READ = 64 * 1024


def through_proxy(transport: AsyncHTTPTransport, proxy: Proxy, tls: ssl.SSLContext) -> AsyncHTTPTransport:
    """Return the transport, with all its connections going through the proxy."""
    transport._pool = httpcore2.AsyncConnectionPool(ssl_context=tls, network_backend=TunnelBackend(proxy))
    return transport


class TunnelBackend(httpcore2.AsyncNetworkBackend):
    """Makes connections through a proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> TunnelStream:
        """Return a stream to a host. Raises what the client's own backend raises."""
        try:
            async with asyncio.timeout(timeout):
                transport = await tunnel(self._proxy, host, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout from None
        except (OSError, ProxyRefused) as error:
            raise httpcore2.ConnectError(str(error)) from None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return TunnelStream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class TunnelStream(httpcore2.AsyncNetworkStream):
    """A connection through a proxy, as the HTTP client wants it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come; b"" at the end."""
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(min(max_bytes, MOST_READ))
        except TimeoutError:
            raise httpcore2.ReadTimeout from None
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send."""
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError:
            raise httpcore2.WriteTimeout from None
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from None

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> TunnelStream:
        """Speak TLS from now on, with the server itself."""
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError:
            raise httpcore2.ConnectTimeout from None
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from None
        return self

    async def aclose(self) -> None:
        """Close at once."""
        self._writer.transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection."""
        if info == "is_readable":
            return self._reader.at_eof()
        return self._writer.get_extra_info({"ssl_object": "ssl_object"}.get(info, info))
