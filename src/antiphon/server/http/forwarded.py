"""The way to this server: the path below which it is served, and what trusted proxies in front say of a request.

`X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are believed of `trusted_proxies` only; of anybody else they are headers like
any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from antiphon.server.http.exchange import Exchange, below, first_of_each
from antiphon.server.http.messages import Header

UNIX = "unix"
"""An entry that stands for all who connect to a unix socket: they have no address."""

ALL = "*"
MOST_HOPS = 32
"""Addresses of `X-Forwarded-For` that are looked at, from its end."""

_PREFIX = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-._~%")


class Way:
    """Reads requests as their clients made them."""

    def __init__(self, root_path: str = "", trusted: Sequence[str] = ()) -> None:
        self.root_path = root_path
        self._proxies = TrustedProxies(trusted)
        self.direct = not (root_path or trusted)
        """Whether requests are what they seem to be."""

    def follow(self, exchange: Exchange) -> None:
        """Set what the client asked for, where it asked a proxy."""
        if self.root_path and not exchange.root_path:
            exchange.raw_path = below(exchange.raw_path, self.root_path)
            exchange.root_path = self.root_path
        if self._proxies.trusts(exchange.client):
            said = self._proxies.read(exchange.client, exchange.scheme, exchange.headers)
            exchange.client, exchange.scheme, exchange.headers = said.client, said.scheme, said.headers
            exchange.fields = first_of_each(said.headers)
            exchange.root_path = exchange.root_path or said.prefix
            exchange.direct_host = said.direct_host


class Forwarded(NamedTuple):
    """A request as the client made it. `direct_host` is the Host of the proxy's own request, where it named another one."""

    client: str
    scheme: str
    headers: Sequence[Header]
    prefix: str = ""
    direct_host: bytes | None = None


class TrustedProxies:
    """Who is believed: networks, addresses, `unix`, `*`."""

    def __init__(self, entries: Sequence[str] = ()) -> None:
        self._all = ALL in entries
        self._unix = self._all or UNIX in entries
        self._networks = [ip_network(entry, strict=False) for entry in entries if entry not in (ALL, UNIX)]

    def trusts(self, peer: str) -> bool:
        """Tell whether a peer is believed; "" is one on a unix socket."""
        return self._unix if not peer else self._all or self._is_one(peer)

    def _is_one(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        plain = (found.ipv4_mapped if isinstance(found, IPv6Address) else None) or found
        return any(plain in network for network in self._networks)

    def read(self, peer: str, scheme: str, headers: Sequence[Header]) -> Forwarded:
        """Return what a trusted peer says of a request; what is missing or no good stays as the connection has it."""
        said: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            if name.startswith(b"x-forwarded-"):
                said.setdefault(name[12:], []).append(value)
        if not said:
            return Forwarded(peer, scheme, headers)
        proto = _first(said, b"proto").lower()
        client = self._client(peer, b",".join(said.get(b"for", ())))
        host, prefix = _first(said, b"host"), _first(said, b"prefix").rstrip(b"/")
        direct = None
        if host and not set(host) & set(b" /\\@?#"):
            direct = next((value for name, value in headers if name == b"host"), b"")
            headers = [*(header for header in headers if header[0] != b"host"), (b"host", host)]
        good = prefix.startswith(b"/") and not prefix.startswith(b"//") and _PREFIX.issuperset(prefix)
        return Forwarded(
            client,
            proto.decode("latin-1") if proto in (b"http", b"https") else scheme,
            headers,
            prefix.decode("ascii") if good else "",
            direct,
        )

    def _client(self, peer: str, hops: bytes) -> str:
        """Return the last address that is none of the proxies': whatever stands before it may be made up."""
        client = peer
        for hop in reversed(hops.decode("latin-1").rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
            address = _address(hop.strip())
            if not address:
                return client
            client = address
            if not (self._all or self._is_one(address)):
                return client
        return client


def _first(said: dict[bytes, list[bytes]], name: bytes) -> bytes:
    """Return what the outermost proxy has said, b"" where nobody has."""
    return said[name][0].partition(b",")[0].strip() if name in said else b""


def _address(text: str) -> str:
    """Return an address without brackets and port, "" where it is none."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal() and (host.endswith("]") or ":" not in host):
        text = host
    try:
        return str(ip_address(text.strip('[]"')))
    except ValueError:
        return ""
