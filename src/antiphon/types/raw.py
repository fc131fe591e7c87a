"""JSON that is kept as bytes and may also be null."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw, Struct
from msgspec.structs import force_setattr

if TYPE_CHECKING:
    OptionalRaw = Raw | None
else:
    OptionalRaw = Raw  # msgspec decodes no union that has Raw in it: what is not null is refused


def settle_nulls(struct: Struct, instead: Raw | None = None, **fields: Raw | None) -> None:
    """Replace JSON's null by `instead`: called from `__post_init__` with the fields that are `OptionalRaw`."""
    for name, value in fields.items():
        if value is not None and bytes(value) == b"null":
            force_setattr(struct, name, instead)
