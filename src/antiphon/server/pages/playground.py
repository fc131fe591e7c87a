"""`/`: the playground. Plain HTML, a style sheet and ES modules that ask no other host for anything."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable

from antiphon.errors import NotFound
from antiphon.server.http.messages import Reply, Request
from antiphon.server.pages.files import StaticFile, made, reply

INDEX = "index.html"

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "woff2": "font/woff2",
}

# Trusted types: no script of ours can turn text into HTML, so that nothing a model says is ever read as such.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types"
)


async def playground(request: Request) -> Reply:
    """GET /."""
    return reply(assets()[INDEX], request, _POLICY)


async def playground_file(request: Request) -> Reply:
    """GET /playground/{name}: the page's style, modules and fonts, which lie in folders."""
    asset = assets().get(request.params["name"])
    if asset is None:
        raise NotFound(f"Unknown path: {request.path[:200]}")
    return reply(asset, request, _POLICY)


@functools.cache
def assets() -> Mapping[str, StaticFile]:
    """Read the files of the page, once."""
    found: dict[str, StaticFile] = {}
    _gather(resources.files("antiphon.server.pages") / "static" / "playground", "", found)
    return found


def _gather(folder: Traversable, path: str, found: dict[str, StaticFile]) -> None:
    for file in folder.iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if file.is_dir():
            _gather(file, f"{path}{file.name}/", found)
        elif kind is not None:
            found[path + file.name] = made(file.read_bytes(), kind)
