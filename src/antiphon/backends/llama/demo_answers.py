"""The demo model ends its JSON: free texts and lists of a schema get a bound, which llama.cpp's grammar holds it to.

The model is too small to know when a text that may say anything has said enough: it would go on to the end of its window. What
it answers under the narrower schema also fits the client's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.core.turn import Turn

LONGEST_TEXT = 80
MOST_ITEMS = 4
LARGEST_BODY = 1 << 20
"""Bytes of a chat completions request whose schema is looked at."""

ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains")
LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
NAMED = ("properties", "patternProperties", "$defs", "definitions")
FIXED = frozenset(("enum", "const", "pattern", "format"))
"""What says by itself how a text ends."""


def bounded_turn(turn: Turn) -> Turn:
    """Return a Turn whose schema for the answer, if it has one, is bounded."""
    format = turn.text.format
    if not isinstance(format.schema, Raw):
        return turn
    schema = Raw(msgspec.json.encode(bounded(msgspec.json.decode(format.schema))))
    return replace(turn, text=replace(turn.text, format=replace(format, schema=schema)))


def bounded_body(body: bytes) -> bytes:
    """Return a chat completions request whose `response_format`, if it has a schema, is bounded."""
    if len(body) > LARGEST_BODY or b"json_schema" not in body:
        return body
    try:
        fields = msgspec.json.decode(body, type=dict[str, Raw])
        format = msgspec.json.decode(fields.get("response_format", b"null"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return body
    inner = format.get("json_schema") if isinstance(format, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
        return body
    format = {**format, "json_schema": {**inner, "schema": bounded(inner["schema"])}}
    return msgspec.json.encode({**fields, "response_format": format})


def bounded(schema: Any) -> Any:
    """Return a schema that admits a part of what it did: short texts, short lists."""
    if not isinstance(schema, Mapping):
        return schema
    narrow = dict(schema)
    for name in ONE:
        if name in narrow:
            narrow[name] = bounded(narrow[name])
    for name in LISTED:
        if isinstance(narrow.get(name), list):
            narrow[name] = [bounded(one) for one in narrow[name]]
    for name in NAMED:
        if isinstance(narrow.get(name), Mapping):
            narrow[name] = {key: bounded(value) for key, value in narrow[name].items()}
    types = narrow.get("type")
    types = types if isinstance(types, list) else [types]
    if "string" in types and not FIXED & narrow.keys():
        _lower(narrow, "maxLength", "minLength", LONGEST_TEXT)
    if "array" in types:
        _lower(narrow, "maxItems", "minItems", MOST_ITEMS)
    return narrow


def _lower(schema: dict[str, Any], most: str, least: str, bound: int) -> None:
    """Lower an upper bound, but not below the lower one."""
    given, low = schema.get(most, bound), schema.get(least, 0)
    if isinstance(given, int) and isinstance(low, int):
        schema[most] = max(min(given, bound), low)
