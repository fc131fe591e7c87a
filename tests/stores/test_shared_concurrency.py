"""Two servers on one store with `max_concurrent_of = "store"`: the backend never has more calls than that, kill or not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from antiphon.config import BackendConfig
from tests.server.whole import Client, whole_server
from tests.stores.postgres_server import Postgres

pytestmark = pytest.mark.slow

MOST = 3


class Busy(ThreadingHTTPServer):
    """A chat completions server that counts how many calls it works on at once."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.lock = threading.Lock()
        self.running = self.peak = self.made = 0


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Busy)
        self.rfile.read(int(self.headers["content-length"]))
        with server.lock:
            server.running += 1
            server.made += 1
            server.peak = max(server.peak, server.running)
        time.sleep(0.05)
        with server.lock:
            server.running -= 1
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
        self._send({"object": "chat.completion", "choices": [choice]})

    def _send(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def busy() -> Iterator[Busy]:
    server = Busy()
    threading.Thread(target=server.serve_forever, args=[0.005], daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def test_the_limit_is_one_for_all_servers(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    store = str(tmp_path / "antiphon.db")
    if kind == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        store = postgres.create(f"slots_{tmp_path.name}")
    with busy() as backend:
        url = f"http://127.0.0.1:{backend.server_port}/v1"
        backends = {"b": BackendConfig(url=url, max_concurrent=MOST, max_concurrent_of="store")}
        with whole_server(store=store, backends=backends) as one, whole_server(store=store, backends=backends) as two:

            def ask(client: Client) -> str:
                status: str = client.create(model="m", input="Hello.", store=False)["status"]
                return status

            with ThreadPoolExecutor(16) as pool:
                statuses = list(pool.map(ask, [one, two] * 30))
            assert statuses == ["completed"] * 60
            assert backend.made == 60 and backend.peak <= MOST
            held = [
                line
                for line in one.get("/metrics")[1].decode().splitlines()
                if line.startswith("antiphon_backend_slots{")
            ]
            assert held and 0 <= float(held[0].split()[-1]) <= MOST
