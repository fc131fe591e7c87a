"""`antiphon launch codex` on Ollama with models that do not think: files are edited, the person's own home stays in use.

Ollama is stood in for after its documentation: it refuses `reasoning_effort` for such a model, and its list says no more
than the names; with `/api/show`, its capabilities are told, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.clients.codexes import BINARY, NODE
from tests.clients.lib import same, scenario

MODEL = "qwen3-coder:30b"
PATCH = "*** Begin Patch\n*** Update File: note.txt\n@@\n-before\n+after\n*** End Patch\n"
EMBEDDER = "bge-m3:latest"


class Ollama(BaseHTTPRequestHandler):
    """Lists two models; one chats, and does not think."""

    protocol_version = "HTTP/1.1"
    shows: bool
    seen: list[dict[str, Any]]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List the models."""
        if self.path != "/v1/models":
            self._json(404, {"error": "not found"})
            return
        entries = [{"id": id, "object": "model", "created": 1, "owned_by": "library"} for id in (EMBEDDER, MODEL)]
        self._json(200, {"object": "list", "data": entries})

    def do_POST(self) -> None:
        """Answer by what the history has: a patch first, then that it is done."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/api/show" and self.shows:
            able = ["embedding"] if body.get("model") == EMBEDDER else ["completion", "tools"]
            info = {"general.architecture": "qwen3", "qwen3.context_length": 262_144}
            self._json(200, {"capabilities": able, "model_info": info})
            return
        if self.path != "/v1/chat/completions":
            self._json(404, {"error": "not found"})
            return
        self.seen.append(body)
        if body.get("reasoning_effort", "none") != "none":
            told = {"message": f'"{MODEL}" does not support thinking', "type": "invalid_request_error"}
            self._json(400, {"error": {**told, "param": None, "code": None}})
            return
        names = [tool["function"]["name"] for tool in body.get("tools", [])]
        if any(message["role"] == "tool" for message in body["messages"]):
            self._stream({"content": "Done."})
            return
        patch = next(name for name in names if "apply_patch" in name)
        call = {"id": "call_1", "index": 0, "type": "function"}
        self._stream({"tool_calls": [{**call, "function": {"name": patch, "arguments": json.dumps({"input": PATCH})}}]})

    def _stream(self, delta: dict[str, Any]) -> None:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
        reason = "tool_calls" if "tool_calls" in delta else "stop"
        chunks = [
            {
                **head,
                "choices": [
                    {"index": 0, "delta": {"role": "assistant", "content": "", **delta}, "finish_reason": None}
                ],
            },
            {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": reason}]},
        ]
        text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self._send(200, "text/event-stream", text.encode())

    def _json(self, status: int, value: object) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, type: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def ollama(*, shows: bool) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run the stand-in; gives its URL, and the requests that come."""
    seen: list[dict[str, Any]] = []
    handler = type("Serving", (Ollama,), {"shows": shows, "seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()


def launch(home: Path, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would who has Codex installed."""
    (home / "bin").mkdir(exist_ok=True)
    if not (home / "bin/codex").exists():
        (home / "bin/codex").symlink_to(BINARY)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTIPHON_", "XDG_", "CODEX_"))}
    path = f"{home / 'bin'}:{NODE}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "antiphon", "launch", "codex", *arguments],
        cwd=work,
        env={**kept, "HOME": str(home), "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )


def edits(home: Path, *arguments: str) -> str:
    """Let Codex edit a file in a folder of its own; return what it said."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder, "note.txt")
        note.write_text("before\n")
        words = ("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "Change the note.")
        done = launch(home, Path(folder), *arguments, "--", *words)
        assert done.returncode == 0, done.stderr[-2000:]
        same(note.read_text(), "after\n")
        return done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        (home / ".codex").mkdir()
        own = "check_for_update_on_startup = false\n[analytics]\nenabled = false\n[feedback]\nenabled = false\n"
        (home / ".codex/config.toml").write_text(own)
        (home / ".codex/AGENTS.md").write_text("AGENTS-OF-THE-PERSON")
        for shows in (True, False):
            with ollama(shows=shows) as (url, seen):
                arguments = () if shows else ("--model", MODEL)
                same("Done." in edits(home, "--backend", url, *arguments), True)
                same({body["model"] for body in seen}, {MODEL})
                same("AGENTS-OF-THE-PERSON" in json.dumps(seen[-1]), True)
                refused = [body for body in seen if body.get("reasoning_effort", "none") != "none"]
                assert len(refused) <= (0 if shows else 1), [
                    (b.get("reasoning_effort"), len(b["messages"])) for b in seen
                ]
        same((home / ".codex/config.toml").read_text().startswith(own), True)
        same(len(list((home / ".codex/sessions").rglob("*.jsonl"))), 2)


scenario(main)
