"""Fetching of files from users' URLs: every hop uses the address that the guard has checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import quote, unquote, urljoin, urlsplit

import msgspec

from antiphon.errors import BackendError, ConfigError, InvalidRequest
from antiphon.net.http.address import SAFE, Address
from antiphon.net.http.client import HttpClient, HttpResponse, Timeouts
from antiphon.net.http.protocol import HEAD_LIMIT
from antiphon.net.proxies import proxy_for
from antiphon.net.url_guard import UrlGuard, split_url
from antiphon.runtime.fair_turns import FairTurns
from antiphon.runtime.request_memory import owner

MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
TIMEOUTS = Timeouts(connect=10.0, first_byte=30.0, idle=15.0)
USER_AGENT = "Antiphon/0.1 (self-hosted server of the Responses API)"  # Wikipedia and others ask for a name
SECONDS = 60.0  # for the whole of a file
MOST_AT_ONCE = 32  # files, for all requests of the process
OF_OWNER = 8  # of those, for the requests of one owner
LONGEST_DISPOSITION = 1024  # bytes of a Content-Disposition that is read; a longer one names no file
LONGEST_NAME = 255
CHARSETS = ("utf-8", "iso-8859-1", "us-ascii")  # of a name in the form of RFC 8187; other codecs are never looked up


class Fetched(msgspec.Struct, frozen=True):
    """A file from a URL. `declared` is the media type that its server gave it, "" where it gave none.

    `url` is where it was found, after all redirects.
    """

    content: bytes
    filename: str
    declared: str
    url: str = ""


class Fetcher:
    """Fetches files of at most `limit` bytes over http and https. `packed`: servers may pack them (gzip)."""

    def __init__(
        self,
        guard: UrlGuard,
        *,
        limit: int,
        timeouts: Timeouts = TIMEOUTS,
        seconds: float = SECONDS,
        packed: bool = False,
    ) -> None:
        self._guard = guard
        self._limit = limit
        self._timeouts = timeouts
        self._seconds = seconds
        self._packed = packed
        self._turns = FairTurns(MOST_AT_ONCE, OF_OWNER)

    async def fetch(
        self, url: str, param: str, limit: int | None = None, *, allow: Callable[[str], bool] | None = None
    ) -> Fetched:
        """Return what the URL leads to, of at most `limit` bytes where that is less than the fetcher's own limit.

        `allow` is asked for each URL, those of redirects too, before anything is sent there.
        Raises InvalidRequest (`url_not_allowed`, `url_not_reachable`, `file_too_large` …).
        """
        limit = self._limit if limit is None else min(limit, self._limit)
        try:
            async with self._turns.turn(owner()), asyncio.timeout(self._seconds):
                return await self._follow(url, param, limit, allow)
        except TimeoutError:
            raise _failed("its server took too long", param) from None

    async def _follow(self, url: str, param: str, limit: int, allow: Callable[[str], bool] | None) -> Fetched:
        for _ in range(MOST_REDIRECTS + 1):
            if allow is not None and not allow(url):
                raise _failed("it redirects to a domain that is not allowed", param)
            client = await self._client(url, param)
            try:
                response = await client.send("GET", _target(url))
                if response.status not in REDIRECTS:
                    return await self._take(response, url, param, limit)
                url = _redirected(url, response.header(b"location").decode("latin-1"), param)
            except BackendError as error:
                reason = "its server took too long" if error.status == 504 else "its server cannot be reached"
                raise _failed(reason, param) from None
            finally:
                await client.close()
        raise _failed("too many redirects", param)

    async def _client(self, url: str, param: str) -> HttpClient:
        host, port = split_url(url, param)
        try:
            address = Address(host=_ascii(host), port=port, tls=urlsplit(url).scheme == "https")
            proxy = proxy_for(address)
            ip = await self._guard.resolve_for(proxy, host, port, param)
            return HttpClient(
                msgspec.structs.replace(address, ip=ip),
                headers={
                    "accept": "*/*",
                    "user-agent": USER_AGENT,
                    "accept-encoding": "gzip" if self._packed else "identity",
                },
                timeouts=self._timeouts,
                max_answer=2 * self._limit + HEAD_LIMIT,  # with the frames of its chunks
                proxy=proxy,
            )
        except (ConfigError, UnicodeError):
            raise InvalidRequest("The URL's host is not a valid name.", param=param, code="invalid_url") from None

    async def _take(self, response: HttpResponse, url: str, param: str, limit: int) -> Fetched:
        if response.status != 200:
            raise _failed(f"its server answered with status {response.status}", param)
        if response.header(b"content-encoding").lower() not in (
            b"",
            b"identity",
            *((b"gzip",) if self._packed else ()),
        ):
            raise _failed(
                "its server sent a content encoding that was not requested", param
            )  # nothing that unpacks without end
        length = response.header(b"content-length")
        if length.isdigit() and (len(length) > 18 or int(length) > limit):
            raise _too_large(limit, param)
        content = await _read(response, param, limit)
        declared = response.header(b"content-type").decode("latin-1")
        return Fetched(content, _filename(url, response.header(b"content-disposition")), declared, url)


async def _read(response: HttpResponse, param: str, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := await response.read():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise _too_large(limit, param)
    return b"".join(pieces)


def _too_large(limit: int, param: str) -> InvalidRequest:
    return InvalidRequest(f"The file is larger than {limit} bytes.", param=param, code="file_too_large")


def _redirected(url: str, location: str, param: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise _failed("it redirects to an invalid URL", param) from None


def _target(url: str) -> str:
    parts = urlsplit(url)
    query = f"?{quote(parts.query, safe=SAFE)}" if parts.query else ""
    return f"{quote(parts.path or '/', safe=SAFE)}{query}"


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _filename(url: str, disposition: bytes) -> str:
    """Return a file's name: as its server says (RFC 6266), else the last part of the URL's path."""
    name = _disposed(disposition[: LONGEST_DISPOSITION + 1].decode("latin-1")) or unquote(urlsplit(url).path)
    name = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in name if letter.isprintable())[:LONGEST_NAME] or "file"


def _disposed(disposition: str) -> str:
    """Return the file name of a Content-Disposition, "" where it has none or is too long to be read."""
    if len(disposition) > LONGEST_DISPOSITION:
        return ""
    from email.message import Message  # 7 ms that the start need not wait for

    headers = Message()
    try:
        headers["content-disposition"] = disposition
        name = headers.get_param("filename", header="content-disposition")
    except ValueError:
        return ""
    if not isinstance(name, tuple):
        return name or ""
    charset, _, text = name  # the bytes of the name, as latin-1
    known = (charset or "us-ascii").lower()
    return text.encode("latin-1", "replace").decode(known, "replace") if known in CHARSETS else ""


def _failed(reason: str, param: str) -> InvalidRequest:
    return InvalidRequest(f"The file cannot be fetched: {reason}.", param=param, code="url_not_reachable")
