"""Coder: a model that calls the tools that its last message names, for tests of code and shells."""

from __future__ import annotations

import json
import uuid
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

from tests.server.whole import Json


class Coder(BaseHTTPRequestHandler):
    """Runs what the last user message says: cells apart by `---`, a call each; `parallel` makes them calls of one Turn."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []
    function = "python"

    def arguments(self, cell: str) -> Json:
        """Return the arguments of a call."""
        return {"code": cell}

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(
            json.dumps({"object": "list", "data": [{"id": id, "object": "model"} for id in ("m", "text")]}).encode(),
            "application/json",
        )

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        messages = request["messages"]
        last = max(index for index, message in enumerate(messages) if message["role"] == "user")
        text = messages[last]["content"]
        told = [message["content"] for message in messages[last:] if message["role"] == "tool"]
        parallel = text.startswith("parallel ")
        cells = text.removeprefix("parallel ").split("---")
        offered = any(tool["function"]["name"] == self.function for tool in request.get("tools", []))
        left = cells[len(told) :] if parallel else cells[len(told) : len(told) + 1]
        chunks: list[Json] = [
            {"content": f"It says {told[-1] if told else 'nothing'}. [File](sandbox:/mnt/data/out.csv)"}
        ]
        if offered and left:
            calls = [(index, json.dumps(self.arguments(cell))) for index, cell in enumerate(left)]
            chunks = [
                {"tool_calls": [{"index": index, "id": uuid.uuid4().hex, "type": "function",
                                 "function": {"name": self.function, "arguments": ""}}]}
                for index, _ in calls
            ]  # fmt: skip
            for index, arguments in calls:
                for start in range(0, len(arguments), 7):
                    piece = arguments[start : start + 7]
                    chunks.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        reason = "tool_calls" if "tool_calls" in chunks[0] else "stop"
        lines = [{"choices": [{"index": 0, "delta": delta}]} for delta in chunks]
        lines.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        body = b"".join(b"data: %b\n\n" % json.dumps(line).encode() for line in lines) + b"data: [DONE]\n\n"
        self._send(body, "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
