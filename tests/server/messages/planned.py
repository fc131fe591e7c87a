"""A chat model that does what a user of the Messages API says: the calls of each Turn, and what to say at the end."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

Json = dict[str, Any]
USAGE = {"prompt_tokens": 1000, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 900}}


class Planned(BaseHTTPRequestHandler):
    """Reads its plan in the last user message, in hexadecimal. `asked` are the requests, `bodies` their bytes.

    Of a plan `deltas` are said as they are, `finish` is why it ends ("": it breaks off), `refuse` an error's status and words;
    with `wait` it says nothing more until the client has gone, which `left` tells.
    """

    protocol_version = "HTTP/1.1"
    models: ClassVar[tuple[str, ...]] = ("m", "qwen3.5-9b")
    asked: ClassVar[list[Json]] = []
    bodies: ClassVar[list[bytes]] = []
    left: ClassVar[threading.Event] = threading.Event()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        models = [{"id": id, "object": "model"} for id in self.models]
        self._send(json.dumps({"object": "list", "data": models}).encode(), "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        request = json.loads(body)
        self.asked.append(request)
        self.bodies.append(body)
        messages = request["messages"]
        users = [index for index, message in enumerate(messages) if message["role"] == "user"]
        texts = [json.dumps(messages[index]["content"]) for index in users]
        while (
            len(users) > 1 and "PLAN " not in texts[-1] and ("image_url" in texts[-1] or "system-reminder" in texts[-1])
        ):
            del users[-1], texts[-1]  # what the server has put behind the plan
        last = users[-1] if users else 0
        digits = json.dumps(messages[last]["content"]).partition("PLAN ")[2].split(" ")[0].split('"')[0].split("\\")[0]
        plan = json.loads(bytes.fromhex(digits) or b'{"calls":[],"say":"Hm."}')
        if refusal := plan.get("refuse"):
            status, words = refusal
            self._send(json.dumps({"error": {"message": words}}).encode(), "application/json", status)
            return
        done = sum(message["role"] == "tool" for message in messages[last:])
        deltas: list[Json] = plan.get("deltas") or [{"content": plan["say"]}]
        if done < len(plan["calls"]) and request.get("tools"):
            name, arguments = plan["calls"][done]
            function = {"name": name, "arguments": json.dumps(arguments)}
            deltas = [{"tool_calls": [{"index": 0, "id": f"call_{done}", "type": "function", "function": function}]}]
        finish = plan.get("finish", "tool_calls" if "tool_calls" in deltas[-1] else "stop")
        chunks: list[Json] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        if finish:
            chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": USAGE})
        lines = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        if plan.get("wait"):
            self._wait(lines)
            return
        self._send(lines + (b"data: [DONE]\n\n" if finish else b""), "text/event-stream")

    def _wait(self, lines: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(lines)
        self.wfile.flush()
        self.connection.settimeout(20)
        try:
            self.connection.recv(1)  # returns as soon as the server lets go
        except OSError:
            return
        self.left.set()

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        if status in (429, 503):
            self.send_header("retry-after", "3")
        self.end_headers()
        self.wfile.write(body)

    @classmethod
    def told(cls) -> list[str]:
        """Return what tools have told the model, as its last call has it."""
        return [message["content"] for message in cls.asked[-1]["messages"] if message["role"] == "tool"]


def plan_text(*calls: Any, say: str = "Done.", **fields: Any) -> str:
    """Return a plan as a text of the user's."""
    return f"PLAN {json.dumps({'calls': calls, 'say': say, **fields}).encode().hex()}"


def planned(*calls: Any, say: str = "Done.", before: str = "", **fields: Any) -> Json:
    """Return a user's message with a plan."""
    return {"role": "user", "content": f"{before} {plan_text(*calls, say=say, **fields)}"}
