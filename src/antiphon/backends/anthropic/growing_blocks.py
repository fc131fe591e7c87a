"""Blocks of an answer while they grow, and what is read of JSON that is kept raw."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.anthropic.answers import RefusalDetails
from antiphon.core.json_encoding import to_json

_any = msgspec.json.Decoder(Any)
_refused = msgspec.json.Decoder(RefusalDetails)


class GrowingBlock:
    """A block that grows: its kind, what it began with, and its pieces."""

    __slots__ = ("index", "kind", "pieces", "raw", "signature")

    def __init__(self, index: int, kind: str, raw: bytes) -> None:
        self.index = index
        self.kind = kind
        self.raw = raw
        self.pieces: list[str] = []
        self.signature: list[str] = []

    def whole(self) -> bytes:
        """Return the block as it would have come at once: what did not come in pieces is as it came."""
        if not self.pieces and not self.signature:
            return self.raw
        said = "".join(self.pieces)
        fields = fields_of(self.raw)
        if self.kind == "text":
            fields["text"] = said
        elif self.kind == "thinking":
            fields["thinking"] = said
            if self.signature:
                fields["signature"] = "".join(self.signature)
        else:
            fields["input"] = Raw(said.encode("utf-8", "replace")) if is_object(said) else {}
        return to_json(fields)


def says(raw: Raw | None) -> bool:
    """Tell whether a raw field says anything."""
    return raw is not None and bytes(raw) not in (b"null", b"{}", b"[]", b'""')


def fields_of(raw: bytes) -> dict[str, Any]:
    """Return the fields of an object; of anything else none."""
    try:
        value = _any.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def entries_of(raw: Raw) -> list[Any]:
    """Return the entries of a list; of anything else none."""
    try:
        value = _any.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def is_object(text: str) -> bool:
    """Tell whether a text is a JSON object."""
    try:
        return isinstance(_any.decode(text), dict)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def explanation_of(details: Raw) -> str:
    """Return why an answer was refused, "" where that is not told."""
    try:
        return _refused.decode(details).explanation or ""
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
