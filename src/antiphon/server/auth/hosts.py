"""Host and Origin checks, against DNS rebinding.

A page of a foreign name is, to the browser, of the same origin as a server that this name is pointed at: it may send
requests without an Origin and read the answers. Only the Host header tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from antiphon.config.origins import WEB_SCHEMES, Origins, is_scheme, is_web
from antiphon.errors import APIError
from antiphon.server.http.messages import Header

INNER_NAMES = frozenset(
    "host.docker.internal gateway.docker.internal host.containers.internal host.lima.internal host.orb.internal".split()
)
"""Names by which containers call their host; nobody can register them."""

PROBES = frozenset((b"/health", b"/ready", b"/v1/health", b"/v1/ready"))
"""What is asked by probes, which name addresses of any kind, or none."""

MOST_REMEMBERED = 256


class Hosts:
    """The names: loopback ones, those of containers' hosts, and `allowed` ones (`*.example.com`; `*` for all).

    `origins` are pages of other web sites that may call this server.
    """

    def __init__(self, allowed: Sequence[str] = (), origins: Origins | None = None) -> None:
        self.origins = origins or Origins()
        self.configured = bool(allowed)
        self._names = frozenset(_plain(name) for name in allowed)
        self._tails = tuple(name.lower()[1:] for name in allowed if name.startswith("*."))
        self._good: set[bytes] = set()

    def check(self, raw_path: bytes, host: bytes | None, *, open: bool) -> None:
        """Refuse a request whose Host header names another host. Raises APIError 403.

        On an `open` server probes need no Host; on another one they may name any.
        """
        if host in self._good or (host is not None and self.knows(host)):
            return
        if raw_path in PROBES and (host is None or not open):
            return
        if host is None:
            raise APIError(403, "Missing Host header.", code="host_not_allowed")
        shown = host[:100].decode("latin-1")
        way_out = "Use 127.0.0.1 or localhost, or add the host to the setting 'allowed_hosts'."
        raise APIError(403, f"Host '{shown}' is not allowed. {way_out}", code="host_not_allowed")

    def knows(self, host: bytes) -> bool:
        """Tell whether a Host header is one of the names; its port does not matter."""
        if host in self._good:
            return True
        name = _plain(host.decode("latin-1"))
        good = is_loopback_name(name) or name in INNER_NAMES or self._named(name)
        if good and len(self._good) < MOST_REMEMBERED:
            self._good.add(host)
        return good

    def check_origin(self, headers: Sequence[Header]) -> None:
        """Refuse other web sites' pages, on an open server. Raises APIError 403."""
        origins = [value for name, value in headers if name == b"origin"]
        if origins and (len(origins) > 1 or not self.lets_read(origins[0], _host_of(headers))):
            raise APIError(
                403,
                "Cross-origin request refused: without API keys, this server does not answer pages of other web sites,"
                " unless they are named in the setting 'cors_origins'.",
                code="foreign_origin",
            )

    def check_socket(self, headers: Sequence[Header]) -> None:
        """Refuse the WebSockets of other web sites' pages, on a server with keys. Raises APIError 403.

        Where origins are named, the server has to look: browsers ask for no leave before they open a WebSocket.
        """
        if self.origins.auto:
            return
        for name, origin in headers:
            if name != b"origin" or not is_web(origin.decode("latin-1")):
                continue
            if not self.lets_read(origin, _host_of(headers)):
                raise APIError(403, "The page's origin is not one of 'cors_origins'.", code="foreign_origin")

    def lets_read(self, origin: bytes, host: bytes | None) -> bool:
        """Tell whether the pages of an origin may read answers of an open server, which was asked for under a Host."""
        text = origin.decode("latin-1")
        return self.origins.names(text) or self._is_own(text, (host or b"").decode("latin-1"))

    def _is_own(self, origin: str, host: str) -> bool:
        """Tell whether an Origin is ours. Only web pages have origins of web schemes: extensions and programs pass."""
        scheme, separator, address = origin.strip().lower().partition("://")
        if not separator or not address or not is_scheme(scheme) or " " in address:
            return False
        if scheme not in ("http", "https"):
            return scheme not in WEB_SCHEMES and self.origins.auto
        return (address == host.strip().lower() and self.knows(host.encode("latin-1"))) or self._named(_plain(address))

    def _named(self, name: str) -> bool:
        return name in self._names or name.endswith(self._tails) or ("*" in self._names and name != "")


def _host_of(headers: Sequence[Header]) -> bytes | None:
    return next((value for name, value in headers if name == b"host"), None)


def is_loopback_name(name: str) -> bool:
    """Tell whether a name, in lower case and without a port, can only mean this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    in_brackets = name.startswith("[") and name.endswith("]")
    try:
        address = ip_address(name[1:-1] if in_brackets else name)
    except ValueError:
        return False
    return address.is_loopback and (address.version == 6) == in_brackets


def _plain(host: str) -> str:
    """Return a host in lower case and without its port."""
    host = host.strip().lower()
    name, colon, port = host.rpartition(":")
    return (
        name if colon and port.isdecimal() and ("]" not in port) and (":" not in name or name.endswith("]")) else host
    )
