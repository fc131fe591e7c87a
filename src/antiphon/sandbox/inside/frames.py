"""Frames of JSON and bytes over a socket, as the server and the processes in a sandbox speak."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

HEAD = struct.Struct("!II")
MOST_JSON = 8 << 20
MOST_BYTES = 64 << 20

Message = dict[str, Any]


def pack(message: Message, blob: bytes = b"") -> bytes:
    """Return a frame: both lengths, the JSON, the bytes."""
    text = json.dumps(message).encode()
    return HEAD.pack(len(text), len(blob)) + text + blob


def send(connection: socket.socket, message: Message, blob: bytes = b"") -> None:
    """Write a frame."""
    connection.sendall(pack(message, blob))


def receive(connection: socket.socket) -> tuple[Message, bytes]:
    """Read a frame. Raises EOFError where the other side has gone, or speaks otherwise."""
    size, more = HEAD.unpack(_exactly(connection, HEAD.size))
    if size > MOST_JSON or more > MOST_BYTES:
        raise EOFError
    try:
        message = json.loads(_exactly(connection, size))
    except ValueError:
        raise EOFError from None
    if not isinstance(message, dict):
        raise EOFError
    return message, _exactly(connection, more)


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        piece = connection.recv(min(size - len(parts), 1 << 20))
        if not piece:
            raise EOFError
        parts += piece
    return bytes(parts)
