"""Origins of web pages that may call this server from a browser: `cors_origins`, for CORS and for WebSocket handshakes.

An Origin is no credential: where keys are asked for, they decide, and no cookie or password of a browser's is ever used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

AUTO = "auto"
"""On servers that ask for keys all origins; on open ones those that are no web pages: apps and extensions."""

ALL = "*"
NULL = "null"
"""The Origin of pages that have none: files, sandboxed frames."""

PORTS = {"http": "80", "https": "443"}
WEB_SCHEMES = frozenset("http https ws wss ftp file data blob about javascript".split())


class OriginPattern(NamedTuple):
    """An entry of the setting. `host` may be `*` or begin with `*.`, `port` may be `*`; "" is the scheme's own."""

    scheme: str
    host: str
    port: str

    def fits(self, scheme: str, host: str, port: str) -> bool:
        if scheme != self.scheme or self.port not in (ALL, port):
            return False
        return host == self.host or self.host == ALL or (self.host[:2] == "*." and host.endswith(self.host[1:]))


class Origins:
    """The origins of some entries."""

    def __init__(self, entries: Sequence[str] = (AUTO,)) -> None:
        self.auto = AUTO in entries
        self.all = ALL in entries
        self._null = NULL in entries
        found = (_parse(entry) for entry in entries if entry not in (AUTO, ALL, NULL))
        self._patterns = [OriginPattern(*parts) for parts in found if parts is not None]

    def names(self, origin: str) -> bool:
        """Tell whether an origin is one of the entries."""
        if self.all:
            return True
        if origin == NULL:
            return self._null
        parts = _parse(origin)
        return parts is not None and ALL not in parts and any(pattern.fits(*parts) for pattern in self._patterns)


def is_origin(entry: str) -> bool:
    """Tell whether an entry of the setting is one: `*`, `auto`, `null`, or scheme://host with or without a port."""
    if entry in (AUTO, ALL, NULL):
        return True
    parts = _parse(entry)
    return parts is not None and (parts[1] == ALL or ALL not in parts[1].removeprefix("*."))


def is_web(origin: str) -> bool:
    """Tell whether an origin is, or may be, that of a web page."""
    return origin.partition("://")[0].lower() in WEB_SCHEMES or "://" not in origin


def _parse(origin: str) -> tuple[str, str, str] | None:
    """Return scheme, host and port of an origin, in lower case; None for what is none."""
    scheme, separator, rest = origin.strip().lower().rstrip("/").partition("://")
    if not separator or not rest or not is_scheme(scheme) or not set(rest).isdisjoint("/?#@\\ \t,"):
        return None
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, ""
    if not host or (port != ALL and port and not port.isdecimal()) or (colon and not port and not rest.endswith("]")):
        return None
    try:
        urlsplit(f"{scheme}://{host.replace(ALL, 'x')}")
    except ValueError:
        return None
    return scheme, host, "" if port == PORTS.get(scheme) else port


def is_scheme(scheme: str) -> bool:
    """Tell whether this is a scheme of URLs (RFC 3986, 3.1), in lower case."""
    return scheme[:1].isalpha() and scheme.isascii() and scheme.translate(_SCHEME_MARKS).isalnum()


_SCHEME_MARKS = str.maketrans("", "", "+-.")
