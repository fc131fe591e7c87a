"""Requests and the decoder that takes them."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

from antiphon.core.context import input_items
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import (
    check_tool_choice,
    decode_request,
    decode_tools,
    resolve_text,
)
from antiphon.core.request.echo import Defaults, echo_response
from antiphon.core.request.json_text import check_json
from antiphon.types.request import CreateResponse

Json = dict[str, Any]


def _take(body: bytes, setting: Any = "forward") -> tuple[CreateResponse, Json]:
    """Decode all of a request, as the intake does, and return it with what its response echoes."""
    request, _ = decode_request(check_json(body), setting)
    tools = decode_tools(request.tools)
    check_tool_choice(request.tool_choice, tools)
    text = resolve_text(request.text)
    input_items(request.input)
    response = echo_response(request, id="resp_1", created_at=1, tools=tools, text=text, defaults=Defaults())
    return request, loads(to_json(response))


def _body(**fields: Any) -> bytes:
    return dumps({"model": "golden", "input": "Hello.", **fields}).encode()


def _echo(**fields: Any) -> Json:
    return _take(_body(**fields))[1]


# Tools

_LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
