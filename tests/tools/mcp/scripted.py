"""An MCP server that answers as a test says, and remembers what it was asked.

def answer(exchange):
    if exchange.method == "tools/call":
        exchange.result({"content": []})
        return True
    return False  # as a good server does

with scripted(answer) as server:
    server.url, server.asked
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from tests.tools.mcp.hostile import Server, behave
from tests.tools.mcp.hostile_kinds import Exchange, Json

Answer = Callable[[Exchange], bool]


class Asked(NamedTuple):
    """A request: its headers by lower-case names, and its message."""

    http_method: str
    headers: dict[str, str]
    message: Json

    @property
    def method(self) -> str:
        """What the message asks for; "" for none."""
        return str(self.message.get("method", ""))


class Scripted:
    """The running server."""

    def __init__(self, url: str, asked: list[Asked]) -> None:
        self.url = url
        self.asked = asked

    def methods(self) -> list[str]:
        """Return the methods that were asked for, in order; of HTTP where there was no message."""
        return [one.method or one.http_method for one in self.asked]

    def calls(self) -> list[Asked]:
        """Return the calls of tools."""
        return [one for one in self.asked if one.method == "tools/call"]


@contextmanager
def scripted(answer: Answer = lambda exchange: False, path: str = "/mcp") -> Iterator[Scripted]:
    """Run it."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def _serve(self) -> None:
            message: Json = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked.append(Asked(self.command, headers, message))
            exchange: Any = Exchange(self, message)
            exchange.headers = headers
            with suppress(OSError):
                if not answer(exchange):
                    exchange.send(b"", status=405) if self.command == "GET" else behave(exchange)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815  # names of the standard library

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield Scripted(f"http://127.0.0.1:{server.server_address[1]}{path}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
