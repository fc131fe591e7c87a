"""JSON Schemas of tools and formats → the subset of JSON Schema that a provider takes. Pure.

Providers refuse a whole request for one keyword in one tool's parameters. What a subset cannot say is left out or said in
another way; the client sees its own schema wherever it is repeated to it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.tools.schema_subsets import SUBSETS, Json, Subset, flatten, normal, resolved, walk

PLAIN: frozenset[Subset] = frozenset(("auto", "tidy"))
HEAVY: frozenset[Subset] = frozenset(subset for subset, fit in SUBSETS.items() if fit is not None)
"""Subsets for which a schema costs two or three times what it costs to decode."""

MOST_REMEMBERED = 1024
LONGEST_REMEMBERED = 8192  # bytes of a schema whose fitted form is kept
LONGEST_FITTED = 128 * 1024  # bytes; a longer one goes as it came

_object = msgspec.json.Decoder(dict[str, Raw])
_any = msgspec.json.Decoder(Any)
_SIGNS = (b'"$schema"', b'"$id"', b'"$comment"', b'"array"')
"""What a schema has that is not normal yet; without any of them only its root has to be looked at."""


def parameters(schema: Raw, subset: Subset) -> bytes:
    """Return the parameters of a function as a provider takes them: an object with `properties`, whatever was declared."""
    return _fitted(bytes(schema), subset, _parameters)


def tidy(schema: Raw) -> Raw:
    """Return the parameters of a function in the form that any provider takes. What looks fine is not read at all."""
    data = bytes(schema)
    if b'"properties"' in data and not any(sign in data for sign in _SIGNS):
        return schema
    return Raw(_fitted(data, "tidy", _parameters))


def format_schema(schema: Raw, subset: Subset) -> bytes:
    """Return the schema of an answer as a provider takes it."""
    return _fitted(bytes(schema), subset, _answer)


def _fitted(data: bytes, subset: Subset, fit: Callable[[bytes, Subset], bytes]) -> bytes:
    if subset == "keep" or len(data) > LONGEST_FITTED:
        return data
    return _remembered(data, subset, fit) if len(data) <= LONGEST_REMEMBERED else fit(data, subset)


@lru_cache(maxsize=MOST_REMEMBERED)
def _remembered(data: bytes, subset: Subset, fit: Callable[[bytes, Subset], bytes]) -> bytes:
    return fit(data, subset)


def _parameters(data: bytes, subset: Subset) -> bytes:
    try:
        if subset in PLAIN and not any(sign in data for sign in _SIGNS) and _is_plain_object(data):
            return data
        schema = _rooted(walk(_any.decode(data), normal(data)), subset)
        fit = SUBSETS[subset]
        return to_json(fit(schema, len(data)) if fit is not None else schema)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return data  # what is no schema is the backend's to refuse


def _answer(data: bytes, subset: Subset) -> bytes:
    try:
        fit = SUBSETS[subset]
        if fit is None and not any(sign in data for sign in _SIGNS):
            return data
        schema = walk(_any.decode(data), normal(data))
        return to_json(fit(schema, len(data)) if fit is not None and isinstance(schema, dict) else schema)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return data


def _is_plain_object(data: bytes) -> bool:
    fields = _object.decode(data)
    kind, properties = fields.get("type"), fields.get("properties")
    return (
        kind is not None
        and bytes(kind) == b'"object"'
        and properties is not None
        and bytes(properties).startswith(b"{")
        and not (b"null" in data and bytes(fields.get("required", b"")) == b"null")
    )


def _rooted(declared: Any, subset: Subset) -> Json:
    """Make the root an object with `properties`."""
    schema: Json = declared if isinstance(declared, dict) else {}
    if subset not in PLAIN:
        schema = flatten(resolved(schema))
    composed = any(schema.get(key) for key in ("$ref", "anyOf", "oneOf", "allOf"))
    if not isinstance(schema.get("type"), str) and not composed:
        schema = {**schema, "type": "object"}
    if schema.get("type") == "object" and not isinstance(schema.get("properties"), dict):
        schema = {**schema, "properties": {}}
    return schema
