"""Writes small GGUF files: a header, no weights."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

Value = bool | int | float | str | list[str] | list[int]


def gguf(metadata: Mapping[str, Value], tensors: Sequence[Sequence[int]] = (), version: int = 3) -> bytes:
    """Return the bytes of a header; `tensors` are their sizes."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    pairs = b"".join(_text(key) + _typed(value) for key, value in metadata.items())
    return head + pairs + b"".join(_tensor(f"t{at}", sizes) for at, sizes in enumerate(tensors))


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _typed(value: Value) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<IQ", 10, value)
        case float():
            return struct.pack("<Id", 12, value)
        case str():
            return struct.pack("<I", 8) + _text(value)
        case list() if all(isinstance(item, str) for item in value):
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_text(str(item)) for item in value)
        case list():
            return struct.pack(f"<IIQ{len(value)}H", 9, 2, len(value), *value)


def _tensor(name: str, sizes: Sequence[int]) -> bytes:
    return _text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, 0, 0)
