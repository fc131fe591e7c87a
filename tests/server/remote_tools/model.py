"""A model that calls tools of MCP servers, and its clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

from tests.server.whole import upstream


class Model(BaseHTTPRequestHandler):
    """Calls what the last user message names (`NAME {arguments}`), then says all tool results."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[dict]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(b'{"object":"list","data":[{"id":"m","object":"model"}]}', "application/json")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        messages = request["messages"]
        asked = [
            n for n, message in enumerate(messages) if message["role"] == "user" and type(message["content"]) is str
        ]
        last = max(asked)  # pictures of a tool are a message of the user's, too
        results = [message["content"] for message in messages[last:] if message["role"] == "tool"]
        name, _, arguments = messages[last]["content"].partition(" ")
        offered = [tool["function"]["name"] for tool in request.get("tools", [])]
        call = next((tool for tool in offered if tool.endswith(name)), None)
        if results or call is None:
            delta: dict = {"content": " | ".join(results) or f"no {name} among {offered}"}
        else:
            function = {"name": call, "arguments": arguments or "{}"}
            delta = {
                "tool_calls": [{"index": 0, "id": f"call_{len(self.asked)}", "type": "function", "function": function}]
            }
        reason = "stop" if "content" in delta else "tool_calls"
        chunks = [
            {"choices": [{"index": 0, "delta": delta}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        ]
        body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        self._send(body + b"data: [DONE]\n\n", "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def model() -> Iterator[str]:
    with upstream(Model) as url:
        yield url


def declared(url: str, **fields: object) -> dict:
    return {"type": "mcp", "server_label": "clock", "server_url": url, "require_approval": "never", **fields}


def kinds(response: dict) -> list[str]:
    return [item["type"] for item in response["output"]]


def said(response: dict) -> str:
    return response["output"][-1]["content"][0]["text"]


CALL = 'tick {"job": "a", "n": 7}'


# Items that were made up

LISTING = {
    "type": "mcp_list_tools",
    "id": "mcpl_1",
    "server_label": "clock",
    "tools": [{"name": name, "input_schema": {"type": "object"}} for name in ("tick", "hidden")],
}
