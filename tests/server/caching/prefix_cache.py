"""A chat backend with a prefix cache: it tells how much of a prompt began as one before it. A word is a token."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

Json = dict[str, Any]


class PrefixCache(BaseHTTPRequestHandler):
    """Counts cached tokens; `silent-…` models tell none. Calls the first function where the last message has "call"."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []
    cached: ClassVar[list[list[str]]] = []
    refuses: ClassVar[bool] = False
    models: ClassVar[list[str]] = ["m", "other", "silent"]

    @classmethod
    def forget(cls) -> None:
        """Empty the cache."""
        cls.asked.clear()
        cls.cached.clear()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        models = [{"id": id, "object": "model", "max_model_len": 1_000_000} for id in self.models]
        self._send(json.dumps({"object": "list", "data": models}).encode(), "application/json")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.refuses:
            self.send_error(503)
            return
        self.asked.append(asked)
        words = [asked["model"], *prompt(asked).split()]
        shared = max([_common(words, known) for known in self.cached], default=0)
        self.cached.append(words)
        usage: Json = {"prompt_tokens": len(words), "completion_tokens": 1, "total_tokens": len(words) + 1}
        if asked["model"] != "silent":
            usage["prompt_tokens_details"] = {"cached_tokens": shared}
        self._send(_chunks(_answer(asked), usage), "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def prompt(asked: Json) -> str:
    """Return what a model reads, in the order of most templates."""
    return "\n".join(json.dumps(part) for part in [*(asked.get("tools") or ()), *asked["messages"]])


def _common(one: list[str], other: list[str]) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _answer(asked: Json) -> Json:
    last = asked["messages"][-1]
    if asked.get("tools") and last["role"] == "user" and "call" in json.dumps(last["content"]):
        name = asked["tools"][0]["function"]["name"]
        call = {"index": 0, "id": f"c{len(asked['messages'])}", "function": {"name": name, "arguments": "{}"}}
        return {"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
    return {"delta": {"content": "Yes."}, "finish_reason": "stop"}


def _chunks(answer: Json, usage: Json) -> bytes:
    chunks = [{"choices": [{"index": 0, **answer}]}, {"choices": [], "usage": usage}]
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"
