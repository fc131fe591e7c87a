"""URL guard: refuses private addresses in users' URLs (MCP servers, files, images).

Private, loopback, link-local and other special addresses are refused unless the operator allows the network or the host.
A name is resolved once, and the connection goes to the address that was checked: a second answer of the DNS changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from antiphon.errors import ConfigError, InvalidRequest
from antiphon.net.proxies import Proxy
from antiphon.runtime.fair_turns import FairTurns
from antiphon.runtime.request_memory import owner

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MOST_URL = 8192
"""Characters of the longest URL that is looked at; data URLs are no addresses and do not count."""

MOST_LOOKUPS = 2
"""Names that are looked up at once: the event loop has four threads for it, and backends' names need them too."""

LOOKUPS_OF_OWNER = 1
"""Of those, the ones that requests of one owner name: names that are slow to resolve do not hold up other owners."""

LOOKUP_SECONDS = 10.0

_EMBEDDED = (  # prefixes whose last 32 bits are an IPv4 address: NAT64 (RFC 6052, RFC 8215), IPv4-compatible (RFC 4291)
    ip_network("64:ff9b::/96"),
    ip_network("64:ff9b:1::/96"),
    ip_network("::/96"),
    ip_network("::ffff:0:0:0/96"),
)
_ISATAP = (0x5EFE, 0x0200_5EFE)  # the middle of an interface id whose end is an IPv4 address (RFC 5214)
_REFUSED = (  # `ipaddress` counts these as global
    ip_network("168.63.129.16/32"),  # Azure's host
    ip_network("192.0.0.0/24"),  # protocol assignments; Oracle's metadata is among them
    ip_network("192.88.99.0/24"),  # 6to4 relays, withdrawn
    ip_network("fec0::/10"),  # site-local, withdrawn
    ip_network("5f00::/16"),  # segment routing
)
_LOCAL_NAMES = frozenset(("localhost", "ip6-localhost", "ip6-loopback", "broadcasthost"))
_LOCAL_SUFFIXES = frozenset(
    "localhost localdomain local internal intranet lan home corp private svc arpa onion".split()
)
"""Last labels of names that lead into somebody's own network (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`)."""

_CONTROLS = frozenset(map(chr, (*range(32), 127)))
_HOST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-._")


class Unresolvable(InvalidRequest):
    """The host has no address here."""


class UrlGuard:
    """Checks URLs. `allow`: private networks (CIDR) and hosts that are allowed.

    A host is a name such as `images.internal`, or `*.cluster.local` for all names below one.
    """

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self._lookups = FairTurns(MOST_LOOKUPS, LOOKUPS_OF_OWNER)
        self.allow(allow)

    def allow(self, entries: Sequence[str]) -> None:
        """Let other networks and hosts through from now on. Raises ConfigError, and then nothing has changed."""
        wrong = next((entry for entry in entries if not is_allowance(entry)), None)
        if wrong is not None:
            raise ConfigError(f"url_guard_allow: '{wrong}' is neither a network in CIDR notation nor a host name.")
        networks = {entry: _network(entry) for entry in entries}
        self._networks = [network for network in networks.values() if network is not None]
        self._hosts = frozenset(_host_entry(entry) for entry, network in networks.items() if network is None)

    async def check(self, url: str, param: str) -> None:
        """Refuse a URL that does not lead to a public or allowed address. Raises InvalidRequest, Unresolvable."""
        host, port = split_url(url, param)
        if not self._allows_host(host):
            await self.resolve(host, port, param)

    async def resolve(self, host: str, port: int, param: str = "") -> str:
        """Return an address of the host to connect to. Raises InvalidRequest if any of its addresses is refused.

        `host` is one that `split_url` has returned, `port` a TCP port.
        """
        literal = _literal(host)
        if self._allows_host(host):
            return str(literal or (await self._lookup(host, port, param))[0])
        allows = self.allows
        if literal is None and is_local_name(host):
            if not self._networks:
                raise _refused(host, param)  # a look-up would tell which names there are
            allows = self._allows_network
        addresses = [literal] if literal is not None else await self._lookup(host, port, param)
        if not all(map(allows, addresses)):
            raise _refused(host, param)
        return str(addresses[0])

    async def resolve_for(self, proxy: Proxy | None, host: str, port: int, param: str = "") -> str:
        """Return the address to connect to, or to have a proxy connect to; "" where the proxy is given the name itself.

        A proxy resolves names once more, and stands inside of the network: it is asked for the address that was checked.
        Hosts that the operator allows by name are its own to find.
        """
        if proxy is not None and self._allows_host(host):
            return ""
        return await self.resolve(host, port, param)

    async def _lookup(self, host: str, port: int, param: str) -> list[Address]:
        """Ask the DNS. Few at a time: names that are slow to resolve must not hold up those of backends."""
        whose = owner()
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                await self._lookups.begin(whose)
            asked = asyncio.ensure_future(self._ask(host, port, whose))
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await asyncio.shield(asked)
        except TimeoutError:
            found = ()
        if not found:
            raise Unresolvable(f"The URL's host '{host}' cannot be found.", param=param, code="url_not_reachable")
        return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]

    async def _ask(self, host: str, port: int, whose: str) -> Sequence[tuple[Any, ...]]:
        """Look a name up. Its thread is busy until the end, whoever still waits for it, and so long its turn lasts."""
        try:
            return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return ()
        finally:
            self._lookups.end(whose)

    def allows(self, address: Address) -> bool:
        """Tell whether an address may be called; addresses wrapped in IPv6 count as what they wrap, and as themselves."""
        if self._allows_network(address):
            return True
        inner = _unwrapped(address)
        if any(inner in network or address in network for network in _REFUSED):
            return False
        return inner.is_global and not inner.is_multicast

    def _allows_network(self, address: Address) -> bool:
        inner = _unwrapped(address)
        return any(inner in network or address in network for network in self._networks)

    def _allows_host(self, host: str) -> bool:
        if not self._hosts:
            return False
        labels = host.split(".")
        return host in self._hosts or any("*." + ".".join(labels[at:]) in self._hosts for at in range(1, len(labels)))


