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
    """The handler of `/openapi.json`. The document is made once, when it is first asked for, however many ask then."""

    def __init__(self, router: RouteTable) -> None:
        self._router = router
        self._making = asyncio.Lock()
        self._document: dict[str, Any] = {}
        self._encoded = b""

    async def read(self, request: Request) -> Reply:
        """GET /openapi.json. A mounted server names its `root_path` as the one that the paths belong to."""
        if not self._encoded:
            async with self._making:
                if not self._encoded:
                    self._document, self._encoded = await asyncio.to_thread(_made, self._router.routes)
        body = self._encoded
        if request.root_path:  # may be another one in each request: nothing is kept of it
            body = to_json({**self._document, "servers": [{"url": quote(request.root_path)}]})
        return Reply(body, headers=[(b"cache-control", b"no-cache")])


def _made(routes: Sequence[HttpRoute]) -> tuple[dict[str, Any], bytes]:
    from antiphon.server.pages.openapi import document

    made = document(routes)
    return made, to_json(made)
