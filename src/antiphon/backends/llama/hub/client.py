"""HubClient: a hub's list of files, and downloads that survive broken connections. Blocking: for the start only."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Callable, Sequence
from email.message import Message
from http.client import HTTPMessage
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from socket import inet_aton
from typing import IO, Annotated, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import msgspec

from antiphon.errors import ConfigError
from antiphon.net.proxies import Proxies, environment_proxies

Report = Callable[[str, int, int], None]
"""Told of a file's name, the bytes that are here, and the bytes of the whole."""

ENDPOINT = "https://huggingface.co"
CHUNK = 1024 * 1024
ATTEMPTS = 6
"""Tries in a row that bring not one byte, before a download is given up."""

RETRIED = (408, 416, 429, 500, 502, 503, 504)
TIMEOUT = 30.0
MOST_LISTED = 16 * 1024 * 1024
"""Bytes of a repository's list of files, all its pages together."""

MOST_PAGES = 1_000
INSTEAD = "To work without it, give a local file: --model FILE.gguf"


class HubFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a repository. `sha256` is "" where the hub does not tell."""

    path: str
    size: int
    sha256: str = ""


class _Lfs(msgspec.Struct):
    oid: str = ""
    size: Annotated[int, msgspec.Meta(ge=0)] = 0


class _HubFile(msgspec.Struct):
    """A line of the hub's `/api/models/{repo}/tree/main`."""

    path: str
    type: str = "file"
    size: Annotated[int, msgspec.Meta(ge=0)] = 0
    lfs: _Lfs | None = None


_entries = msgspec.json.Decoder(list[_HubFile])
NETWORK_FAULTS = (URLError, OSError, http.client.HTTPException, ValueError, OverflowError)
"""What comes of a server that is not there or speaks no HTTP; the last two of redirects to no address."""


