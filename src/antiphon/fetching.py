"""Fetches files from URLs that users give: every hop goes to the address that the guard has checked."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from urllib.parse import quote, unquote, urljoin, urlsplit

import msgspec

from antiphon.backends.http_client import Address, HttpClient, HttpResponse, Timeouts
from antiphon.errors import BackendError, ConfigError, InvalidRequest
from antiphon.guard import UrlGuard, split_url

MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
TIMEOUTS = Timeouts(connect=10.0, first_byte=30.0, idle=15.0)
SECONDS = 60.0  # for the whole of a file
SAFE = "/%:@!$&'()*+,;=~-._?"


class Fetched(msgspec.Struct, frozen=True):
    """A file from a URL. `declared` is the media type that its server gave it, "" where it gave none."""

    content: bytes
    filename: str
    declared: str


class Fetcher:
    """Fetches files of at most `limit` bytes over http and https."""

    def __init__(self, guard: UrlGuard, *, limit: int, timeouts: Timeouts = TIMEOUTS, seconds: float = SECONDS) -> None:
        self._guard = guard
        self._limit = limit
        self._timeouts = timeouts
        self._seconds = seconds

    async def fetch(self, url: str, param: str) -> Fetched:
        """Return what the URL leads to. Raises InvalidRequest (`url_not_allowed`, `url_not_reachable`, `file_too_large` …)."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(url, param)
        except TimeoutError:
            raise _failed("its server takes too long", param) from None

    async def _follow(self, url: str, param: str) -> Fetched:
        for _ in range(MOST_REDIRECTS + 1):
            client = await self._client(url, param)
            try:
                response = await client.send("GET", _target(url))
                if response.status not in REDIRECTS:
                    return await self._take(response, url, param)
                url = urljoin(url, response.header(b"location").decode("latin-1"))
            except BackendError as error:
                reason = "its server takes too long" if error.status == 504 else "its server cannot be reached"
                raise _failed(reason, param) from None
            finally:
                await client.close()
        raise _failed("it redirects too often", param)

    async def _client(self, url: str, param: str) -> HttpClient:
        host, port = split_url(url, param)
        ip = await self._guard.resolve(host, port, param)
        tls = urlsplit(url).scheme == "https"
        try:
            address = Address(host=_ascii(host), port=port, tls=tls, ip=ip)
            return HttpClient(
                address, headers={"accept": "*/*"}, timeouts=self._timeouts, tls=_tls_context() if tls else None
            )
        except (ConfigError, UnicodeError):
            raise InvalidRequest("The URL's host is not a valid name.", param=param, code="invalid_url") from None

    async def _take(self, response: HttpResponse, url: str, param: str) -> Fetched:
        if response.status != 200:
            raise _failed(f"its server answers {response.status}", param)
        if response.header(b"content-encoding").lower() not in (b"", b"identity"):
            raise _failed("its server packs it although it was asked not to", param)  # nothing that unpacks without end
        length = response.header(b"content-length")
        if length.isdigit() and int(length) > self._limit:
            raise self._too_large(param)
        content = await self._read(response, param)
        declared = response.header(b"content-type").decode("latin-1")
        return Fetched(content, _filename(url, response.header(b"content-disposition")), declared)

    async def _read(self, response: HttpResponse, param: str) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await response.read():
            pieces.append(piece)
            size += len(piece)
            if size > self._limit:
                raise self._too_large(param)
        return b"".join(pieces)

    def _too_large(self, param: str) -> InvalidRequest:
        return InvalidRequest(f"The file is larger than {self._limit} bytes.", param=param, code="file_too_large")


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _target(url: str) -> str:
    parts = urlsplit(url)
    query = f"?{quote(parts.query, safe=SAFE)}" if parts.query else ""
    return f"{quote(parts.path or '/', safe=SAFE)}{query}"


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _filename(url: str, disposition: bytes) -> str:
    from email.message import Message  # 7 ms that the start need not wait for

    headers = Message()
    headers["content-disposition"] = disposition.decode("latin-1")
    name = headers.get_filename() or unquote(urlsplit(url).path)
    return name.replace("\\", "/").rpartition("/")[2] or "file"


def _failed(reason: str, param: str) -> InvalidRequest:
    return InvalidRequest(f"The file cannot be fetched: {reason}.", param=param, code="url_not_reachable")
