"""A chat model that does what a user of the Messages API says: the calls of each Turn, and what to say at the end."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

Json = dict[str, Any]


class Planned(BaseHTTPRequestHandler):
    """Reads its plan in the last user message, in hexadecimal. `asked` are the requests."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(
            json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode(), "application/json"
        )

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        messages = request["messages"]
        last = max(index for index, message in enumerate(messages) if message["role"] == "user")
        plan = json.loads(
            bytes.fromhex(str(messages[last]["content"]).partition("PLAN ")[2]) or b'{"calls":[],"say":"Hm."}'
        )
        done = sum(message["role"] == "tool" for message in messages[last:])
        if done < len(plan["calls"]) and request.get("tools"):
            name, arguments = plan["calls"][done]
            function = {"name": name, "arguments": json.dumps(arguments)}
            delta: Json = {"tool_calls": [{"index": 0, "id": f"call_{done}", "type": "function", "function": function}]}
        else:
            delta = {"content": plan["say"]}
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

    @classmethod
    def told(cls) -> list[str]:
        """Return what tools have told the model, as its last call has it."""
        return [message["content"] for message in cls.asked[-1]["messages"] if message["role"] == "tool"]


def planned(*calls: Any, say: str = "Done.", before: str = "") -> Json:
    """Return a user's message with a plan."""
    text = f"{before} PLAN {json.dumps({'calls': calls, 'say': say}).encode().hex()}"
    return {"role": "user", "content": text}
