"""JSON that is kept as bytes: what may also be null, and long texts."""

from __future__ import annotations

import re
from struct import Struct as Layout
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Raw, Struct, ValidationError
from msgspec.structs import force_setattr

LONG = 512
"""Bytes of JSON from which on a text is kept as that: a shorter one is decoded and encoded as fast."""

T = TypeVar("T")

if TYPE_CHECKING:
    OptionalRaw = Raw | None
else:
    OptionalRaw = Raw  # msgspec decodes no union that has Raw in it: what is not null is refused


def settle_nulls(struct: Struct, instead: Raw | None = None, **fields: Raw | None) -> None:
    """Replace JSON's null by `instead`: called from `__post_init__` with the fields that are `OptionalRaw`."""
    for name, value in fields.items():
        if value is not None and bytes(value) == b"null":
            force_setattr(struct, name, instead)


class JsonText:
    """A long text, kept as the `json` that it came in: whoever passes it on copies that, `str` decodes it for whoever reads it.

    It equals the same text, however it is written, also as a `str`. Its JSON has no errors: it was passed over when it came.
    """

    __slots__ = ("json",)

    def __init__(self, json: Raw) -> None:
        self.json = json

    def __str__(self) -> str:
        return _text.decode(self.json)

    @property
    def spare(self) -> int:
        """Bytes that its JSON takes more than it has to: some clients escape all but ASCII, and what is estimated is the text."""
        if _ESCAPE.search(self.json) is None:
            return 0
        return max(len(self.json) - len(msgspec.json.encode(str(self))), 0)

    def __eq__(self, other: object) -> bool:
        if type(other) is JsonText and self.json == other.json:
            return True
        return str(self) == str(other) if isinstance(other, JsonText | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"JsonText({str(self)!r})"


TEXTS = frozenset((str, JsonText))
"""The types of a text."""

_text = msgspec.json.Decoder(str)
_ESCAPE = re.compile(rb"\\[u/]")


def text_or(others: msgspec.json.Decoder[T], json: Raw, name: str) -> T | JsonText:
    """Return what JSON says: a long text as that, or what else is allowed; called from `__post_init__` with the field's name.

    Raises ValidationError as the struct's own decoder would.
    """
    if len(json) >= LONG and _first_byte(json) == _QUOTE:
        return JsonText(json)
    try:
        return others.decode(json)
    except ValidationError as error:
        said, at, path = str(error).rpartition(" - at `$")
        raise ValidationError(f"{said} - at `$.{name}{path}" if at else f"{error} - at `$.{name}`") from None


_first_byte = Layout("B").unpack_from  # an index into a memoryview takes four times as long
_QUOTE = (ord('"'),)
