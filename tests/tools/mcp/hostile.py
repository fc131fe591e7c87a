"""MCP servers that do harm, as data: each is a place of one HTTP server, `URL/NAME/mcp` (or `/sse`).

    with running() as url:
        for kind in KINDS:
            tool = {"type": "mcp", "server_label": "x", "server_url": kind.url(url), "require_approval": "never"}

A kind behaves as a good server does, with one tool `tick`, but for one method. Programs that speak MCP over stdio and do
harm are in PROGRAMS.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.tools.mcp import hostile_http, hostile_results, hostile_streams
from tests.tools.mcp.hostile_kinds import (
    GOOD,
    KINDS,
    TICK,
    Exchange,
    Json,
    Kind,
    tools,
)

MADE_BY = (hostile_http, hostile_results, hostile_streams)
"""Modules whose import fills KINDS."""

# The server


class Handler(BaseHTTPRequestHandler):
    """Answers as a good server does, but for the method that the kind is about."""

    protocol_version = "HTTP/1.1"
    kinds: dict[str, Kind] = {}  # noqa: RUF012

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_DELETE(self) -> None:
        Exchange(self, {}).send(b"")

    def do_POST(self) -> None:
        self._serve("")

    def _serve(self, method: str) -> None:
        message: Json = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        exchange = Exchange(self, message)
        found = self.kinds.get(self.path.split("/")[1])
        with suppress(OSError):  # the client may go whenever it likes
            if (found is not None and found.method == (method or exchange.method)) or (
                found is not None and method == "GET" and "stream_to_resume" in found.name
            ):
                found.act(exchange)
            elif method == "GET":
                exchange.send(b"", status=405)
            else:
                behave(exchange)


def behave(exchange: Exchange) -> None:
    """Answer as a good server does."""
    if exchange.id is None or not exchange.method:
        exchange.send(b"", status=202)
    elif exchange.method == "initialize":
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "hostile", "version": "1"}}
        exchange.result({"protocolVersion": "2025-06-18", **about})
    elif exchange.method == "tools/list":
        exchange.result(tools(TICK))
    else:
        exchange.result(GOOD)


class Server(ThreadingHTTPServer):
    """A server of many threads."""

    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no error here."""

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # without a look-up of the host's name


@contextmanager
def running() -> Iterator[str]:
    """Run the server of all kinds; gives its URL."""
    Handler.kinds = {one.name: one for one in KINDS}
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# Programs

_GOOD_PROGRAM = """
import json, sys, time, os
def behave(message):
    method = message.get("method")
    if "id" not in message: return
    result = {"initialize": {"protocolVersion": "2025-06-18", "capabilities": {}},
              "tools/list": {"tools": [{"name": "tick", "inputSchema": {"type": "object"}}]}}.get(method,
              {"content": [{"type": "text", "text": "good"}]})
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "tools/call":
        CALL
    behave(message)
"""

PROGRAMS: dict[str, str] = {
    "crashes_at_once": "raise SystemExit(3)",
    "crashes_at_the_call": _GOOD_PROGRAM.replace("CALL", "os._exit(3)"),
    "is_killed_at_the_call": _GOOD_PROGRAM.replace("CALL", "os.kill(os.getpid(), 9)"),
    "prints_garbage": _GOOD_PROGRAM.replace("CALL", r"print('warning: x\n' * 5 + '\0\x1b[31m', flush=True)"),
    "prints_garbage_for_ever": "while True: print('garbage', flush=True)",
    "prints_a_line_without_end": "while True: print('x' * 65536, end='', flush=True)",
    "prints_half_a_message": _GOOD_PROGRAM.replace("CALL", "print('{', flush=True)"),
    "fills_stderr": _GOOD_PROGRAM.replace("CALL", "sys.stderr.write('x' * 20_000_000)"),
    "fills_stderr_for_ever": "import sys\nwhile True: sys.stderr.write('x' * 65536)",
    "never_reads": "import time; time.sleep(20)",
    "never_answers_a_call": _GOOD_PROGRAM.replace("CALL", "time.sleep(20)"),
    "answers_with_50_mb": _GOOD_PROGRAM.replace("CALL", "print(json.dumps({'a': 'x' * 50_000_000}), flush=True)"),
    "pings_for_ever": "import json\nwhile True: print(json.dumps({'jsonrpc': '2.0', 'id': 1, 'method': 'ping'}), flush=True)",
    "leaves_a_child": "import subprocess, sys; subprocess.Popen(['sleep', '20']); sys.exit(0)",
}
"""Sources of Python programs that speak MCP over stdio, by a name."""
