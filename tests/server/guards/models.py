"""A chat completions backend whose answers hold a secret in a stated place, cut in a stated way; and a moderation model."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

Json = dict[str, Any]

SECRET = "SECRET-1234"
PATTERN = r"SECRET-\d{4}"
BEFORE, BEHIND = "All is well so far, and the code is ", " as you know. More follows."

CUTS = ("inside", "across", "shattered", "end")
PLACES = ("text", "reasoning", "tool_calls")


def pieces(text: str, cut: str) -> list[str]:
    """Return a text in pieces: the secret whole in one, over several, or all of it in single characters."""
    at = text.index(SECRET)
    if cut == "shattered":
        return list(text)
    if cut == "across":
        return [text[: at + 3], text[at + 3 : at + 8], text[at + 8 :]]
    return [text[:at], text[at:]]


def secretive(cut: str) -> str:
    """Return a text that holds the secret; at its very end, or within."""
    return f"{BEFORE}{SECRET}" if cut == "end" else f"{BEFORE}{SECRET}{BEHIND}"


def deltas(place: str, cut: str) -> list[Json]:
    """Return the deltas of an answer."""
    if place == "tool_calls":
        arguments = json.dumps({"q": secretive(cut)})
        head = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
        said = [{"tool_calls": [head]}]
        return said + [
            {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces(arguments, cut)
        ]
    field = "content" if place == "text" else "reasoning_content"
    said = [{field: piece} for piece in pieces(secretive(cut), cut)]
    return said if place == "text" else [*said, {"content": "I have thought."}]


def _joined(said: list[Json]) -> Json:
    """Return deltas as the message that they make."""
    message: Json = {}
    for delta in said:
        for field, value in delta.items():
            if field != "tool_calls":
                message[field] = message.get(field, "") + value
            elif "tool_calls" in message:
                message["tool_calls"][0]["function"]["arguments"] += value[0]["function"]["arguments"]
            else:
                message["tool_calls"] = json.loads(json.dumps(value))
    return message


class SecretiveModel(BaseHTTPRequestHandler):
    """Answers as the name of the model says, `PLACE.CUT`; `clean` says nothing secret, `echo` what it was asked last."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []
    moderated: ClassVar[list[str]] = []
    moderation_status: ClassVar[int] = 200
    hesitates: ClassVar[threading.Event | None] = None
    reached: ClassVar[threading.Event] = threading.Event()

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        names = ["clean", "mod-1", *(f"{place}.{cut}" for place in PLACES for cut in CUTS)]
        self._send(json.dumps({"object": "list", "data": [{"id": id, "object": "model"} for id in names]}).encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/moderations"):
            self._moderate(request)
            return
        self.asked.append(request)
        if self.hesitates is not None:
            self.reached.set()
            self.hesitates.wait(20)
        place, _, cut = request["model"].partition(".")
        said = deltas(place, cut) if cut else [{"content": "Nothing "}, {"content": "secret."}]
        reason = "tool_calls" if place == "tool_calls" else "stop"
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
        if not request.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", **_joined(said)}, "finish_reason": reason}
            self._send(json.dumps({"choices": [choice], "usage": usage}).encode())
            return
        chunks: list[Json] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in said]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        chunks.append({"choices": [], "usage": usage})
        body = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        self._send(body + b"data: [DONE]\n\n", "text/event-stream")

    def _moderate(self, request: Json) -> None:
        self.moderated.extend(request["input"])
        results = []
        for text in request["input"]:
            bad = SECRET in text
            results.append(
                {"flagged": bad, "categories": {"secrets": bad}, "category_scores": {"secrets": 0.9 if bad else 0.1}}
            )
        body = json.dumps({"id": "modr-1", "model": "mod-1", "results": results}).encode()
        self._send(body, status=self.moderation_status)

    def _send(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        try:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True
