"""Frames of JSON and bytes over a socket, as the server and the processes in a sandbox speak."""

from __future__ import annotations

import json
import os
import socket
import struct

TYPE_CHECKING = False  # `typing` itself takes half a megabyte of each idle container
if TYPE_CHECKING:
    from typing import Any

HEAD = struct.Struct("!II")
MOST_JSON = 8 << 20
MOST_BYTES = 64 << 20

if TYPE_CHECKING:
    Message = dict[str, Any]
else:
    Message = dict


class Stdio:
    """Standard input and output as a connection, for a sandbox that has no other: the code gets empty ones instead."""

    def __init__(self) -> None:
        self._reading, self._writing = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(nothing, number)
        os.close(nothing)

    def fileno(self) -> int:
        """Return what is waited for."""
        return self._reading

    def recv(self, size: int) -> bytes:
        """Read what is there."""
        return os.read(self._reading, size)

    def sendall(self, data: bytes) -> None:
        """Write all of it."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._writing, left) :]

    def close(self) -> None:
        """Let go of both."""
        os.close(self._reading)
        os.close(self._writing)


if TYPE_CHECKING:
    Connection = socket.socket | Stdio


def pack(message: Message, blob: bytes = b"") -> bytes:
    """Return a frame: both lengths, the JSON, the bytes."""
    text = json.dumps(message).encode()
    return HEAD.pack(len(text), len(blob)) + text + blob


def send(connection: Connection, message: Message, blob: bytes = b"") -> None:
    """Write a frame."""
    connection.sendall(pack(message, blob))


def receive(connection: Connection) -> tuple[Message, bytes]:
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


def _exactly(connection: Connection, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        piece = connection.recv(min(size - len(parts), 1 << 20))
        if not piece:
            raise EOFError
        parts += piece
    return bytes(parts)