class HubClient:
    """Talks to one hub. Default: Hugging Face, or what HF_ENDPOINT names, with the token in HF_TOKEN."""

    def __init__(self, endpoint: str = "", token: str = "", *, pause: float = 1.0) -> None:
        self._endpoint = (endpoint or os.environ.get("HF_ENDPOINT", "") or ENDPOINT).rstrip("/")
        self._token = token or os.environ.get("HF_TOKEN", "")
        self._pause = pause
        self._opener = build_opener(_Redirects, _Proxies(environment_proxies()))

    def files(self, repo: str) -> Sequence[HubFile]:
        """List the files of a repository. Raises ConfigError."""
        url = f"{self._endpoint}/api/models/{quote(repo)}/tree/main?recursive=true"
        entries: list[_HubFile] = []
        room = MOST_LISTED
        for _ in range(MOST_PAGES):
            try:
                with self._open(url) as answer:
                    page = answer.read(room + 1)
                    url = _next_page(url, answer.headers)
                entries += _entries.decode(page)
            except HTTPError as error:
                raise self._refused(repo, error) from None
            except (msgspec.MsgspecError, RecursionError, ValueError):
                raise ConfigError(f"{self._host} sent an unexpected answer. {INSTEAD}") from None
            except NETWORK_FAULTS as error:
                raise self._unreachable(error) from None
            room -= len(page)
            if not url or room < 0:
                break
        if url or room < 0:
            raise ConfigError(f"{self._host} lists too many files of {repo}. {INSTEAD}")
        return [_hub_file(entry) for entry in entries if entry.type == "file" and is_tame(entry.path)]

    def present(self, target: Path, file: HubFile) -> int:
        """Return how many bytes of a file are here already."""
        for path in (target, _part(target)):
            if path.is_file():
                return min(path.stat().st_size, file.size)
        return 0

    def fetch(self, repo: str, file: HubFile, target: Path, report: Report) -> None:
        """Download a file unless it is here in full; go on where an earlier try ended. Raises ConfigError."""
        if target.is_file() and target.stat().st_size == file.size:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        url = f"{self._endpoint}/{quote(repo)}/resolve/main/{quote(file.path)}"
        part, failed = _part(target), 0
        if _size(part) > file.size:
            part.unlink()
        while (here := _size(part)) < file.size:
            try:
                self._receive(url, file, target, report)
            except HTTPError as error:
                if error.code not in RETRIED:
                    raise self._refused(repo, error) from None
                if error.code == 416:
                    part.unlink(missing_ok=True)
                reason: Exception = error
            except NETWORK_FAULTS as error:
                if isinstance(error, OSError) and error.filename:
                    raise  # the disk, not the network
                reason = error
            else:
                break
            failed = 1 if _size(part) > here else failed + 1
            if failed >= ATTEMPTS:
                raise self._unreachable(reason)
            time.sleep(self._pause * 2 ** (failed - 1))
        self._finish(file, target)

    def _receive(self, url: str, file: HubFile, target: Path, report: Report) -> None:
        """Append to the part file until it is whole. Raises what urllib raises, and OSError when the body ends early."""
        part, mark = _part(target), target.with_name(target.name + ".etag")
        here, etag = _size(part), mark.read_text() if mark.is_file() else ""
        here = here if etag else 0
        headers = {"Range": f"bytes={here}-", "If-Range": etag} if here else {}
        with self._open(url, headers) as answer:
            if answer.status != 206:
                here = 0
            etag = answer.headers.get("ETag", "")
            mark.write_text("" if etag.startswith("W/") else etag)
            with part.open("r+b" if here else "wb") as out:
                out.seek(here)
                while here <= file.size and (chunk := answer.read1(CHUNK)):
                    out.write(chunk)
                    here += len(chunk)
                    report(target.name, here, file.size)
        if here < file.size:
            raise ConnectionError("the connection was lost")

    def _finish(self, file: HubFile, target: Path) -> None:
        """Check the part file and give it its name."""
        part = _part(target)
        target.with_name(target.name + ".etag").unlink(missing_ok=True)
        sound = _size(part) == file.size and (not file.sha256 or _sha256(part) == file.sha256)
        if not sound:
            part.unlink(missing_ok=True)
            raise ConfigError(f"{target.name}: checksum mismatch; the file was removed. Try again.")
        part.replace(target)

    def _open(self, url: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        request = Request(url, headers={"User-Agent": "antiphon", **(headers or {})})  # noqa: S310 (the operator's URL)
        if self._token and _origin(url) == _origin(self._endpoint):
            request.add_header("Authorization", f"Bearer {self._token}")
        answer = self._opener.open(request, timeout=TIMEOUT)
        assert isinstance(answer, http.client.HTTPResponse)
        return answer

    @property
    def _host(self) -> str:
        return urlsplit(self._endpoint).hostname or self._endpoint

    def _refused(self, repo: str, error: HTTPError) -> ConfigError:
        page = f"{self._endpoint}/{repo}"
        code = error.headers.get("X-Error-Code", "")
        error.close()
        if error.code == 404 or code == "RepoNotFound":
            return ConfigError(f"Model {repo} not found on {self._host}. If it is private, set HF_TOKEN.")
        if error.code in (401, 403):
            hint = "Your HF_TOKEN does not open it" if self._token else "Set HF_TOKEN"
            return ConfigError(f"{repo} is gated or private. {hint}; accept its terms at {page} first.")
        return ConfigError(f"{self._host} answered with status {error.code}. Try again later. {INSTEAD}")

    def _unreachable(self, error: Exception) -> ConfigError:
        reason = str(error.reason if isinstance(error, URLError) else error)[:200]
        reason = "".join(char if char.isprintable() else " " for char in reason)  # a bad status line is repeated in it
        return ConfigError(f"Cannot reach {self._host} ({reason}). {INSTEAD}")


class _Redirects(HTTPRedirectHandler):
    """Follows redirects without showing the token to another origin: file servers of hubs refuse it, or log it.

    None leads from the internet to this machine, or from TLS to plain HTTP.
    """

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage) -> Any:
        """Follow a redirect; the answer is closed also where it leads nowhere."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except (ValueError, URLError):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if before.scheme == "https" != after.scheme:
            raise URLError("it redirects to plain HTTP")
        if _is_own_machine(after.hostname) and not _is_own_machine(before.hostname):
            raise URLError("it redirects to this machine")
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and _origin(newurl) != _origin(req.full_url):
            request.remove_header("Authorization")
        return request


class _Proxies(ProxyHandler):
    """Goes through the environment's proxies, by the rules of all other connections; only plain HTTP ones will do."""

    def __init__(self, proxies: Proxies) -> None:
        self._found = proxies
        super().__init__({scheme: str(proxy) for scheme, proxy in proxies.by_scheme.items()})

    def proxy_open(self, req: Request, proxy: str, type: str) -> Any:
        """Send a request to its proxy, if it has one; other handlers make it."""
        parts = urlsplit(req.full_url)
        tls = parts.scheme == "https"
        found = self._found.find(parts.hostname or "", parts.port or (443 if tls else 80), tls=tls)
        if found is None:
            return None
        if found.scheme != "http":
            raise URLError(f"downloads go through http:// proxies only, not {found}")
        if found.authorization:
            req.add_unredirected_header("Proxy-Authorization", found.authorization)
        req.set_proxy(found.authority, "http")
        return None


def _hub_file(entry: _HubFile) -> HubFile:
    if entry.lfs is None:
        return HubFile(path=entry.path, size=entry.size)
    return HubFile(path=entry.path, size=entry.lfs.size or entry.size, sha256=entry.lfs.oid.removeprefix("sha256:"))


def is_tame(path: str) -> bool:
    """Tell whether a path stays inside its folder: a hub must not be able to write elsewhere, or to a terminal."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path and path.isprintable()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _is_own_machine(host: str | None) -> bool:
    """Tell whether a host is this machine, or what only it reaches: by its name or address, without a look at the DNS."""
    name = (host or "").rstrip(".").lower()
    try:
        address = ip_address(inet_aton(name)) if name.replace(".", "").isalnum() else ip_address(name)
    except (OSError, ValueError):
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_link_local or mapped.is_unspecified


def _next_page(current: str, headers: Message) -> str:
    """Return the URL of the next page of a list, "" where there is none. Raises URLError where it is another server's."""
    for link in str(headers.get("Link", "")).split(","):
        url, _, rest = link.partition(">")
        if 'rel="next"' in rest:
            found = urljoin(current, url.strip().removeprefix("<"))
            if _origin(found) != _origin(current):
                raise URLError("its list goes on at another server")
            return found
    return ""


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
