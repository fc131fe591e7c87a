"""`/`: the playground. Plain HTML, a style sheet and ES modules that ask no other host for anything."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from antiphon.errors import NotFound
from antiphon.server.http.messages import Header, Reply, Request

INDEX = "index.html"

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "woff2": "font/woff2",
}

# Trusted types: no script of ours can turn text into HTML, so that nothing a model says is ever read as such.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; font-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
)


class Asset(msgspec.Struct, frozen=True):
    """A file of the page. The `tag` changes with its content."""

    content: bytes
    media_type: str
    tag: bytes


async def playground(request: Request) -> Reply:
    """GET /."""
    return _reply(assets()[INDEX], request)


async def playground_file(request: Request) -> Reply:
    """GET /playground/{name}: the page's style, modules and fonts, which lie in folders."""
    asset = assets().get(request.params["name"])
    if asset is None:
        raise NotFound(f"Unknown path: {request.path[:200]}")
    return _reply(asset, request)


@functools.cache
def assets() -> Mapping[str, Asset]:
    """Read the files of the page, once."""
    found: dict[str, Asset] = {}
    _gather(resources.files("antiphon.server.pages") / "static" / "playground", "", found)
    return found


def _gather(folder: Traversable, path: str, found: dict[str, Asset]) -> None:
    for file in folder.iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if file.is_dir():
            _gather(file, f"{path}{file.name}/", found)
        elif kind is not None:
            content = file.read_bytes()
            tag = hashlib.blake2b(content, digest_size=12).hexdigest()
            found[path + file.name] = Asset(content, kind, f'"{tag}"'.encode())


def _reply(asset: Asset, request: Request) -> Reply:
    headers: list[Header] = [
        (b"content-security-policy", _POLICY),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
        (b"etag", asset.tag),
    ]
    if request.header(b"if-none-match") == asset.tag:
        return Reply(b"", 304, content_type=asset.media_type, headers=headers)
    return Reply(asset.content, content_type=asset.media_type, headers=headers)
