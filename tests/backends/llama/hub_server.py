"""A stand-in for a model hub: its API and its files, with ranges, redirects and faults on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """Serves one repository, `repo`. Every fault is an attribute that a test sets."""

    daemon_threads = True

    def __init__(self, repo: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo = repo
        self.files = files
        self.sha256 = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
        self.version = "1"
        self.status = 200
        self.error_code = ""
        self.token = ""
        self.cut_after: list[int] = []
        self.stall_after = 0
        self.going_on = threading.Event()
        self.page_size = 1000
        self.redirect_to = ""
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def asked_for(self, path: str) -> list[dict[str, str]]:
        """The headers of the requests for a file, lower-case names."""
        return [headers for target, headers in self.seen if target.endswith(f"/resolve/main/{path}")]


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        hub, url = self.server, urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.seen.append((url.path, headers))
        if hub.status != 200:
            return self._answer(hub.status, b"{}", {"X-Error-Code": hub.error_code} if hub.error_code else {})
        if hub.token and headers.get("authorization") != f"Bearer {hub.token}":
            return self._answer(401, b"{}", {"X-Error-Code": "GatedRepo"})
        if url.path == f"/api/models/{hub.repo}/tree/main":
            return self._list(url.query)
        path = unquote(url.path.removeprefix(f"/{hub.repo}/resolve/main/"))
        if path not in hub.files:
            return self._answer(404, b"{}", {})
        if hub.redirect_to:
            return self._answer(302, b"", {"Location": hub.redirect_to + self.path})
        return self._file(hub.files[path], headers)

    def _list(self, query: str) -> None:
        hub = self.server
        start = int(query.partition("start=")[2] or 0)
        entries: list[dict[str, object]] = [{"type": "directory", "path": "folder", "size": 0, "oid": "x"}]
        for path, data in hub.files.items():
            lfs = {"oid": hub.sha256[path], "size": len(data), "pointerSize": 134}
            entries.append({"type": "file", "path": path, "size": len(data), "oid": "x", "lfs": lfs})
        page = entries[start : start + hub.page_size]
        after = start + hub.page_size
        link = f'<{hub.url}/api/models/{hub.repo}/tree/main?recursive=true&start={after}>; rel="next"'
        self._answer(200, json.dumps(page).encode(), {"Link": link} if after < len(entries) else {})

    def _file(self, data: bytes, headers: dict[str, str]) -> None:
        hub, start, status = self.server, 0, 200
        etag = f'"{hub.version}"'
        if "range" in headers and headers.get("if-range") in (None, etag):
            start, status = int(headers["range"].removeprefix("bytes=").rstrip("-")), 206
        body = data[start:]
        self.send_response(status)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = hub.cut_after.pop(0) if hub.cut_after else len(body)
        hub.sent += len(body[:cut])
        if hub.stall_after:
            self.wfile.write(body[: hub.stall_after])
            hub.going_on.wait(30)
            body, cut = body[hub.stall_after :], cut - hub.stall_after
        self.wfile.write(body[:cut])
        self.close_connection = True

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def hub(repo: str, files: dict[str, bytes]) -> Iterator[Hub]:
    """Run a hub for the length of a `with`."""
    server = Hub(repo, files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
