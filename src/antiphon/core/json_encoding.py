"""Values → JSON, also where a text has lone surrogates."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

import msgspec

from antiphon.types.raw import JsonText


def _raw(value: object) -> msgspec.Raw:
    """Give a long text as the JSON that it came in."""
    if type(value) is JsonText:
        return value.json
    raise NotImplementedError(f"Objects of type {type(value).__name__} have no JSON.")


_encoder = msgspec.json.Encoder(enc_hook=_raw)


def to_json(value: Any) -> bytes:
    """Encode a value; text with lone surrogates, which strict UTF-8 refuses, is escaped by the standard library."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return dumps(msgspec.to_builtins(value, enc_hook=_parsed), separators=(",", ":")).encode("ascii")


def json_size(item: object) -> int:
    """Return the bytes of an item's JSON, however its client has escaped a long text in it."""
    said = getattr(item, "output", None)
    return len(to_json(item)) - (said.spare if type(said) is JsonText else 0)


def _parsed(value: Any) -> Any:
    """Give raw JSON as objects, the one thing among a struct's fields that has no builtin form."""
    if type(value) is JsonText:
        return str(value)
    assert isinstance(value, msgspec.Raw)
    return loads(bytes(value))
