"""`/docs`: the API's document for people. One page of our own that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources

from antiphon.server.http.messages import Reply, Request


async def docs(request: Request) -> Reply:
    """GET /docs."""
    return page()


@functools.cache
def page() -> Reply:
    """Put the page together. Style and script stand in it, and only they, known by their digests, may run."""
    folder = resources.files("antiphon.server.pages") / "static"
    html, style, script = ((folder / name).read_text("utf-8") for name in ("docs.html", "docs.css", "docs.js"))
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    ]
    whole = html.replace("<!--style-->", f"<style>{style}</style>").replace(
        "<!--script-->", f'<script type="module">{script}</script>'
    )
    return Reply(whole.encode(), content_type="text/html; charset=utf-8", headers=headers)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
