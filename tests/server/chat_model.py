"""ChatModel: a chat completions server whose answers a test decides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

Json = dict[str, Any]


class ChatModel(BaseHTTPRequestHandler):
    """Streams what `deltas` returns for a request. `models` are those that it lists; `asked` are the requests so far."""

    protocol_version = "HTTP/1.1"
    models: ClassVar[Sequence[str]] = ("m",)
    asked: ClassVar[list[Json]]

    def __init_subclass__(cls) -> None:
        cls.asked = []

    def deltas(self, request: Json) -> Sequence[Json]:
        """Return the answer, piece by piece; it ends with tool calls where the first piece has some."""
        raise NotImplementedError

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        models = [{"id": id, "object": "model"} for id in self.models]
        self._send(json.dumps({"object": "list", "data": models}).encode(), "application/json")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        deltas = self.deltas(request)
        reason = "tool_calls" if "tool_calls" in deltas[0] else "stop"
        choices: list[Json] = [{"index": 0, "delta": delta} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": reason})
        body = b"".join(b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode() for choice in choices)
        self._send(body + b"data: [DONE]\n\n", "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        try:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the server was killed


def last_question(messages: Sequence[Json]) -> int:
    """Return the index of the last message of the user."""
    return max(index for index, message in enumerate(messages) if message["role"] == "user")


def told(messages: Sequence[Json]) -> list[Any]:
    """Return what tools have told."""
    return [message["content"] for message in messages if message["role"] == "tool"]


def call(name: str, arguments: str, id: str, index: int = 0) -> Json:
    """Return a whole tool call."""
    return {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
