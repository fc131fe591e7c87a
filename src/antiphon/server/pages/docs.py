"""`/docs`: the API's document for people, shown by Swagger UI, which lies in the package."""

from __future__ import annotations

from antiphon.server.http.messages import Reply, Request
from antiphon.server.pages.files import html_page, reply


async def docs(request: Request) -> Reply:
    """GET /docs."""
    return reply(html_page("docs/api.html", request), request)
