"""Where a server is: host and port or a unix socket, the path and query of its base URL."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

import msgspec

from antiphon.errors import ConfigError

UNIX = "unix:"
SAFE = "/%:@!$&'()*+,;=~-._?"
"""What a target may have as it is; anything else is percent-encoded, such as a blank."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Address of a server: host and port, or a unix socket; `path` and `query`: those of its base URL.

    With an `ip` the connection goes there, while `host` stays the name in the Host header and in TLS.
    """

    host: str
    port: int
    tls: bool = False
    path: str = ""
    query: str = ""
    socket: str = ""
    ip: str = ""

    @property
    def authority(self) -> str:
        return self.named(443 if self.tls else 80)

    def named(self, usual: int = 0) -> str:
        """Return host and port, without the port where it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == usual else f"{host}:{self.port}"

    def url(self, path: str) -> str:
        """Return the URL of a path below the base URL, without the query, which may hold a key."""
        before = f"unix:{self.socket}:" if self.socket else f"{'https' if self.tls else 'http'}://{self.authority}"
        return f"{before}{self.path}{path}"

    def target(self, path: str) -> str:
        """Return the target of a request below the base URL: its query stays behind the path."""
        return self.with_query(f"{self.path}{path}")

    def with_query(self, path: str) -> str:
        """Return a path of the server with the query of the base URL."""
        return f"{path}?{self.query}" if self.query else path


def parse_url(url: str, socket: str = "") -> Address:
    """Take a base URL apart: http, https, or `unix:/path/of/socket` with `:/v1` behind it for a path.

    Raises ConfigError, which does not repeat a URL that may hold a password.
    """
    if url.startswith(UNIX):
        return _unix(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError("Invalid backend URL: bad port or address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("Invalid backend URL: must start with http://, https:// or unix:/ and have a host.")
    if parts.username or parts.fragment:
        raise ConfigError("Invalid backend URL: must not have a user or fragment; set the key as `key`.")
    tls = parts.scheme == "https"
    return Address(
        host=parts.hostname,
        port=port or (443 if tls else 80),
        tls=tls,
        path=quote(parts.path, safe=SAFE).rstrip("/"),
        query=quote(parts.query, safe=SAFE),
        socket=socket,
    )


def _unix(url: str) -> Address:
    """Read `unix:/run/llama.sock` and `unix:/run/llama.sock:/v1?a=b`; `unix:///run/…` too."""
    socket, _, rest = url.removeprefix(UNIX).removeprefix("//").partition(":")
    path, _, query = rest.partition("?")
    if not socket.startswith("/") or (rest and not rest.startswith("/")):
        raise ConfigError("Invalid backend URL: expected unix:/path/of/socket or unix:/path/of/socket:/v1.")
    return Address(
        host="localhost",
        port=80,
        path=quote(path, safe=SAFE).rstrip("/"),
        query=quote(query, safe=SAFE),
        socket=unquote(socket),
    )
