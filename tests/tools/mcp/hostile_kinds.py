"""What a hostile MCP server is: an Exchange with a client, a Kind that acts in it, and the list of all kinds."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

Json = dict[str, Any]
LONGEST = 20.0  # seconds after which a server that would go on for ever stops: it is a test's

TICK: Json = {"name": "tick", "description": "Counts.", "inputSchema": {"type": "object"}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 67).decode()
GOOD: Json = {"content": [{"type": "text", "text": "good"}]}


class Exchange:
    """A request, and the ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, message: Json) -> None:
        self.handler = handler
        self.id = message.get("id")
        self.method = message.get("method", "")
        self.params = message.get("params") or {}

    def raw(self, data: bytes) -> None:
        """Write bytes as they are; the connection is closed behind them."""
        self.handler.close_connection = True
        self.handler.wfile.write(data)

    def send(self, body: bytes, kind: str = "application/json", status: int = 200, **headers: str) -> None:
        """Answer whole."""
        head = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(body)}"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.handler.wfile.write("\r\n".join([*head, "", ""]).encode() + body)

    def result(self, result: object, **fields: object) -> None:
        """Answer with a result."""
        self.send(self.encoded(result, **fields))

    def encoded(self, result: object, **fields: object) -> bytes:
        """Return an answer with a result."""
        return json.dumps({"jsonrpc": "2.0", "id": self.id, "result": result, **fields}).encode()

    def around(self, result: bytes) -> None:
        """Answer with a result that is given as bytes."""
        self.send(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (json.dumps(self.id).encode(), result))

    def stream(self, pieces: Iterator[bytes] | list[bytes]) -> None:
        """Answer with a stream."""
        self.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for piece in pieces:
            self.handler.wfile.write(piece)

    def event(self, message: bytes | Json) -> bytes:
        """Return a message as an event."""
        data = message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
        return b"event: message\ndata: %b\n\n" % data


Act = Callable[[Exchange], None]


class Kind(NamedTuple):
    """A server: what it does when it is asked for a method."""

    name: str
    method: str
    act: Act
    transport: str = "mcp"

    def url(self, base: str) -> str:
        """Return where it is."""
        return f"{base}/{self.name}/{self.transport}"


KINDS: list[Kind] = []


def kind(method: str, transport: str = "mcp") -> Callable[[Act], Act]:
    """Add a kind, named as its function."""

    def add(act: Act) -> Act:
        KINDS.append(Kind(act.__name__, method, act, transport))
        return act

    return add


def results(method: str, **values: object) -> None:
    """Add kinds that answer with these results."""
    for name, value in values.items():
        KINDS.append(Kind(name, method, lambda exchange, value=value: exchange.result(value)))


def bodies(method: str, **values: bytes) -> None:
    """Add kinds whose results are these bytes."""
    for name, value in values.items():
        KINDS.append(Kind(name, method, lambda exchange, value=value: exchange.around(value)))


def until(end: float = LONGEST, pause: float = 0.0) -> Iterator[int]:
    """Count for a while."""
    begun, n = time.monotonic(), 0
    while time.monotonic() - begun < end:
        yield n
        n += 1
        if pause:
            time.sleep(pause)


def tools(*listed: object, **fields: object) -> Json:
    """Return a list of tools."""
    return {"tools": list(listed), **fields}


def tool(**fields: object) -> Json:
    """Return the good tool with something else in it."""
    return {**TICK, **fields}
