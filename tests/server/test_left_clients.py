"""What a client has sent is let go of when it leaves, at once: nothing waits for the garbage collector, which comes rarely."""

from __future__ import annotations

import gc
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from antiphon.config import BackendConfig, ModelConfig
from tests.server.serving import wait_until
from tests.server.whole import Client, whole_server

pytestmark = pytest.mark.slow

CLIENTS = 5
SAID = "n" * 100_000  # what each of them sends
HELD = (
    "Run",
    "Plan",
    "Turn",
    "CreateResponse",
    "DirectExchange",
    "HTTPRequest",
    "Lane",
    "ResponseStream",
    "HttpResponse",
    "AskedRelay",
    "RelayedRequest",
    "ModeratedInput",
)
PATH = "/v1/responses"


@contextmanager
def silent() -> Iterator[str]:
    """A backend that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


@pytest.fixture
def server() -> Iterator[Client]:
    with silent() as url:
        backends = {
            "upstream": BackendConfig(url="http://127.0.0.1:9/v1", api="scripted"),
            "silent": BackendConfig(url=url, discover=False),
            "relay": BackendConfig(url=url, api="responses", discover=False),
        }
        models = {name: ModelConfig(name=name, backends=[name]) for name in ("silent", "relay")}
        with whole_server(backends=backends, models=models) as client:
            yield client


def alive() -> dict[str, int]:
    """Count the objects that belong to requests."""
    found = dict.fromkeys(HELD, 0)
    for one in gc.get_objects():
        name = type(one).__name__
        if name in found and type(one).__module__.startswith("antiphon."):
            found[name] += 1
    return {name: count for name, count in found.items() if count}


def no_more_than(before: dict[str, int]) -> bool:
    """Tell whether no more is alive than was; what was still ending then may have ended meanwhile."""
    return all(count <= before.get(name, 0) for name, count in alive().items())


def sent(client: Client, path: str, **fields: Any) -> socket.socket:
    body = json.dumps(fields).encode()
    sock = socket.create_connection(("127.0.0.1", int(client.url.rpartition(":")[2])), timeout=10)
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)
    return sock


SLOW = f"/delay 0.05\n/repeat 1000 word\n{SAID}"
LEAVING = {
    "streamed, before the backend answers": (PATH, {"model": "silent", "input": SAID, "stream": True}),
    "whole, before the backend answers": (PATH, {"model": "silent", "input": SAID}),
    "relayed, before the backend answers": (PATH, {"model": "relay", "input": SAID, "stream": True}),
    "streamed, in the middle": (PATH, {"model": "scripted", "input": SLOW, "stream": True}),
    "whole, in the middle": (PATH, {"model": "scripted", "input": SLOW}),
    "embeddings": ("/v1/embeddings", {"model": "silent", "input": SAID}),
    "rerank": ("/v1/rerank", {"model": "silent", "query": SAID, "documents": [SAID]}),
    "moderations": ("/v1/moderations", {"model": "silent", "input": SAID}),
    "speech": ("/v1/audio/speech", {"model": "silent", "input": SAID}),
    "chat completions": (
        "/v1/chat/completions",
        {"model": "silent", "messages": [{"role": "user", "content": SAID}], "stream": True},
    ),
}


@pytest.mark.parametrize("leaving", LEAVING)
def test_nothing_stays_of_a_request_whose_client_has_left(server: Client, leaving: str) -> None:
    path, fields = LEAVING[leaving]
    server.create(model="scripted", input="warm")
    gc.collect()
    before = alive()
    gc.disable()
    try:
        socks = [sent(server, path, **fields) for _ in range(CLIENTS)]
        wait_until(lambda: alive().get("DirectExchange", 0) >= CLIENTS)
        time.sleep(0.3)
        for sock in socks:
            sock.close()
        wait_until(lambda: no_more_than(before))
    finally:
        gc.enable()


@pytest.mark.parametrize("model", ["silent", "scripted"])
def test_nothing_stays_of_a_websocket_that_was_closed(server: Client, model: str) -> None:
    gc.collect()
    before = alive()
    gc.disable()
    try:
        for _ in range(CLIENTS):
            with server.websocket() as socket:
                socket.send(json.dumps({"type": "response.create", "model": model, "input": SLOW}))
                time.sleep(0.1)
        wait_until(lambda: no_more_than(before))
    finally:
        gc.enable()
