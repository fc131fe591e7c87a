"""Files of `/docs` and `/docs/guide` as they are served: scripts and styles with their media types, under a strict policy."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources

import msgspec

from antiphon.errors import NotFound
from antiphon.server.http.messages import Header, Reply, Request

FILES = {
    "api.css": "docs/api.css",
    "api.mjs": "docs/api.mjs",
    "guide.css": "docs/guide.css",
    "guide.mjs": "docs/guide.mjs",
    "swagger-ui-bundle.js": "docs/vendor/swagger-ui/swagger-ui-bundle.js",
    "swagger-ui.css": "docs/vendor/swagger-ui/swagger-ui.css",
    "markdown-it.min.mjs": "playground/vendor/markdown-it/markdown-it.min.mjs",
}
"""Names below `/docs/assets` and where the files lie in the folder `static`."""

_TYPES = {"css": "text/css", "mjs": "text/javascript", "js": "text/javascript"}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)


class StaticFile(msgspec.Struct, frozen=True):
    """A file. The `tag` changes with its content."""

    content: bytes
    media_type: str
    tag: bytes


async def docs_file(request: Request) -> Reply:
    """GET /docs/assets/{name}: scripts and styles of the API reference and the guide."""
    name = request.params["name"]
    if name not in FILES:
        raise NotFound(f"Unknown path: {request.path[:200]}")
    return reply(static_file(name), request)


@functools.cache
def static_file(name: str) -> StaticFile:
    """Read a file, once."""
    return made(read_static(FILES[name]), f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8")


def read_static(path: str) -> bytes:
    """Read a file of the folder `static`."""
    return (resources.files("antiphon.server.pages") / "static").joinpath(*path.split("/")).read_bytes()


def html_page(template: str, request: Request, **filled: str) -> StaticFile:
    """Read a page of the folder `static`, and fill in `{{NAME}}`.

    `{{root}}` becomes the way from the page up to the playground, whatever a proxy has put before it.
    """
    text = read_static(template).decode()
    for name, value in {"root": "../" * (request.path.count("/") - 1 + request.slash_at_end) or "./", **filled}.items():
        text = text.replace("{{" + name + "}}", value)
    return made(text.encode(), "text/html; charset=utf-8")


def escape(text: str) -> str:
    """Return a text as it is written in HTML, in attributes as well."""
    from html import escape as escaped

    return escaped(text)


def made(content: bytes, media_type: str) -> StaticFile:
    """Return content with its tag."""
    digest = hashlib.blake2b(content, digest_size=12).hexdigest().encode()
    return StaticFile(content, media_type, b'"' + digest + b'"')


def reply(file: StaticFile, request: Request, policy: str = POLICY) -> Reply:
    """Return a file, or that the client has it already."""
    headers: list[Header] = [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
        (b"etag", file.tag),
    ]
    if request.header(b"if-none-match") == file.tag:
        return Reply(b"", 304, content_type=file.media_type, headers=headers)
    return Reply(file.content, content_type=file.media_type, headers=headers)
