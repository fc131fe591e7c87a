"""What the server and a reading process say to each other: frames of an 8-byte length, MessagePack or a file's bytes."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Literal

import msgspec

LENGTH = Struct("<Q")
MOST_ANSWER = 256 << 20  # bytes

Outcome = Literal["read", "invalid", "unsupported"]


class ReadTask(msgspec.Struct, frozen=True, kw_only=True):
    """A document to read; its bytes follow in the next frame. `seconds` is the processor's time that it may take."""

    filename: str
    tokens: int
    overlap: int
    seconds: int


class DocumentChunks(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a document: its chunks as pairs of text and words, or why it cannot be read."""

    outcome: Outcome = "read"
    reason: str = ""
    chunks: Sequence[tuple[str, str]] = ()


class ReaderReady(msgspec.Struct, frozen=True):
    """The first frame of a process: it has loaded what it needs."""

    pid: int
