"""Proxies towards other servers: of the environment (`HTTPS_PROXY`, `NO_PROXY` …), or of a setting.

The environment is read once. Addresses of this machine are never asked of its proxies: they would mean the proxy's machine.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

import msgspec

from antiphon.errors import ConfigError
from antiphon.net.http.address import Address

NONE = "none"
"""A setting `proxy` that means: no proxy, whatever the environment says."""
PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

Network = IPv4Network | IPv6Network


class Proxy(msgspec.Struct, frozen=True):
    """A proxy: HTTP (`http`, `https`: TLS to the proxy) or SOCKS 5. `str` of it has no password."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authorization(self) -> str:
        """The value of `proxy-authorization`, "" where the proxy wants no password."""
        if not (self.user or self.password):
            return ""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        user = "***@" if self.user or self.password else ""
        return f"{self.scheme}://{user}{self.authority}"

    __repr__ = __str__


class NoProxy:
    """`NO_PROXY`: names with the names below them, addresses, networks (CIDR), each with a port or not; `*` for all."""

    def __init__(self, text: str = "") -> None:
        self._all = False
        self._names: list[tuple[str, int]] = []
        self._networks: list[tuple[Network, int]] = []
        for entry in text.replace(",", " ").lower().split():
            if entry == "*":
                self._all = True
                continue
            name, port = _with_port(entry)
            try:
                self._networks.append((ip_network(name, strict=False), port))
            except ValueError:
                self._names.append((name.removeprefix("*").strip("."), port))

    def covers(self, host: str, port: int) -> bool:
        """Tell whether a host is called directly. `host` has no brackets; a final dot does not matter."""
        name = host.lower().rstrip(".")
        if self._all or _is_this_machine(name):
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return any(
                (not at or at == port) and bool(known) and (name == known or name.endswith(f".{known}"))
                for known, at in self._names
            )
        return any((not at or at == port) and address in network for network, at in self._networks)


class Proxies(msgspec.Struct, frozen=True):
    """Which proxy a server is called through: `by_scheme` has that of `http` and of `https`."""

    by_scheme: Mapping[str, Proxy]
    direct: NoProxy

    def find(self, host: str, port: int, *, tls: bool) -> Proxy | None:
        """Return the proxy for a server, None where it is called directly."""
        proxy = self.by_scheme.get("https" if tls else "http")
        return None if proxy is None or self.direct.covers(host, port) else proxy


def parse_proxy(url: str, name: str) -> Proxy:
    """Read a proxy's URL; `proxy:3128` is one, too. Raises ConfigError, which does not repeat its password."""
    wrong = ConfigError(f"{name}: expected a proxy such as http://user:password@proxy:3128 or socks5://proxy:1080")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise wrong from None
    host = parts.hostname or ""
    named = parts.scheme in PORTS and port and host.strip() and host.isprintable()
    if not named or parts.query or parts.fragment or parts.path.strip("/"):
        raise wrong
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(parts.scheme, host, port, user, password)


def from_environment(environ: Mapping[str, str]) -> Proxies:
    """Return the proxies that variables name; those in small letters win, as with curl. Raises ConfigError."""
    given = dict(_variables(environ))
    found = {}
    for scheme in ("http", "https"):
        name = f"{scheme.upper()}_PROXY"
        name = name if given.get(name) else "ALL_PROXY"
        if given.get(name):
            found[scheme] = parse_proxy(given[name], name)
    return Proxies(found, NoProxy(given.get("NO_PROXY", "")))


@cache
def environment_proxies() -> Proxies:
    """Return those of this process, read once. Raises ConfigError."""
    return from_environment(os.environ)


def proxy_for(address: Address, setting: str = "", name: str = "proxy") -> Proxy | None:
    """Return the proxy for a server: that of a setting, where there is one, else the environment's. Raises ConfigError."""
    if setting == NONE or address.socket:
        return None
    if setting:
        return parse_proxy(setting, name)
    return environment_proxies().find(address.host, address.port, tls=address.tls)


def shown(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what the environment says of proxies, passwords masked. Raises ConfigError."""
    for name, value in _variables(environ):
        yield name, value if name == "NO_PROXY" else str(parse_proxy(value, name))


def passwords(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the passwords of the environment's proxies, so that they can be masked. Raises ConfigError."""
    for proxy in from_environment(environ).by_scheme.values():
        if proxy.password:
            yield from (proxy.password, proxy.authorization.removeprefix("Basic "))


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that count and are not empty. HTTP_PROXY is a client's header where this runs as a CGI program."""
    for name in VARIABLES:
        small, large = environ.get(name.lower()), environ.get(name)
        if name == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            large = None
        value = (large if small is None else small) or ""
        if value.strip():
            yield name, value.strip()


def _with_port(entry: str) -> tuple[str, int]:
    """Take `name:port`, `[address]:port` and bare addresses apart; 0 for any port."""
    host, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return entry.strip("[]"), 0


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
