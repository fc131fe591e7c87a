"""The HTTP/1.1 client of the backends: one origin, kept connections, answers in pieces as they arrive."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from antiphon.errors import BackendError, ConfigError
from antiphon.net.http.protocol import ANSWER_LIMIT, HttpConnection, StaleConnection, Timeouts
from antiphon.net.http.response import HttpResponse, broke_off

__all__ = ["Address", "HttpClient", "HttpResponse", "Timeouts"]

log = logging.getLogger("antiphon.net.http")

MAX_IDLE_SECONDS = 60.0
RETRY_AFTER = {"Retry-After": "2"}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a backend listens: host and port, or a unix socket; `path` is what its base URL ends with.

    With an `ip` the connection goes there, while `host` stays the name in the Host header and in TLS.
    """

    host: str
    port: int
    tls: bool = False
    path: str = ""
    socket: str = ""
    ip: str = ""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def parse_url(url: str, socket: str = "") -> Address:
    """Take a base URL apart. Raises ConfigError, which does not repeat a URL that may hold a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError("Invalid backend URL: bad port or address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("Invalid backend URL: must start with http:// or https:// and have a host.")
    if parts.username or parts.query or parts.fragment:
        raise ConfigError("Invalid backend URL: must not have a user, query or fragment; set the key as `key`.")
    tls = parts.scheme == "https"
    return Address(
        host=parts.hostname, port=port or (443 if tls else 80), tls=tls, path=parts.path.rstrip("/"), socket=socket
    )


class HttpClient:
    """Sends requests to one backend. Redirects are not followed, proxies not used.

    Raises BackendError for all that goes wrong: 503 (`retriable`, with Retry-After) where it cannot be reached, 504 where
    it is silent for too long, 502 where it breaks off or does not speak HTTP.
    """

    def __init__(
        self,
        address: Address,
        *,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        max_idle: int = 256,
        max_answer: int = ANSWER_LIMIT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self._timeouts = timeouts or Timeouts()
        self._max_idle = max_idle
        self._max_answer = max_answer
        self._tls = (tls or ssl.create_default_context()) if address.tls else None
        self._head = _head(address, headers or {})
        self._starts: dict[tuple[str, str], bytes] = {}
        self._idle: dict[HttpConnection, float] = {}
        self._all: set[HttpConnection] = set()
        self._shut = False

    async def send(self, method: str, path: str, body: bytes = b"", headers: bytes = b"") -> HttpResponse:
        """Send a request and return once the head of its answer is here. `path` is absolute.

        `headers` are further ones of this request, as they stand on the wire, for a method other than GET.
        Cancelling this closes the connection.
        """
        request = self._request(method, path, body, headers)
        while (connection := self._pop()) is not None:
            try:
                return await _answer(connection, request)
            except StaleConnection:
                log.debug("stale keep-alive connection; resending the request")
                break
        try:
            return await _answer(await self._connect(), request)
        except StaleConnection:
            raise broke_off() from None

    async def close(self) -> None:
        """Close all connections, those in use too."""
        self._shut = True
        self._idle.clear()
        for connection in list(self._all):
            connection.close()
        while self._all:  # noqa: ASYNC110 (each is gone with the loop's next turn)
            await asyncio.sleep(0)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._all)

    # Requests

    def _request(self, method: str, path: str, body: bytes, headers: bytes) -> bytes:
        start = self._starts.get((method, path))
        if start is None:
            start = f"{method} {path} HTTP/1.1\r\n".encode("ascii") + self._head
            self._starts[method, path] = start
        if method == "GET":
            return start + b"\r\n"
        length = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
        return b"".join((start, length, headers, b"\r\n", body))

    # Connections

    async def _connect(self) -> HttpConnection:
        loop = asyncio.get_running_loop()
        address = self.address
        connection = HttpConnection(self._timeouts, self._release, self._forget, self._max_answer)
        try:
            async with asyncio.timeout(self._timeouts.connect):
                if address.socket:
                    await loop.create_unix_connection(lambda: connection, address.socket)
                else:
                    name = address.host if self._tls else None
                    await loop.create_connection(
                        lambda: connection,
                        address.ip or address.host,
                        address.port,
                        ssl=self._tls,
                        server_hostname=name,
                    )
        except OSError as error:
            connection.close()
            log.warning("connecting to %s failed: %s", address.socket or address.authority, error or "timed out")
            raise _unavailable() from None
        except BaseException:
            connection.close()
            raise
        self._all.add(connection)
        if self._shut:
            connection.close()
            raise _unavailable()
        return connection

    def _pop(self) -> HttpConnection | None:
        """Return the kept connection that was used last: it is the least likely to be stale."""
        idle = self._idle
        oldest = asyncio.get_running_loop().time() - MAX_IDLE_SECONDS
        while idle:
            connection, since = idle.popitem()
            if connection.open and since > oldest:
                return connection
            connection.close()
        return None

    def _release(self, connection: HttpConnection) -> None:
        if self._shut or len(self._idle) >= self._max_idle:
            connection.close()
        else:
            self._idle[connection] = connection.loop.time()

    def _forget(self, connection: HttpConnection) -> None:
        self._all.discard(connection)
        self._idle.pop(connection, None)


async def _answer(connection: HttpConnection, request: bytes) -> HttpResponse:
    response = connection.send(request)
    try:
        await response.head
    except asyncio.CancelledError:
        connection.close()
        raise
    return response


def _unavailable() -> BackendError:
    return BackendError(
        503, "The backend cannot be reached.", code="backend_unavailable", headers=RETRY_AFTER, retriable=True
    )


def _head(address: Address, headers: Mapping[str, str]) -> bytes:
    """Return the header lines that all requests share. Raises ConfigError for a header that would break the head."""
    fields = {
        "host": address.authority,
        "user-agent": "antiphon",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
    }
    fields.update({name.lower(): value for name, value in headers.items()})
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
    if any(set(line[:-2]) & {"\r", "\n", "\0"} for line in lines):
        raise ConfigError("Invalid backend key or header: has a line break.")
    try:
        return "".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        raise ConfigError("Invalid backend key or header: has characters that HTTP headers cannot carry.") from None
