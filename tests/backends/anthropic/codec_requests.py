"""Requests for the tests of the codec of the Messages API."""

from __future__ import annotations

import base64
import json
from typing import Any

from msgspec import Raw

from antiphon.backends.anthropic.cache_control import NO_CACHE
from antiphon.backends.anthropic.codec import MessagesOptions, request
from antiphon.core.request.tool_decoding import decode_tool
from antiphon.types.tools import Tool
from tests.backends.turns import turn

Json = dict[str, Any]
PLAIN = MessagesOptions(cache=NO_CACHE)
PNG = base64.b64encode(b"\x89PNG\r\n").decode()


def tool(name: str = "f", **fields: Any) -> Tool:
    declared = {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, **fields}
    return decode_tool(Raw(json.dumps(declared).encode()))


def body(options: MessagesOptions = PLAIN, *texts: str, **fields: Any) -> Json:
    found: Json = json.loads(request(turn(*texts, **fields), options).body())
    return found


def user(*texts: str) -> Json:
    return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}


def assistant(*blocks: Any) -> Json:
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": one} if isinstance(one, str) else one for one in blocks],
    }


def item(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


def called(id: str, arguments: str = "{}", name: str = "f") -> Json:
    return {"type": "function_call", "call_id": id, "name": name, "arguments": arguments}


def output(id: str, value: Any = "sunny") -> Json:
    return {"type": "function_call_output", "call_id": id, "output": value}


def use(id: str, input: Json | None = None, name: str = "f") -> Json:
    return {"type": "tool_use", "id": id, "name": name, "input": input or {}}


STRICT = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}, "o": {"type": "object", "properties": {}}},
    "required": ["n"],
}
