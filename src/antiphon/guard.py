"""The guard in front of URLs that users give: MCP servers, files, images.

Private, loopback, link-local and other special addresses are refused unless a network is allowed by the operator.
A name is resolved once, and the connection goes to the address that was checked: a second answer of the DNS changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from antiphon.errors import ConfigError, InvalidRequest

Address = IPv4Address | IPv6Address

_NAT64 = ip_network("64:ff9b::/96")


class Unresolvable(InvalidRequest):
    """The host has no address here."""


class UrlGuard:
    """Checks URLs. `allow` holds networks in CIDR notation that are let through although they are not public."""

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self.allow(allow)

    def allow(self, networks: Sequence[str]) -> None:
        """Let other networks through from now on. Raises ConfigError, and then nothing has changed."""
        self._allow = [_network(text) for text in networks]

    async def check(self, url: str, param: str) -> None:
        """Refuse a URL that does not lead to a public or allowed address. Raises InvalidRequest, Unresolvable."""
        host, port = split_url(url, param)
        await self.resolve(host, port, param)

    async def resolve(self, host: str, port: int, param: str = "") -> str:
        """Return an address of the host to connect to. Raises InvalidRequest if any of its addresses is refused."""
        addresses = await _lookup(host, port, param)
        for address in addresses:
            if not self.allows(address):
                raise InvalidRequest(
                    f"The URL's host '{host}' leads to a private or reserved address, which this server does not call.",
                    param=param,
                    code="url_not_allowed",
                )
        return str(addresses[0])

    def allows(self, address: Address) -> bool:
        """Tell whether an address may be called; addresses wrapped in IPv6 count as what they wrap."""
        inner = _unwrapped(address)
        if any(inner in network or address in network for network in self._allow):
            return True
        return inner.is_global and not inner.is_multicast


def split_url(url: str, param: str) -> tuple[str, int]:
    """Return the host and port of an http(s) URL. Raises InvalidRequest."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        raise _bad_url(param) from None
    if not port or not parts.hostname or parts.username is not None:
        raise _bad_url(param)
    return parts.hostname, port


def _bad_url(param: str) -> InvalidRequest:
    return InvalidRequest(
        "A URL is http:// or https://, with a host and without a user.", param=param, code="invalid_url"
    )


async def _lookup(host: str, port: int, param: str) -> list[Address]:
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unresolvable(f"The URL's host '{host}' cannot be found.", param=param, code="url_not_reachable") from None
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 one (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ConfigError(f"url_guard_allow: '{text}' is not a network in CIDR notation.") from None
