"""HubClient: a hub's list of files, and downloads that survive broken connections. Blocking: for the start only."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Callable, Sequence
from email.message import Message
from http.client import HTTPMessage
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
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
INSTEAD = "To work without it, give a local file: --model FILE.gguf"


class HubFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a repository. `sha256` is "" where the hub does not tell."""

    path: str
    size: int
    sha256: str = ""


class _Lfs(msgspec.Struct):
    oid: str = ""
    size: int = 0


class _HubFile(msgspec.Struct):
    """A line of the hub's `/api/models/{repo}/tree/main`."""

    path: str
    type: str = "file"
    size: int = 0
    lfs: _Lfs | None = None


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
        while url:
            try:
                with self._open(url) as answer:
                    entries += msgspec.json.decode(answer.read(), type=list[_HubFile])
                    url = _next_page(answer.headers)
            except HTTPError as error:
                raise self._refused(repo, error) from None
            except (URLError, OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None
            except msgspec.MsgspecError:
                raise ConfigError(f"{self._host} sent an unexpected answer. {INSTEAD}") from None
        return [_hub_file(entry) for entry in entries if entry.type == "file" and _is_tame(entry.path)]

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
            except (URLError, OSError, http.client.HTTPException) as error:
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
                while chunk := answer.read1(CHUNK):
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
            part.unlink()
            raise ConfigError(f"{target.name}: checksum mismatch; the file was removed. Try again.")
        part.replace(target)

    def _open(self, url: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        request = Request(url, headers={"User-Agent": "antiphon", **(headers or {})})  # noqa: S310 (the operator's URL)
        if self._token:
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
        reason = error.reason if isinstance(error, URLError) else error
        return ConfigError(f"Cannot reach {self._host} ({reason}). {INSTEAD}")


class _Redirects(HTTPRedirectHandler):
    """Follows redirects without showing the token to another host: file servers of hubs refuse it, or log it."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
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


def _is_tame(path: str) -> bool:
    """Tell whether a path stays inside its folder: a hub must not be able to write elsewhere."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path and "\0" not in path


def _next_page(headers: Message) -> str:
    for link in str(headers.get("Link", "")).split(","):
        url, _, rest = link.partition(">")
        if 'rel="next"' in rest:
            return url.strip().removeprefix("<")
    return ""


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
