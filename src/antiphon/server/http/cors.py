"""CORS: what an answer tells the browser of a page that may read it (Fetch standard, "HTTP extensions")."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.server.http.messages import Header

MAX_AGE = b"600"
"""Seconds for which a browser need not ask again: so long a change of the setting may go unnoticed."""

MOST_ASKED = 4096
"""Bytes of the headers that a page asks for."""

_UNNAMED = frozenset(
    (b"cache-control", b"content-language", b"content-length", b"content-type", b"expires", b"last-modified", b"pragma")
)
"""Headers that every page may read."""

_ABOUT_CORS = b"access-control-"


def readable_by(origin: bytes, headers: Sequence[Header]) -> list[Header]:
    """Return what lets the page of an origin read an answer, and all the headers that it has."""
    names = dict.fromkeys(name for name, _ in headers if name not in _UNNAMED and not name.startswith(_ABOUT_CORS))
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b", ".join(names)),
        (b"vary", b"origin"),
    ]


def preflight(headers: Sequence[Header], methods: bytes) -> list[Header]:
    """Return what a page may send, which is whatever it asks for: its headers are those of many clients (`x-stainless-…`)."""
    asked = {name: value for name, value in headers if name.startswith(b"access-control-request-")}
    if b"access-control-request-method" not in asked:
        return []
    found = [(b"access-control-allow-methods", methods), (b"access-control-max-age", MAX_AGE)]
    wanted = asked.get(b"access-control-request-headers", b"")
    if wanted and len(wanted) <= MOST_ASKED:
        found.append((b"access-control-allow-headers", wanted))
    if asked.get(b"access-control-request-private-network") == b"true":
        found.append((b"access-control-allow-private-network", b"true"))
    return found
