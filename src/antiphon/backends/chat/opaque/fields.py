"""Which fields of chat completions are for the backend alone: tables, blocks of thoughts, who reads what.

Blocks of thoughts stream as fragments and are put together again; all other fields are kept as they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.chat.tool_calls import LONGEST_ID
from antiphon.core.opaque import Opaque

THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_text")
"""Message fields in which servers give thoughts as text, the most frequent first."""

BLOCKS = {"reasoning_details": ("text", "summary"), "thinking_blocks": ("thinking",)}
"""Message fields that are lists of blocks → the keys of a block whose text is thoughts."""

CUMULATIVE = ("MiniMax",)
"""Beginnings of a block's `format`: these servers repeat, or may repeat, in each fragment all text that came before."""

WHOLE = ("extra_content", "provider_specific_fields", "reasoning_opaque")
"""Message fields that are kept as they came."""

OF_CALLS = ("extra_content", "provider_specific_fields", "thought_signature")
"""Fields of a call that are kept as they came."""

INSIDE = {"provider_specific_fields": ("thought_signature", "thought_signatures")}
"""Fields of which only these entries are for the backend: LiteLLM repeats others of the answer there."""

SIGNED_ID = "__thought__"
"""LiteLLM puts a signature into the call's id behind this."""
USUAL_ID = 40
"""Characters of an id that are no signature."""

GENERIC = "generic"
OTHER_SERVER = "organization_mismatch"

_any = msgspec.json.Decoder(Any)
EMPTY: tuple[Any, ...] = (None, "", b"", [], {})


class Origin(msgspec.Struct, frozen=True):
    """Who makes an answer: the kind of server; of servers of no known kind also the address and the model."""

    kind: str = GENERIC
    address: str = ""
    model: str = ""

    def reads(self, opaque: Opaque) -> bool:
        """Tell whether what was kept is for this one. Servers of no known kind share an address, or the model behind it."""
        if opaque.kind != self.kind:
            return False
        return self.kind != GENERIC or opaque.address == self.address or opaque.model == self.model


NOBODY = Origin()
IN_BLOCKS = "blocks"
IN_CONTENT = "content"
"""The field of thoughts that are parts of the content (Mistral)."""


class Block:
    """A block of thoughts that grows."""

    __slots__ = ("fields", "texts")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.texts: dict[str, list[str]] = {}

    def goes_on(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether a fragment may belong to this block: data never comes in pieces, and a signature ends a block."""
        fields = self.fields
        if fields.get("type") != entry.get("type") or fields.get("signature") or ("data" in fields and "data" in entry):
            return False
        if entry.get("index") is not None or fields.get("index") is not None:
            return bool(entry.get("index") == fields.get("index"))
        ids = fields.get("id"), entry.get("id")
        return None in ids or ids[0] == ids[1]

    def add(self, entry: Mapping[str, Any], keys: Sequence[str]) -> str:
        """Append a fragment and return the thoughts that it adds. Some servers repeat them all beside the signature."""
        said = ""
        for name, value in entry.items():
            if name in keys and isinstance(value, str):
                pieces = self.texts.setdefault(name, [])
                if entry.get("signature") and len(pieces) > 0 and value.startswith(whole := "".join(pieces)):
                    value = value[len(whole) :]
                pieces.append(value)
                said += value
            elif value not in EMPTY or name not in self.fields:
                self.fields[name] = value
        return said

    def whole(self) -> dict[str, Any]:
        """Return the block as a server sends it whole."""
        return {**self.fields, **{name: "".join(pieces) for name, pieces in self.texts.items()}}


def is_signed(id: str) -> bool:
    """Tell whether a call's id has a signature in it, so that it must go back as it came."""
    return len(id) > USUAL_ID and (SIGNED_ID in id or len(id) > LONGEST_ID)


def value_of(raw: bytes | Raw) -> Any:
    """Return a field's value; None for one that nobody can read."""
    try:
        return _any.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def entries_of(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; of anything else none."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def pruned(name: str, value: Any) -> Any:
    """Return a field without what is not for the backend: flags tell of a fragment, not of the whole."""
    if not isinstance(value, dict):
        return value
    kept = INSIDE.get(name)
    if kept is not None:
        return {key: value[key] for key in kept if value.get(key) not in EMPTY}
    return _without_flags(value)


def _without_flags(value: dict[str, Any]) -> dict[str, Any]:
    plain = {key: _without_flags(one) if isinstance(one, dict) else one for key, one in value.items()}
    return {key: one for key, one in plain.items() if one not in EMPTY and not isinstance(one, bool)}


def merged(old: Any, new: Any) -> Any:
    """Return two objects as one; of anything else the later counts, unless it is empty."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: merged(old.get(name), value) for name, value in new.items()}}
    return old if new in EMPTY else new
