"""Connections to a server: direct, to a unix socket, or through a proxy (CONNECT, RFC 9110 9.3.6; SOCKS 5, RFC 1928).

Through a tunnel TLS is spoken with the server itself: the proxy sees its name, and nothing of what is said.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import cast

from antiphon.errors import AntiphonError
from antiphon.net.http.address import Address
from antiphon.net.proxies import Proxy
from antiphon.net.tls import default_context

MOST_HEAD = 16 * 1024
"""Bytes of a proxy's answer to CONNECT."""

_SOCKS_REFUSALS = (
    *("", "general failure", "not allowed", "network unreachable", "host unreachable", "connection refused"),
    *("timed out", "command not supported", "kind of address not supported"),
)


class ProxyRefused(AntiphonError):
    """A proxy did not open a tunnel. Its text names no address."""


def asks_proxy(address: Address, proxy: Proxy | None) -> bool:
    """Tell whether requests themselves go to the proxy, which then makes them: plain HTTP by name."""
    return proxy is not None and not (address.tls or proxy.socks or address.ip or address.socket)


async def open_connection(
    make: Callable[[], asyncio.Protocol], address: Address, tls: ssl.SSLContext | None, proxy: Proxy | None
) -> None:
    """Connect a protocol. `make` returns it. Raises OSError, ProxyRefused."""
    loop = asyncio.get_running_loop()
    name = address.host if tls else None
    if address.socket:
        await loop.create_unix_connection(make, address.socket)
    elif proxy is None:
        await loop.create_connection(make, address.ip or address.host, address.port, ssl=tls, server_hostname=name)
    elif asks_proxy(address, proxy):
        own = default_context() if proxy.tls else None
        await loop.create_connection(make, proxy.host, proxy.port, ssl=own)
    else:
        transport = await tunnel(proxy, address.ip or address.host, address.port)
        await _hand_over(transport, make(), tls, name)


async def _hand_over(
    transport: asyncio.Transport, protocol: asyncio.Protocol, tls: ssl.SSLContext | None, name: str | None
) -> None:
    """Give a tunnel to its protocol, within TLS where it is wanted."""
    try:
        if tls is not None:
            loop = asyncio.get_running_loop()
            secured = await loop.start_tls(transport, protocol, tls, server_hostname=name)
            if secured is None:
                raise ConnectionError("the tunnel broke off")
            protocol.connection_made(secured)
        else:
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
    except BaseException:
        transport.abort()
        raise


async def tunnel(proxy: Proxy, host: str, port: int) -> asyncio.Transport:
    """Return a tunnel to a host. Raises OSError, ProxyRefused."""
    loop = asyncio.get_running_loop()
    own = default_context() if proxy.tls else None
    _, talk = await loop.create_connection(TunnelStart, proxy.host, proxy.port, ssl=own)
    try:
        await (_socks(talk, proxy, host, port) if proxy.socks else _connect(talk, proxy, host, port))
        return talk.end()
    except BaseException:
        talk.transport.abort()
        raise


class TunnelStart(asyncio.Protocol):
    """The beginning of a tunnel: a few bytes each way."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._more = asyncio.Event()
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one but for its class

    def data_received(self, data: bytes) -> None:
        self._held += data
        self._more.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._more.set()

    async def take(self, size: int) -> bytes:
        """Return so many bytes. Raises ProxyRefused where the proxy hangs up before."""
        while len(self._held) < size:
            await self._wait()
        data = bytes(self._held[:size])
        del self._held[:size]
        return data

    async def head(self) -> bytes:
        """Return all up to a blank line."""
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > MOST_HEAD:
                raise ProxyRefused("the proxy's answer is not valid HTTP")
            await self._wait()
        return await self.take(end + 4)

    async def _wait(self) -> None:
        if self._lost:
            raise ProxyRefused("the proxy hung up")
        self._more.clear()
        await self._more.wait()

    def end(self) -> asyncio.Transport:
        """Return the transport, for whom it is now. Raises ProxyRefused where the proxy said more than its part."""
        if self._held or self._lost:
            raise ProxyRefused("the proxy said more than it was asked" if self._held else "the proxy hung up")
        return self.transport


async def _connect(talk: TunnelStart, proxy: Proxy, host: str, port: int) -> None:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}", "user-agent: antiphon"]
    if proxy.authorization:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    talk.transport.write("\r\n".join((*lines, "", "")).encode("latin-1", "replace"))
    while True:
        version, _, rest = (await talk.head()).partition(b"\r\n")[0].partition(b" ")
        status = rest[:3]
        if not version.startswith(b"HTTP/1.") or not status.isdigit():
            raise ProxyRefused("the proxy's answer is not valid HTTP")
        if not status.startswith(b"1"):
            break
    if not status.startswith(b"2"):
        raise ProxyRefused(f"the proxy answered CONNECT with status {int(status)}")


async def _socks(talk: TunnelStart, proxy: Proxy, host: str, port: int) -> None:
    """Have a SOCKS proxy connect. It resolves names itself, with `socks5` as with `socks5h`."""
    methods = b"\x00\x02" if proxy.authorization else b"\x00"
    talk.transport.write(bytes((5, len(methods))) + methods)
    version, method = await talk.take(2)
    if version != 5 or method not in methods:
        raise ProxyRefused("the SOCKS proxy wants another authentication")
    if method:
        user, password = proxy.user.encode()[:255], proxy.password.encode()[:255]
        talk.transport.write(bytes((1, len(user))) + user + bytes((len(password),)) + password)
        if (await talk.take(2))[1]:
            raise ProxyRefused("the SOCKS proxy refused the password")
    talk.transport.write(b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2, "big"))
    version, status, _, kind = await talk.take(4)
    if version != 5 or status:
        reason = _SOCKS_REFUSALS[status] if status < len(_SOCKS_REFUSALS) else f"status {status}"
        raise ProxyRefused(f"the SOCKS proxy did not connect: {reason}")
    size = (await talk.take(1))[0] if kind == 3 else {1: 4, 4: 16}.get(kind, 0)
    await talk.take(size + 2)


def _socks_address(host: str) -> bytes:
    try:
        packed = ip_address(host).packed
    except ValueError:
        name = host.encode("ascii")[:255]
        return bytes((3, len(name))) + name
    return bytes((1 if len(packed) == 4 else 4,)) + packed
