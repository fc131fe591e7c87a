"""Opaque: what of an answer only its own kind of backend can read; kept beside the answer's thoughts, sent back with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from antiphon.types.items import Item, Reasoning


class Opaque(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a backend said for itself in one answer: signatures, encrypted thoughts, blocks of thoughts.

    `kind`, `address` and `model` tell who can read it. `field`: the message field in which the thoughts came, "" where that
    is the usual one; `inside`: they came in one of the `message` fields alone. `message` and `calls` (by call id) are fields
    as they came; `ids` are the backend's own ids of calls that have another one here.
    """

    kind: str
    address: str = ""
    model: str = ""
    field: str = ""
    inside: bool = False
    message: Mapping[str, Raw] = {}
    calls: Mapping[str, Mapping[str, Raw]] = {}
    ids: Mapping[str, str] = {}

    def with_calls(self, ids: Mapping[str, str]) -> Opaque:
        """Return it with other ids of calls."""
        if ids.keys().isdisjoint((*self.calls, *self.ids)):
            return self
        calls = {ids.get(id, id): fields for id, fields in self.calls.items()}
        return msgspec.structs.replace(self, calls=calls, ids={ids.get(id, id): own for id, own in self.ids.items()})

    @property
    def holds(self) -> bool:
        """Tell whether there is more than the name of a field."""
        return bool(self.message or self.calls or self.ids)


OpaqueData = Mapping[str, Sequence[Opaque]]
"""A reasoning item's id, or its `encrypted_content` where it has none → what was kept beside it."""

NO_OPAQUE: OpaqueData = {}
OTHER_MODEL = "model_mismatch"
"""OpenAI's word for why thoughts were kept from a model: another one has made them."""


def beside(item: Reasoning, data: OpaqueData) -> Sequence[Opaque]:
    """Return what was kept beside thoughts."""
    keys = (item.id, item.encrypted_content)
    return next((data[key] for key in keys if isinstance(key, str) and key in data), ())


def withheld(items: Sequence[Item], data: OpaqueData) -> list[str]:
    """Return the ids of thoughts whose data is not for the backend at hand, as it can read none."""
    if not data:
        return []
    thoughts = (item for item in items if isinstance(item, Reasoning) and any(one.holds for one in beside(item, data)))
    return [item.id if isinstance(item.id, str) else "" for item in thoughts]


class SealedThoughts(msgspec.Struct, frozen=True):
    """What a seal of the kind `thoughts` holds."""

    text: str
    opaque: tuple[Opaque, ...] = ()
