"""Background responses with tools, and a server that is killed in the middle: the parts for `scripts/kill9` and the tests.

A chat completions backend calls the tool `tick` of an MCP server three times, then says a text, slowly. The MCP server counts
how often each call was made.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

Json = dict[str, Any]
CALLS = 3
WORDS = "the end of a long piece of work that is told word by word".split()
TERMINAL = ("completed", "failed", "incomplete", "cancelled")
INTERRUPTED = "server_interrupted"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def read_json(self) -> Json:
        body: Json = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        return body

    def send(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Model(_Handler):
    """A model that does the work step by step."""

    def do_GET(self) -> None:
        self.send(json.dumps({"object": "list", "data": [{"id": "worker", "object": "model"}]}).encode())

    def do_POST(self) -> None:
        request = self.read_json()
        done = sum(message["role"] == "tool" for message in request["messages"])
        job = next(message["content"] for message in request["messages"] if message["role"] == "user")
        self._begin()
        if done < CALLS:
            self._call(request["tools"][0]["function"]["name"], {"job": job, "n": done})
        else:
            self._say()

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def _call(self, name: str, arguments: Json) -> None:
        text = json.dumps(arguments)
        self._delta(
            {
                "tool_calls": [
                    {"index": 0, "id": f"call_{uuid.uuid4().hex}", "function": {"name": name, "arguments": ""}}
                ]
            }
        )
        for start in range(0, len(text), 12):
            self._delta({"tool_calls": [{"index": 0, "function": {"arguments": text[start : start + 12]}}]})
        self._end("tool_calls")

    def _say(self) -> None:
        for word in WORDS:
            self._delta({"content": word + " "})
        self._end("stop")

    def _delta(self, delta: Json, reason: str | None = None) -> None:
        time.sleep(0.005)
        chunk = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        self.wfile.write(b"data: %b\n\n" % json.dumps(chunk).encode())

    def _end(self, reason: str) -> None:
        self._delta({}, reason)
        self.wfile.write(b"data: [DONE]\n\n")


class Hesitant(Model):
    """Summarises when it is asked to, calls a tool once, and after that does not answer until it may."""

    contexts: ClassVar[list[str]] = []
    reached = threading.Event()
    may_answer = threading.Event()

    def do_POST(self) -> None:
        request = self.read_json()
        context = json.dumps(request["messages"])
        self.contexts.append(context)
        if "tools" not in request:
            choice = {"index": 0, "message": {"role": "assistant", "content": "IN-SHORT"}, "finish_reason": "stop"}
            self.send(json.dumps({"object": "chat.completion", "choices": [choice]}).encode())
            return
        called = any(message["role"] == "tool" for message in request["messages"])
        if called:
            self.reached.set()
            self.may_answer.wait(30)
        with suppress(OSError):  # the server that asked may be gone
            self._begin()
            if called:
                self._say()
            else:
                self._call(request["tools"][0]["function"]["name"], {"job": "compacted", "n": 0})


class Tools(_Handler):
    """An MCP server with one tool, which counts."""

    made: ClassVar[Counter[tuple[str, int]]] = Counter()
    lock = threading.Lock()

    def do_GET(self) -> None:
        self.send(b"", status=405)

    def do_DELETE(self) -> None:
        self.send(b"")

    def do_POST(self) -> None:
        message = self.read_json()
        if "id" not in message:
            self.send(b"", status=202)
            return
        result = self._answer(message["method"], message.get("params") or {})
        answer: Json = {"jsonrpc": "2.0", "id": message["id"]}
        if result is None:
            answer["error"] = {"code": -32601, "message": "no such method"}
        else:
            answer["result"] = result
        self.send(json.dumps(answer).encode())

    def _answer(self, method: str, params: Json) -> Json | None:
        if method == "initialize":
            version = params.get("protocolVersion", "2025-06-18")
            return {
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "t", "version": "1"},
            }
        if method == "tools/list":
            schema = {"type": "object", "properties": {"job": {"type": "string"}, "n": {"type": "integer"}}}
            return {"tools": [{"name": "tick", "description": "Counts.", "inputSchema": schema}]}
        if method == "tools/call":
            arguments = params["arguments"]
            with self.lock:
                self.made[arguments["job"], arguments["n"]] += 1
            time.sleep(0.02)
            return {"content": [{"type": "text", "text": f"tick {arguments['n']}"}], "isError": False}
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # hundreds of streams may begin at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed are no error here."""


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server; gives its URL."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Follower(threading.Thread):
    """A client that starts a background response as a stream, and takes it up again wherever it breaks off."""

    def __init__(self, tools_url: str) -> None:
        super().__init__(daemon=True)
        self.job = uuid.uuid4().hex
        self.id = ""
        self.url = ""
        self.events: list[Json] = []
        self.problem = ""
        self._tools_url = tools_url

    @property
    def ended(self) -> bool:
        """Tell whether the last event was seen."""
        return bool(self.events) and self.events[-1]["type"].removeprefix("response.") in TERMINAL

    def run(self) -> None:
        """Follow to the end."""
        tool = {"type": "mcp", "server_label": "t", "server_url": self._tools_url, "require_approval": "never"}
        fields = {"model": "worker", "input": self.job, "tools": [tool], "background": True, "stream": True}
        request = urllib.request.Request(f"{self.url}/v1/responses", json.dumps(fields).encode())
        try:
            self._read(request)
            self.follow()
        except AssertionError as error:
            self.problem = str(error)

    def follow(self) -> None:
        """Take the stream up behind the last event that was seen, as often as it breaks off."""
        while not self.ended and self.id:
            time.sleep(0.05)
            last = self.events[-1]["sequence_number"]
            self._read(urllib.request.Request(f"{self.url}/v1/responses/{self.id}?stream=true&starting_after={last}"))

    def _read(self, request: urllib.request.Request) -> None:
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                for line in reply:
                    if line.startswith(b"data: {"):
                        self._take(json.loads(line[6:]))
        except (OSError, ValueError):
            return  # the server was killed: what was cut off in mid-line is sent again
        except Exception as error:
            if type(error).__name__ not in ("IncompleteRead", "RemoteDisconnected"):
                raise

    def _take(self, event: Json) -> None:
        number = event["sequence_number"]
        assert number == len(self.events), f"event {number} came after {len(self.events) - 1}"
        self.events.append(event)
        if number == 0:
            self.id = event["response"]["id"]


def check(follower: Follower, stored: Json) -> str:
    """Return how a response ended. Raises AssertionError where something was lost, doubled or left open."""
    assert not follower.problem, follower.problem
    assert follower.ended, f"{follower.id} hangs: {stored['status']}"
    assert follower.events[-1]["response"] == stored, "the stored response is another"
    made = [Tools.made[follower.job, n] for n in range(CALLS)]
    assert max(made) <= 1, f"a call was made twice: {made}"
    if stored["status"] == "completed":
        assert made == [1] * CALLS, f"calls are missing: {made}"
        kinds = [item["type"] for item in stored["output"]]
        assert kinds == ["mcp_list_tools", *["mcp_call"] * CALLS, "message"], kinds
        text = stored["output"][-1]["content"][0]["text"]
        assert text.split() == WORDS, text
    else:
        assert (stored["status"], stored["error"]["code"]) == ("failed", INTERRUPTED), stored["error"]
    return str(stored["status"])
