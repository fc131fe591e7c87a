"""`background_options`: responses with a completion window let others go first, and wait as long as it says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig
from tests.server.caching.prefix_cache import PrefixCache, prompt
from tests.server.serving import wait_until
from tests.server.whole import Client, Json, turn, upstream, whole_server

pytestmark = pytest.mark.slow

WINDOW = "background_options.completion_window"


class Slow(PrefixCache):
    """Answers what says "first" when the gate is open, and all else at once."""

    asked: ClassVar[list[Json]] = []
    cached: ClassVar[list[list[str]]] = []
    gate: ClassVar[threading.Event] = threading.Event()

    def _send(self, body: bytes, kind: str) -> None:
        if self.asked and "first" in prompt(self.asked[-1]):
            self.gate.wait(20)
        super()._send(body, kind)


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    with upstream(Slow) as url:
        yield url


@pytest.fixture
def client(backend: str) -> Iterator[Client]:
    """A backend that takes one call at a time, and keeps others waiting for a second."""
    Slow.forget()
    Slow.gate.clear()
    one = BackendConfig(url=backend, max_concurrent=1, wait_timeout=1.0)
    with whole_server(backends={"b": one}) as client:
        yield client


def waiting(client: Client) -> int:
    return int(client.get("/ready")[1]["backends"][0]["waiting"])


@pytest.mark.parametrize("window", ["2h", "8h"])
def test_others_go_first_and_it_waits_longer(client: Client, window: str) -> None:
    def begin(text: str, **options: Any) -> str:
        before = waiting(client)
        id = client.create(model="m", input=text, background=True, **options)["id"]
        wait_until(lambda: waiting(client) == before + 1 or text == "first")
        return str(id)

    first = begin("first")
    wait_until(lambda: len(Slow.asked) == 1)
    late = begin("late", background_options={"completion_window": window})
    soon = begin("soon", background_options={"completion_window": "soonest"})
    failed = client.finished(soon)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "backend_busy"), "it waits as the backend says"
    soon = begin("again")
    Slow.gate.set()
    assert [client.finished(id)["status"] for id in (first, soon, late)] == ["completed"] * 3
    assert [asked["messages"][-1]["content"] for asked in Slow.asked] == ["first", "again", "late"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, WINDOW),
        ({"background": False}, WINDOW),
        ({"background": True, "stream": True}, WINDOW),
        ({"background": True, "service_tier": "priority"}, WINDOW),
        ({"background": True, "background_options": {"completion_window": "1y"}}, WINDOW),
        ({"background_options": 1}, "background_options"),
        ({"background_options": {"continuation_id": 1}}, "background_options.continuation_id"),
        ({"background_options": {"continuation_id": "x" * 1025}}, "background_options.continuation_id"),
    ],
)
def test_what_cannot_be_is_refused(client: Client, fields: Json, param: str) -> None:
    body = {"model": "m", "input": "Hi.", "background_options": {"completion_window": "2h"}, **fields}
    status, answer = client.post("/v1/responses", **body)
    assert (status, answer["error"]["param"]) == (400, param)


def test_over_websocket_there_is_no_window(client: Client) -> None:
    with client.websocket() as connection:
        events = turn(connection, model="m", input="Hi.", background_options={"completion_window": "8h"})
    assert events[-1]["error"]["param"] == WINDOW


def test_requests_that_belong_together_go_to_one_backend(backend: str) -> None:
    Slow.forget()
    with upstream(Another) as url:
        backends = {"a": BackendConfig(url=backend), "b": BackendConfig(url=url)}
        with whole_server(backends=backends) as client:
            for number in range(6):
                options = {"continuation_id": "report"}
                made = client.create(model="m", input=f"{number}", background=True, background_options=options)
                client.finished(made["id"])
    assert sorted([len(Slow.asked), len(Another.asked)]) == [0, 6]


class Another(PrefixCache):
    """A second backend."""

    asked: ClassVar[list[Json]] = []
    cached: ClassVar[list[list[str]]] = []


def test_it_is_no_field_for_backends(client: Client) -> None:
    client.create(model="m", input="Hi.", background_options={"completion_window": "soonest", "continuation_id": "c"})
    assert "background_options" not in Slow.asked[0]
