"""Long texts and bytes, worked on piece by piece: one call over all of them would keep the interpreter from other threads.

A thread lets others run between two calls only (`sys.setswitchinterval`), however long one takes.
"""

from __future__ import annotations

import base64
import binascii
import codecs
from collections.abc import Iterable, Sequence
from io import BytesIO

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json

_encode = msgspec.json.Encoder().encode

PIECE = 768 * 1024
"""Bytes or characters of a piece: about a millisecond. Divisible by 3 and by 4, so that base64 can be cut there."""


def joined(parts: Iterable[bytes | Raw]) -> bytes:
    """Return parts in a row; a long whole grows, which needs no second copy."""
    if not isinstance(parts, list):
        parts = list(parts)
    if sum(map(len, parts)) <= PIECE:
        return b"".join(parts)
    whole = BytesIO()
    for part in parts:
        if len(part) <= PIECE:
            whole.write(part)
        else:
            view = memoryview(part)
            for begin in range(0, len(part), PIECE):
                whole.write(view[begin : begin + PIECE])
    return whole.getvalue()


def enclosed(first: bytes, parts: Sequence[bytes], last: bytes) -> bytes:
    """Return parts with commas between them, and what stands around them."""
    pieces = [b","] * (2 * len(parts) + 1)
    pieces[1::2] = parts
    pieces[0], pieces[-1] = first, last if parts else first + last
    return joined(pieces)


def text_json(text: str) -> bytes:
    """Return a text as JSON."""
    if len(text) <= PIECE:
        try:
            return _encode(text)
        except UnicodeEncodeError:
            return to_json(text)
    quoted = (to_json(text[begin : begin + PIECE]) for begin in range(0, len(text), PIECE))
    return joined([b'"', *[piece[1:-1] for piece in quoted], b'"'])


def to_base64(content: bytes) -> str:
    """Return bytes as base64."""
    view = memoryview(content)
    return "".join(
        [base64.b64encode(view[begin : begin + PIECE]).decode("ascii") for begin in range(0, len(content), PIECE)]
    )


def from_base64(data: str) -> bytes:
    """Return the bytes of base64, in which blanks may stand. Raises ValueError."""
    whole = BytesIO()
    held = ""
    for begin in range(0, len(data), PIECE):
        text = held + "".join(data[begin : begin + PIECE].split())
        ends = begin + PIECE >= len(data)
        cut = len(text) if ends else max(len(text) - 4, 0) // 4 * 4  # padding stands in the last piece only
        if "=" in text[:cut] and not ends:
            raise binascii.Error("Padding stands before the end.")
        whole.write(base64.b64decode(text[:cut], validate=True))
        held = text[cut:]
    return whole.getvalue()


def to_text(content: bytes, encoding: str) -> str:
    """Return bytes as text. Raises UnicodeDecodeError."""
    decoder = codecs.getincrementaldecoder(encoding)()
    view = memoryview(content)
    parts = [decoder.decode(view[begin : begin + PIECE]) for begin in range(0, len(content), PIECE)]
    return "".join([*parts, decoder.decode(b"", True)])
