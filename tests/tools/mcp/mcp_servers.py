"""MCP servers of several revisions, and how tests call them."""

from __future__ import annotations

import contextlib
import json
import queue
from collections.abc import Callable, Iterator
from typing import Any

from antiphon.net.url_guard import UrlGuard
from antiphon.tools.base import McpTool, ToolServer
from antiphon.tools.mcp.servers import McpServers
from tests.tools.mcp.hostile_kinds import GOOD, TICK, Exchange, tools, until
from tests.tools.mcp.scripted import Scripted

LOOPBACK = UrlGuard(["127.0.0.0/8"])
META = "io.modelcontextprotocol/"


def connected(server: Scripted, servers: McpServers | None = None, **fields: Any) -> ToolServer:
    servers = servers or McpServers(LOOPBACK, {}, 20.0)
    return servers.connect(McpTool(server_label="x", server_url=server.url, **fields))


async def called(server: ToolServer, arguments: str = "{}", name: str = "tick") -> str:
    """List the tools and call one; return what it gave."""
    try:
        await server.list()
        return (await server.call(name, arguments)).text
    finally:
        await server.close()


def failed(exchange: Exchange, code: int, message: str, status: int = 200, data: object = None) -> bool:
    error = {"code": code, "message": message, "data": data}
    exchange.send(json.dumps({"jsonrpc": "2.0", "id": exchange.id, "error": error}).encode(), status=status)
    return True


# Transports


class Stream:
    """A server of HTTP with SSE: answers come by one stream. `answer` gives the messages for a call."""

    def __init__(self, answer: Callable[[Exchange], Iterator[bytes]], refusal: int = 405) -> None:
        self._answer = answer
        self._refusal = refusal
        self._messages: queue.Queue[bytes] = queue.Queue()

    def __call__(self, exchange: Exchange) -> bool:
        handler: Any = exchange.handler
        if handler.command == "GET":
            exchange.stream(self._pieces())
        elif handler.path != "/posts":
            exchange.send(b"", status=self._refusal)
        else:
            exchange.send(b"", status=202)
            self._tell(exchange)
        return True

    def _pieces(self) -> Iterator[bytes]:
        yield b"event: endpoint\ndata: /posts\n\n"
        for _ in until(10.0):
            with contextlib.suppress(queue.Empty):
                yield self._messages.get(timeout=0.05)

    def _tell(self, exchange: Exchange) -> None:
        results = {"initialize": {"protocolVersion": "2024-11-05", "capabilities": {}}, "tools/list": tools(TICK)}
        if exchange.method in results:
            self._messages.put(exchange.event(exchange.encoded(results[exchange.method])))
        elif exchange.method == "tools/call":
            for piece in self._answer(exchange):
                self._messages.put(piece)


def good(exchange: Exchange) -> Iterator[bytes]:
    yield exchange.event(exchange.encoded(GOOD))


# Progress


def progress(exchange: Exchange, token: object, n: float) -> bytes:
    return exchange.event({"method": "notifications/progress", "params": {"progressToken": token, "progress": n}})
