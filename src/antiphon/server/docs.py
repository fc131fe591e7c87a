"""`/docs`: the API's document for people. A page of our own that needs nothing from elsewhere."""

from __future__ import annotations

from importlib import resources

from antiphon.errors import NotFound
from antiphon.server.http import Header, Reply, Request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: tuple[Header, ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)
TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
FILES = ("docs.html", "docs.js", "docs.css")


class Docs:
    """The handlers of `/docs`."""

    def __init__(self) -> None:
        folder = resources.files("antiphon.server") / "static"
        self._files = {name: (folder / name).read_bytes() for name in FILES}

    async def page(self, request: Request) -> Reply:
        """GET /docs."""
        return self._file("docs.html")

    async def file(self, request: Request) -> Reply:
        """GET /docs/{file}. Only the last part counts, so that `/docs/` works like `/docs`."""
        return self._file(request.params["file"].rpartition("/")[2])

    def _file(self, name: str) -> Reply:
        body = self._files.get(name)
        if body is None:
            raise NotFound(f"There is no file {name[:80]}.")
        return Reply(body, content_type=TYPES[name.rpartition(".")[2]], headers=PAGE_HEADERS)
