"""Opaque: what of an answer only its own kind of backend can read; kept beside the answer's thoughts, sent back with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw


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


OpaqueData = Mapping[str, Sequence[Opaque]]
"""A reasoning item's id, or its `encrypted_content` where it has none → what was kept beside it."""

NO_OPAQUE: OpaqueData = {}


class SealedThoughts(msgspec.Struct, frozen=True):
    """What a seal of the kind `thoughts` holds."""

    text: str
    opaque: tuple[Opaque, ...] = ()