def split_url(url: str, param: str) -> tuple[str, int]:
    """Return the host and port of an http(s) URL. Raises InvalidRequest.

    The host is in lower case, without brackets and without a final dot. What clients read in different ways is refused:
    percent signs, backslashes, blanks and control characters in the host, and user names.
    """
    if len(url) > MOST_URL:
        raise InvalidRequest(f"Invalid URL: must be at most {MOST_URL} characters.", param=param, code="invalid_url")
    if url != url.strip() or not _CONTROLS.isdisjoint(url):
        raise _bad_url(param)
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        raise _bad_url(param) from None
    if not port or parts.scheme not in ("http", "https") or parts.username is not None or "@" in parts.netloc:
        raise _bad_url(param)
    return _host_of(parts, param), port


def is_local_name(host: str) -> bool:
    """Tell whether a name, lower case and without a final dot, leads into somebody's own network whatever the DNS says.

    A name of one label does (it is looked up in the search domains), and one whose last label is a number: some resolvers
    read that as an address.
    """
    labels = host.split(".")
    last = labels[-1]
    return host in _LOCAL_NAMES or len(labels) == 1 or last in _LOCAL_SUFFIXES or last[:1].isdigit()


def _host_of(parts: SplitResult, param: str) -> str:
    host = (parts.hostname or "").lower()
    if ":" in host:
        if _literal(host) is None or "%" in host:
            raise _bad_url(param)
        return host
    try:
        host = host.encode("idna").decode("ascii").lower() if not host.isascii() else host
    except UnicodeError:
        raise _bad_url(param) from None
    host = host.removesuffix(".")
    if not host or len(host) > 253 or not _HOST.issuperset(host) or ".." in host or host.startswith("."):
        raise _bad_url(param)
    return host


def _bad_url(param: str) -> InvalidRequest:
    return InvalidRequest(
        "Invalid URL: must be http:// or https://, with a host name or an address and without a user.",
        param=param,
        code="invalid_url",
    )


def _refused(host: str, param: str) -> InvalidRequest:
    return InvalidRequest(
        f"The URL's host '{host}' resolves to a private or reserved address, which is not allowed.",
        param=param,
        code="url_not_allowed",
    )


def _literal(host: str) -> Address | None:
    """Return the address that a host is, also in the old spellings of IPv4 (`127.1`, `0x7f.1`, `2130706433`), or None."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    if not host[:1].isdigit():
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64 …), or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    number = int(address)
    if any(address in network for network in _EMBEDDED) and number > 1:
        return IPv4Address(number & 0xFFFFFFFF)
    if (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(number & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or address


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _host_entry(text: str) -> str:
    """Return a host of `url_guard_allow` as it is compared."""
    return text.lower().removesuffix(".")


def is_allowance(text: str) -> bool:
    """Tell whether an entry of `url_guard_allow` is a network, an address, a host name or `*.` and a domain."""
    host = _host_entry(text)
    name = host.removeprefix("*.")
    return _network(text) is not None or (
        bool(name) and _HOST.issuperset(name) and not name[-1].isdigit() and not name.startswith(".")
    )
