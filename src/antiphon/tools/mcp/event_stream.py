"""Streams of server-sent events from MCP servers, read within bounds (HTML standard, 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from antiphon.tools.base import ToolServerError

if TYPE_CHECKING:
    from httpx2 import Response

MOST_HEADER = 1024
"""Characters of a session's id, and of an event's."""


class StreamEvent(msgspec.Struct, frozen=True):
    """An event of a stream; `retry` in milliseconds."""

    type: str
    data: bytes
    id: str = ""
    retry: int | None = None


class Counter:
    """How many bytes may still come."""

    def __init__(self, left: int) -> None:
        self.left = self.most = left

    def take(self, size: int) -> None:
        """Count bytes. Raises ToolServerError where they are too many."""
        self.left -= size
        if self.left < 0:
            raise ToolServerError(f"its answer has more than {self.most} bytes.")


async def events(response: Response, most: int, counter: Counter | None = None) -> AsyncIterator[StreamEvent]:
    """Yield the events of a stream, comments passed over (HTML standard, 9.2). Raises ToolServerError beyond `most` bytes."""
    counter = counter or Counter(most)
    type, id, retry = "", "", None
    data: list[bytes] = []
    async for line in _lines(response, counter):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data or id or retry is not None:
                yield StreamEvent(type or "message", b"\n".join(data), id, retry)
            type, id, retry, data = "", "", None, []
        elif name == b"data":
            data.append(value)
        elif name == b"event":
            type = value[:64].decode(errors="replace")
        elif name == b"id":
            id = header_value(value)
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            retry = int(value)


def header_value(value: bytes) -> str:
    """Return what can be sent back in a header, "" for anything else."""
    text = value[: MOST_HEADER + 1].decode(errors="replace")
    return text if len(text) <= MOST_HEADER and text.isascii() and text.isprintable() else ""


async def _lines(response: Response, counter: Counter) -> AsyncIterator[bytes]:
    """Yield lines, joined once each; CR, LF and CRLF end them. The loop has its turn after every few of them."""
    held: list[bytes] = []
    carriage = False  # whether the last piece ended with a CR, whose LF may follow
    async for piece in response.aiter_raw():
        counter.take(len(piece))
        if carriage and piece.startswith(b"\n"):
            piece = piece[1:]
        carriage = piece.endswith(b"\r")
        if b"\n" not in piece and b"\r" not in piece:
            held.append(piece)
            continue
        *whole, rest = b"".join((*held, piece)).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        held = [rest] if rest else []
        for index, line in enumerate(whole):
            yield line
            if index % 256 == 255:
                await asyncio.sleep(0)


async def body(response: Response, most: int) -> bytes:
    """Return a whole body. Raises ToolServerError beyond `most` bytes."""
    counter = Counter(most)
    pieces: list[bytes] = []
    async for piece in response.aiter_raw():
        counter.take(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def unframed(data: bytes) -> bytes:
    """Return the message of a body; some servers send their events under the type of JSON: then the last one's data."""
    if not data.lstrip()[:6].startswith((b"event:", b"data:", b"id:", b":")):
        return data
    blocks = data.strip().replace(b"\r\n", b"\n").replace(b"\r", b"\n").rpartition(b"\n\n")[2].split(b"\n")
    return b"\n".join([line[5:].removeprefix(b" ") for line in blocks if line.startswith(b"data:")])
