"""A server that is cut off from its PostgreSQL: it says so, calls no model in vain, and stops its runs with their leases."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from antiphon.stores.postgres import database
from tests.bounds import bound
from tests.server.serving import wait_until
from tests.server.whole import Client, Golden, turn, upstream, whole_server
from tests.stores.postgres_server import Postgres, running
from tests.stores.proxy import Proxy, proxied

pytestmark = pytest.mark.slow

MODEL = "scripted"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with running() as server:
        server.create("away")
        yield server


@pytest.fixture
def proxy(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A way to its database that can be cut."""
    monkeypatch.setattr(database, "PATIENCE", 1.5)
    monkeypatch.setattr(database, "PROBE_SECONDS", 0.7)
    with proxied(postgres.url("away")) as each:
        yield each


class Endless(Golden):
    """A model that goes on talking until it is let go; `open` counts its calls at this moment."""

    open: ClassVar[int] = 0

    def do_GET(self) -> None:  # noqa: N802  # http.server's name
        self._send(json.dumps({"object": "list", "data": [{"id": "endless", "object": "model"}]}).encode())

    def do_POST(self) -> None:  # noqa: N802  # http.server's name
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        Endless.open += 1
        chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "on "}}]}
        try:
            while True:
                self.wfile.write(b"data: %b\n\n" % json.dumps(chunk).encode())
                time.sleep(0.05)
        except OSError:
            self.close_connection = True
        finally:
            Endless.open -= 1


@contextmanager
def endless_upstream() -> Iterator[str]:
    """Run the backend that goes on talking; gives its base URL."""
    with upstream(Endless) as url:
        yield url


def metric(client: Client, name: str) -> float:
    """Return the sum of a family's values."""
    status, text = client.get("/metrics")
    assert status == 200, text
    lines = text.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


@pytest.mark.parametrize("mode", ["refuse", "swallow"])
def test_what_is_known_is_told_before_the_model_is_called(proxy: Proxy, mode: Any) -> None:
    with whole_server(store=proxy.url()) as client:
        kept = client.create(model=MODEL, input="hi")["id"]
        assert client.get("/ready")[0] == 200
        proxy.mode = mode
        began = time.monotonic()
        wait_until(lambda: client.get("/ready")[0] == 503)  # without a request: the server itself looks for work
        assert time.monotonic() - began < bound(10)
        ready = client.get("/ready")[1]
        assert ready["store"]["up"] is False and ready["store"]["reason"] in ("unreachable", "busy")
        assert client.get("/health")[0] == 200
        calls = metric(client, "antiphon_backend_calls_total")
        began = time.monotonic()
        for body in ({}, {"stream": True}, {"background": True}, {"previous_response_id": kept}):
            status, answer = client.post("/v1/responses", model=MODEL, input="hi", **body)
            assert (status, answer["error"]["code"]) == (503, "store_unavailable")
        for path in (f"/v1/responses/{kept}", "/v1/conversations/conv_1", "/v1/files"):
            assert client.get(path)[0] == 503
        with client.websocket() as connection:
            assert turn(connection, model=MODEL, input="hi")[-1]["status"] == 503
        assert time.monotonic() - began < bound(6), "in a known outage nobody waits"
        assert metric(client, "antiphon_backend_calls_total") == calls
        assert metric(client, "antiphon_store_up") == 0
        assert metric(client, "antiphon_store_failures_total") > 0
        assert client.create(model=MODEL, input="hi", store=False)["status"] == "completed"
        proxy.mode = "pass"
        wait_until(lambda: client.get("/ready")[0] == 200)
        assert client.get(f"/v1/responses/{kept}")[0] == 200
        assert client.create(model=MODEL, input="hi")["status"] == "completed"


def test_a_run_ends_with_its_lease(proxy: Proxy, postgres: Postgres) -> None:
    """The model is let go by the server's own clock, and whoever follows the run there gets an end of its stream."""
    with endless_upstream() as url, whole_server(url, store=proxy.url(), background_lease=3.0) as client:
        wait_until(lambda: bool(client.get("/v1/models")[1]["data"]))
        status, queued = client.post("/v1/responses", model="endless", input="hi", background=True)
        assert status == 200, queued
        followed: list[bytes] = []

        def follow() -> None:
            address = f"{client.url}/v1/responses/{queued['id']}?stream=true"
            with urllib.request.urlopen(address, timeout=30) as reply:
                followed.append(reply.read())

        following = threading.Thread(target=follow)
        following.start()
        wait_until(lambda: Endless.open == 1)
        time.sleep(0.5)
        proxy.mode = "swallow"
        began = time.monotonic()
        wait_until(lambda: Endless.open == 0)
        assert time.monotonic() - began < 3.0 + bound(3.0)
        following.join(20)
        frames = followed[0].decode().split("\n\n")
        last = json.loads(frames[-2].partition("data: ")[2])
        assert (last["type"], last["code"]) == ("error", "store_unavailable")
        assert metric(client, "antiphon_background_lost_total") == 1
        proxy.mode = "pass"
        wait_until(lambda: client.get("/ready")[0] == 200)
        assert client.finished(queued["id"])["status"] == "failed"
