"""HTTP/1.1 client: one origin, keep-alive connections, streamed answers, directly or through a proxy."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import Mapping

from antiphon.errors import BackendError, ConfigError, OutOfFiles
from antiphon.net.http.address import Address
from antiphon.net.http.protocol import ANSWER_LIMIT, HttpConnection, StaleConnection, Timeouts
from antiphon.net.http.response import HttpResponse, broke_off
from antiphon.net.http.tunnel import ProxyRefused, asks_proxy, open_connection
from antiphon.net.proxies import Proxy
from antiphon.net.tls import default_context, tls_fault

__all__ = ["HttpClient", "HttpResponse", "Timeouts"]

log = logging.getLogger("antiphon.net.http")

MAX_IDLE_SECONDS = 60.0
RETRY_AFTER = {"Retry-After": "2"}
OUT_OF_FILES = "The server has too many connections at the moment."


JSON = b"application/json"


class HttpClient:
    """Sends requests to one backend, through a `proxy` where there is one. Redirects are not followed.

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
        proxy: Proxy | None = None,
    ) -> None:
        self.address = address
        self.proxy = proxy
        self._timeouts = timeouts or Timeouts()
        self._max_idle = max_idle
        self._max_answer = max_answer
        self._tls = (tls or default_context()) if address.tls else None
        self._head = _head(address, headers or {})
        self._prefix = ""  # what stands before a path, where the proxy itself makes the request
        if proxy is not None and asks_proxy(address, proxy):
            self._prefix = f"http://{address.authority}"
            if proxy.authorization:
                self._head += f"proxy-authorization: {proxy.authorization}\r\n".encode("ascii")
        # Of POST with JSON, by path: each GET may have another query, each form another type.
        self._starts: dict[str, bytes] = {}
        self._idle: dict[HttpConnection, float] = {}
        self._all: set[HttpConnection] = set()
        self._shut = False

    async def send(
        self, method: str, path: str, body: bytes = b"", headers: bytes = b"", content_type: bytes = JSON
    ) -> HttpResponse:
        """Send a request and return once the head of its answer is here. `path` is absolute.

        `headers` are further ones of this request, as they stand on the wire.
        Cancelling this closes the connection.
        """
        request = self._request(method, path, body, headers, content_type)
        connection = self._pop()
        if connection is not None:
            response = connection.send(request)
            try:
                await response.head
                return response
            except StaleConnection:
                log.debug("stale keep-alive connection; resending the request")
            except asyncio.CancelledError:
                connection.close()
                raise
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

    def _request(self, method: str, path: str, body: bytes, headers: bytes, content_type: bytes) -> bytes:
        kept = method == "POST" and content_type == JSON
        start = self._starts.get(path) if kept else None
        if start is None:
            start = f"{method} {self._prefix}{path} HTTP/1.1\r\n".encode("ascii") + self._head
            if method != "GET":
                start += b"content-type: %b\r\ncontent-length: " % content_type
            if kept:
                self._starts[path] = start
        if method == "GET":
            return b"".join((start, headers, b"\r\n"))
        return b"".join((start, b"%d\r\n" % len(body), headers, b"\r\n", body))

    # Connections

    async def _connect(self) -> HttpConnection:
        connection = HttpConnection(self._timeouts, self._release, self._forget, self._max_answer)
        try:
            async with asyncio.timeout(self._timeouts.connect):
                await open_connection(lambda: connection, self.address, self._tls, self.proxy)
        except (OSError, ProxyRefused) as error:
            connection.close()
            log.warning("connecting to %s failed: %s", self._peer(), str(error) or _wordless(error))
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                raise OutOfFiles(503, OUT_OF_FILES, code="server_overloaded", headers=RETRY_AFTER) from None
            raise _unavailable(tls_fault(error)) from None
        except BaseException:
            connection.close()
            raise
        self._all.add(connection)
        if self._shut:
            connection.close()
            raise _unavailable()
        return connection

    def _peer(self) -> str:
        """Return where a connection goes, for the log."""
        peer = self.address.socket or self.address.authority
        return f"{peer} through the proxy {self.proxy}" if self.proxy is not None else peer

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


def _wordless(error: Exception) -> str:
    return "timed out" if isinstance(error, TimeoutError) else "the connection was closed while it was made"


def _unavailable(words: str = "") -> BackendError:
    words = words or "The backend cannot be reached."
    return BackendError(503, words, code="backend_unavailable", headers=RETRY_AFTER, retriable=True)


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
