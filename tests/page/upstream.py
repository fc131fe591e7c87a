"""A chat completions server for the pictures: it thinks, answers at the pace of a large model, and calls a tool."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.server.whole import upstream

MODEL = "hypernova-60b"
PACE = 0.012  # seconds per token
THOUGHTS = "Three parts, and who sings each. A sentence, then a list; a small table says it best."
ANSWER = """An **antiphon** is a short chant that frames a psalm. Two halves of a choir answer each other:

1. the cantor *intones* the first words
2. one side sings a verse, the other the next
3. all sing the antiphon again

| part | sung by | mode |
| --- | --- | --- |
| intonation | cantor | free |
| verses | the sides in turn | psalm tone |
| antiphon | all | melodic |

Written as a program it would be `for verse in psalm: sides.next().sing(verse)`."""


def pieces(text: str, field: str) -> Iterator[dict[str, Any]]:
    """Cut a text into deltas of about a token each."""
    yield from ({field: piece} for piece in re.findall(r"\s*\S{1,6}|\s+$", text))


def script(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the deltas of an answer."""
    if request.get("tools") and request["messages"][-1]["role"] != "tool":
        function = request["tools"][0]["function"]["name"]
        yield {
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": function, "arguments": ""}}
            ]
        }
        for piece in ('{"city"', ': "Solesmes"', "}"):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
    else:
        yield from pieces(THOUGHTS, "reasoning_content")
        yield from pieces(ANSWER, "content")


class Paced(BaseHTTPRequestHandler):
    """One request."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._head("application/json")
        self.wfile.write(json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode())

    def do_POST(self) -> None:
        deltas = list(script(json.loads(self.rfile.read(int(self.headers["content-length"])))))
        self._head("text/event-stream")
        time.sleep(0.08)
        for delta in deltas:
            self._chunk(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
            time.sleep(PACE)
        reason = "tool_calls" if "tool_calls" in deltas[-1] else "stop"
        self._chunk(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
        usage = {"prompt_tokens": 31, "completion_tokens": len(deltas), "total_tokens": 31 + len(deltas)}
        self._chunk(choices=[], usage=usage)
        self.wfile.write(b"data: [DONE]\n\n")

    def _chunk(self, **fields: Any) -> None:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": MODEL, **fields}
        self.wfile.write(b"data: %b\n\n" % json.dumps(chunk).encode())

    def _head(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.end_headers()


@contextmanager
def paced_upstream() -> Iterator[str]:
    """Run the server; gives its base URL."""
    with upstream(Paced) as url:
        yield url
