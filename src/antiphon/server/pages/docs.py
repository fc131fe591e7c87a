"""`/openapi.json`, the API's document, and `/docs`: the same for people, shown by Swagger UI, which lies in the package."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from antiphon.core.json_encoding import to_json
from antiphon.server.http.messages import Reply, Request
from antiphon.server.http.router import HttpRoute, RouteTable
from antiphon.server.pages.files import html_page, reply


async def docs(request: Request) -> Reply:
    """GET /docs."""
    return reply(html_page("docs/api.html", request), request)


class OpenAPI:
    """The handler of `/openapi.json`. The document is made once, when it is first asked for."""

    def __init__(self, router: RouteTable) -> None:
        self._router = router
        self._document: dict[str, Any] | None = None
        self._encoded = b""

    async def read(self, request: Request) -> Reply:
        """GET /openapi.json. A mounted server names its `root_path` as the one that the paths belong to."""
        if self._document is None:
            self._document = await asyncio.to_thread(_document, self._router.routes)
            self._encoded = to_json(self._document)
        body = self._encoded
        if request.root_path:  # may be another one in each request: nothing is kept of it
            body = to_json({**self._document, "servers": [{"url": quote(request.root_path)}]})
        return Reply(body, headers=[(b"cache-control", b"no-cache")])


def _document(routes: Sequence[HttpRoute]) -> dict[str, Any]:
    from antiphon.server.pages.openapi import document

    return document(routes)
