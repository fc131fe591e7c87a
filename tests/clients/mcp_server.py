"""A small MCP server: `python -m tests.clients.mcp_server [--stdio]`, else HTTP on a free port. Standard library only."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.clients.chat import Json

_NUMBERS = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}
_NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TOOLS = [
    {"name": "add", "description": "Add two numbers", "inputSchema": _NUMBERS},
    {
        "name": "secret",
        "description": "The secret of a name",
        "inputSchema": _NAME,
        "annotations": {"readOnlyHint": True},
    },
    {"name": "boom", "description": "Always fails", "inputSchema": {"type": "object", "properties": {}}},
]


def reply(message: Json) -> Json:
    """Answer one JSON-RPC request."""
    method, params = message["method"], message.get("params") or {}
    match method:
        case "initialize":
            info = {"name": "tests", "version": "1"}
            result: Json = {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": info,
            }
        case "ping":
            result = {}
        case "tools/list":
            result = {"tools": TOOLS}
        case "tools/call":
            result = _call(params["name"], params.get("arguments") or {})
        case _:
            return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": f"No method {method}"}}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _call(name: str, arguments: Json) -> Json:
    texts = {"add": lambda: str(arguments["a"] + arguments["b"]), "secret": lambda: f"secret-of-{arguments['name']}"}
    text = texts[name]() if name in texts else f"{name} failed"
    return {"content": [{"type": "text", "text": text}], "isError": name not in texts}


class Handler(BaseHTTPRequestHandler):
    """Streamable HTTP without a stream of the server's own."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Offer no stream."""
        self._answer(405)

    def do_DELETE(self) -> None:
        """End a session: there are none."""
        self._answer(200)

    def do_POST(self) -> None:
        """Answer a request; notifications need none."""
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "id" in message:
            self._answer(200, json.dumps(reply(message)).encode())
        else:
            self._answer(202)


def main() -> None:
    """Serve until the process ends."""
    if "--stdio" in sys.argv:
        for line in sys.stdin:
            message = json.loads(line)
            if "id" in message:
                print(json.dumps(reply(message)), flush=True)
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}/mcp", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
