"""Values → JSON, also where a text has lone surrogates."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


def to_json(value: Any) -> bytes:
    """Encode a value; text with lone surrogates, which strict UTF-8 refuses, is escaped by the standard library."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return dumps(msgspec.to_builtins(value, enc_hook=_parsed), separators=(",", ":")).encode("ascii")


def _parsed(value: Any) -> Any:
    """Give raw JSON as objects, the one thing among a struct's fields that has no builtin form."""
    assert isinstance(value, msgspec.Raw)
    return loads(bytes(value))
