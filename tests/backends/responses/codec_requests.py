"""Requests for the codec of Responses backends."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from antiphon.backends.responses.codec import request
from antiphon.backends.responses.items import RequestForm
from antiphon.core.request.decoding import decode_request, decode_tools
from tests.backends.turns import turn

Json = dict[str, Any]


def asked(items: list[Json], form: RequestForm | None = None, **fields: Any) -> Json:
    """Return the body that a server gets for a history and a request's fields."""
    made, extra = decode_request(msgspec.json.encode({"model": "m", "input": "x", **fields}))
    call = turn(items=items, request=made, extra=extra, tools=decode_tools(made.tools))
    return json.loads(request(call, form) if form is not None else request(call))


def sent(item: Json, **form: bool) -> Json | None:
    items = asked([item], RequestForm(**form))["input"]
    assert len(items) <= 1
    return items[0] if items else None
