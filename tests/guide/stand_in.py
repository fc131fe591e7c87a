"""The backend of the guide's tests: a chat completions server with one model that answers by rule, as Ollama would be asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.server.whole import upstream

MODEL = "qwen3-coder"
Json = dict[str, Any]

ARGUMENTS: Json = {
    "file_search": {"queries": ["water filter"]},
    "numbers__add": {"a": 2, "b": 3},
    "get_weather": {"city": "Paris"},
}
"""What the model calls each tool with, where a request offers it."""


def answer(request: Json) -> Json:
    """Return the message: a call of the first tool that ARGUMENTS knows, and after its result a text that repeats it."""
    messages = request["messages"]
    if messages[-1]["role"] == "tool":
        return {"content": f"It says: {_text(messages[-1]['content'])[:200]} 【1】"}
    for tool in request.get("tools", ()):
        name = tool["function"]["name"]
        for known, arguments in ARGUMENTS.items():
            if name.endswith(known.rpartition("__")[2]):
                call = {"name": name, "arguments": json.dumps(arguments)}
                return {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": call}]}
    return {"content": "Hello from the stand-in."}


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content)


class StandIn(BaseHTTPRequestHandler):
    """The handler."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        known = self.path.endswith("/models")
        models = {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "library"}]}
        self._send(200 if known else 404, json.dumps(models if known else {"error": "not found"}).encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.path.endswith("/chat/completions"):
            self._send(404, b'{"error": "not found"}')
            return
        message = answer(request)
        reason = "tool_calls" if "tool_calls" in message else "stop"
        usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
        head = {"id": "chat_1", "created": 1, "model": MODEL, "usage": usage}
        if not request.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
            self._send(200, json.dumps({**head, "object": "chat.completion", "choices": [choice]}).encode())
            return
        choice = {"index": 0, "delta": {"role": "assistant", **message}, "finish_reason": reason}
        chunk = json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]})
        self._send(200, f"data: {chunk}\n\ndata: [DONE]\n\n".encode(), "text/event-stream")

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def stand_in() -> Iterator[str]:
    """Run it; yields its base URL."""
    with upstream(StandIn) as url:
        yield url
