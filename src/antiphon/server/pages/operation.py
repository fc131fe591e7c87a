"""Operation: what the API's document says of one route."""

from __future__ import annotations

from typing import Any

import msgspec


class QueryParameter(msgspec.Struct, frozen=True):
    """A parameter of the query."""

    name: str
    type: str
    words: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. `body`, `form` and `answer` are types; `example` is a body to try."""

    tag: str
    summary: str
    words: str = ""
    body: Any = None
    form: Any = None
    answer: Any = None
    query: tuple[QueryParameter, ...] = ()
    streams: bool = False
    status: int = 200
    media: str = "application/json"
    example: Any = None
