"""What servers that speak Responses were recorded to answer: a line with status and type, then the body, byte for byte.

llama.cpp, vLLM (with and without a parser of thoughts), transformers serve, LiteLLM and agentic-api in front of llama.cpp
and of vLLM. Each was asked the same: a text, streamed and not, a text cut after 20 tokens, a call, a JSON Schema (60 tokens
at most), logprobs, a prompt beyond the window, a model that is not there. One was killed in mid-answer.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from json import dumps, loads
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "recorded"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))


class Recording(NamedTuple):
    status: int
    type: str
    body: bytes


def recording(name: str) -> Recording:
    head, _, body = (FOLDER / f"{name}.txt").read_bytes().partition(b"\n")
    status, _, type = head.decode().partition(" ")
    return Recording(int(status), type, body)


def asked_for(name: str) -> dict[str, int]:
    """Return the `max_output_tokens` that a recording was asked with."""
    return {"max_output_tokens": 20 if "cut" in name else 60}


class Recorded(BaseHTTPRequestHandler):
    """Answers with the recording that the request's `model` names."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        listed = dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in NAMES]})
        self._send(Recording(200, "application/json", listed.encode()))

    def do_POST(self) -> None:
        self._send(recording(loads(self.rfile.read(int(self.headers["content-length"])))["model"]))

    def _send(self, answer: Recording) -> None:
        self.send_response(answer.status)
        self.send_header("content-type", answer.type)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
