"""A whole server, as `antiphon serve` makes it, in front of a chat completions backend that plays golden transcripts."""

from __future__ import annotations

import json
import socketserver
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.sync.client import connect

from antiphon.composition import app
from antiphon.config import BackendConfig, Config
from antiphon.tools.base import HostedTool
from tests.golden.player import CASES, ROOT
from tests.server.serving import serving

Json = dict[str, Any]
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")


class Golden(BaseHTTPRequestHandler):
    """Plays the case that the request's `model` names; every case is a model."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(json.dumps({"object": "list", "data": [{"id": case, "object": "model"} for case in CASES]}).encode())

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        chunks = (ROOT / request["model"] / "turn-1.chunks.jsonl").read_bytes().splitlines()
        body = b"".join(b"data: %b\n\n" % chunk for chunk in [*chunks, b"[DONE]"])
        self._send(body, "text/event-stream")

    def _send(self, body: bytes, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Upstream(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error here."""

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # without a look-up of the host's name


@contextmanager
def upstream(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a backend; gives its base URL."""
    server = Upstream(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def golden_upstream() -> Iterator[str]:
    """Run the backend that plays golden cases; gives its base URL."""
    with upstream(Golden) as url:
        yield url


@contextmanager
def whole_server(
    url: str = "", finish_reason: Any = "required", hosted: Sequence[HostedTool] = (), **settings: Any
) -> Iterator[Client]:
    """Run a server in front of a backend; without one, of the scripted backend. `hosted` are the tools that it runs."""
    api: Any = "chat" if url else "scripted"
    backend = BackendConfig(url=url or "http://127.0.0.1:9/v1", api=api, finish_reason=finish_reason)
    settings = {"store": "memory", "shutdown_grace": 1.0, "backends": {"upstream": backend}, **settings}
    config = Config(**settings)
    with serving(app.build(config, hosted), config) as served:
        yield Client(served.url)


class Client:
    """Raw requests to a server."""

    def __init__(self, url: str, key: str = "", timeout: float = 20.0) -> None:
        self.url = url
        self.timeout = timeout
        self.headers = {"authorization": f"Bearer {key}"} if key else {}

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Return the status and the decoded answer: JSON, or the events of a stream."""
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                return reply.status, _decoded(reply.headers["content-type"], reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def post(self, path: str, **fields: Any) -> tuple[int, Any]:
        """Post JSON."""
        return self.send("POST", path, json.dumps(fields).encode())

    def get(self, path: str) -> tuple[int, Any]:
        """Get JSON or a stream."""
        return self.send("GET", path)

    def create(self, **fields: Any) -> Json:
        """Make a response that must not be refused."""
        status, body = self.post("/v1/responses", **fields)
        assert status == 200, body
        return body

    def stream(self, **fields: Any) -> list[Json]:
        """Make a response and return its events."""
        status, events = self.post("/v1/responses", stream=True, **fields)
        assert status == 200, events
        return events

    def finished(self, id: str) -> Json:
        """Poll a background response to its end."""
        for _ in range(1000):
            status, body = self.get(f"/v1/responses/{id}")
            assert status == 200, body
            if body["status"] not in ("queued", "in_progress"):
                return body
            threading.Event().wait(0.01)
        raise AssertionError("the response does not end")

    def websocket(self) -> Any:
        """Open a WebSocket connection."""
        return connect(self.url.replace("http://", "ws://") + "/v1/responses", additional_headers=self.headers)


def turn(connection: Any, **fields: Any) -> list[Json]:
    """Make a response over a WebSocket connection and return its events."""
    connection.send(json.dumps({"type": "response.create", **fields}))
    events: list[Json] = []
    while not events or events[-1]["type"] not in (*TERMINAL, "error"):
        events.append(json.loads(connection.recv(timeout=20)))
    if events[-1]["type"] == "error" and "response" in events[0]:
        events.append(json.loads(connection.recv(timeout=20)))
    return events


def _decoded(kind: str, body: bytes) -> Any:
    if kind.startswith("text/event-stream"):
        return parse_events(body)
    return json.loads(body) if kind.startswith("application/json") else body


def parse_events(body: bytes) -> list[Json]:
    """Read a whole stream: each event's name is its type, and the last line is `[DONE]`."""
    frames = body.decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    events = []
    for frame in frames[:-2]:
        name, data = frame.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events
