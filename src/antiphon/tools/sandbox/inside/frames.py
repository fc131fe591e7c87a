"""Frames of JSON and bytes over a socket, as the server and the processes in a sandbox speak.

An idle container holds what is imported here and in what uses it: regular expressions, enumerations and the like, which `json`,
`socket`, `signal`, `ast` and `contextlib` bring along, would be a quarter of it. So their parts in C are used without them.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False  # `typing` itself takes half a megabyte of each idle container
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

HEAD = struct.Struct("!II")
MOST_JSON = 8 << 20
MOST_BYTES = 64 << 20

if TYPE_CHECKING:
    Message = dict[str, Any]
else:
    Message = dict


class Ignored:
    """Goes on behind its block where one of these exceptions is raised in it."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        """Tell whether to go on."""
        return kind is not None and issubclass(kind, self._kinds)


def _codec() -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    """Return what writes and reads JSON, as the package `json` does. Reading raises ValueError."""
    try:
        from _json import encode_basestring_ascii, make_encoder, make_scanner

        names = ("strict", "object_hook", "object_pairs_hook", "parse_float", "parse_int", "parse_constant")
        values = (True, None, None, float, int, float)
        scan = make_scanner(type("Context", (), dict(zip(names, values, strict=True)))())
        encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, True)
        if scan("[1]", 0) != ([1], 3) or "".join(encode({"a": [True, 1]}, 0)) != '{"a": [true, 1]}':
            raise ImportError
    except (ImportError, TypeError, AttributeError):  # of another Python
        import json

        return json.dumps, json.loads

    def read(text: str) -> Any:
        try:
            value, end = scan(text, 0)
        except StopIteration:
            raise ValueError(text[:20]) from None
        if end != len(text):
            raise ValueError(text[:20])
        return value

    return lambda value: "".join(encode(value, 0)), read


def _refuse(value: object) -> object:
    raise TypeError(type(value).__name__)


_write, _read = _codec()


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
    text = _write(message).encode()
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
        message = _read(_exactly(connection, size).decode())
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
