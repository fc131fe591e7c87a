"""Paging of lists: `limit`, `order`, `after`, as in OpenAI's list endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.context import item_id
from antiphon.core.json_encoding import to_json
from antiphon.core.text.pieces import joined
from antiphon.errors import InvalidRequest
from antiphon.server.http.messages import Reply, Request

MAX_LIMIT = 100
_MOST_DIGITS = 15


class PageQuery(msgspec.Struct, frozen=True):
    """The requested page of a list. Items with the ids `after` and `before` are not included."""

    limit: int = 20
    ascending: bool = False
    after: str | None = None
    before: str | None = None


def page_query(request: Request) -> PageQuery:
    """Read the query. Raises InvalidRequest."""
    query = {name: values[-1] for name, values in request.query.items() if values}
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("Invalid 'order': must be 'asc' or 'desc'.", param="order")
    limit = whole_number(request, "limit", 20, 1, MAX_LIMIT)
    return PageQuery(limit, order == "asc", query.get("after"), query.get("before"))


def whole_number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """Return a whole number of the query, the last one given. Raises InvalidRequest where it is out of bounds."""
    values = request.query.get(name)
    given = values[-1] if values else str(default)
    digits = given.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS and least <= int(given) <= most:
        return int(given)
    raise InvalidRequest(f"Invalid '{name}': must be a number from {least} to {most}.", param=name)


def page(items: Sequence[Raw], query: PageQuery) -> dict[str, Any]:
    """Cut the page out of all items, which are given oldest first. Raises InvalidRequest for an unknown `after`."""
    ordered = list(items) if query.ascending else list(items)[::-1]
    ids = [item_id(item) for item in ordered]
    begin = _index_of(ids, query.after, "after") + 1 if query.after else 0
    end = _index_of(ids, query.before, "before") if query.before else len(ordered)
    cut = ordered[begin:end]
    return listing(cut[: query.limit], ids[begin : begin + min(query.limit, len(cut))], len(cut) > query.limit)


def listing(data: Sequence[object], ids: Sequence[str], has_more: bool) -> dict[str, Any]:
    """Return a list object."""
    return {
        "object": "list",
        "data": data,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": has_more,
    }


def listed(page: dict[str, Any]) -> Reply:
    """Return a list object with raw items as an answer."""
    data: list[Raw] = page["data"]
    parts = [b'{"object":"list","data":[']
    for item in data:
        parts += (bytes(item), b",")
    if data:
        parts.pop()
    rest = {name: value for name, value in page.items() if name not in ("object", "data")}
    return Reply(joined([*parts, b"],", to_json(rest)[1:]]))


def _index_of(ids: Sequence[str], id: str, param: str) -> int:
    try:
        return ids.index(id)
    except ValueError:
        raise InvalidRequest(f"Invalid '{param}': item '{id}' not found in this list.", param=param) from None
