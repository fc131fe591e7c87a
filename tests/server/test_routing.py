"""What clients see of routing: turn state, lines, stand-ins, and how each backend does."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from antiphon.config import BackendConfig, ModelConfig
from tests.server.whole import Client, Golden, turn, whole_server
from tests.telemetry.test_tracing import serving


class Slow(Golden):
    """Answers when it may."""

    gate = threading.Event()

    def do_POST(self) -> None:  # noqa: N802  # the name that http.server looks for
        self.gate.wait(10)
        super().do_POST()


@contextmanager
def several(*handlers: type[Golden], models: dict[str, ModelConfig] | None = None, **settings: Any) -> Iterator[Client]:
    """Run a server in front of several backends: b0, b1, …"""
    with ExitStack() as stack:
        urls = [f"{stack.enter_context(serving(handler))}/v1" for handler in handlers]
        backends = {f"b{n}": BackendConfig(url=url, **settings) for n, url in enumerate(urls)}
        yield stack.enter_context(
            whole_server(backends=backends, models=models or {}, retries=0, keepalive=0.1, head_hold=0.05)
        )


def post(client: Client, state: str = "", **fields: Any) -> str | None:
    """Make a response and return the turn state of its answer."""
    headers = {"x-codex-turn-state": state} if state else {}
    request = urllib.request.Request(f"{client.url}/v1/responses", json.dumps(fields).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        reply.read()
        return reply.headers["x-codex-turn-state"]


def calls(client: Client) -> dict[str, float]:
    page = urllib.request.urlopen(f"{client.url}/metrics").read().decode()
    lines = [line for line in page.splitlines() if line.startswith("antiphon_backend_calls_total{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


@pytest.mark.parametrize("stream", [False, True])
def test_codex_stays_with_the_backend_where_its_turn_began(stream: bool) -> None:
    with several(Golden, Golden, Golden) as client:
        state = post(client, model="text", input="hi", stream=stream)
        assert state
        (home,) = [name for name, count in calls(client).items() if count]
        for _ in range(5):
            assert post(client, state, model="text", input="hi", stream=stream) == state
        assert calls(client)[home] == 6
        assert post(client, "made up", model="text", input="hi", stream=stream)


def test_a_websocket_connection_stays_with_the_backend_that_its_handshake_names() -> None:
    with several(Golden, Golden, Golden) as client:
        client.headers = {"x-codex-turn-state": post(client, model="text", input="hi") or ""}
        (home,) = [name for name, count in calls(client).items() if count]
        for text in ("one", "two", "three", "four"):
            with client.websocket() as connection:
                turn(connection, model="text", input=text)
        assert calls(client)[home] == 5


def test_with_one_backend_there_is_no_turn_state() -> None:
    with several(Golden) as client:
        assert post(client, model="text", input="hi") is None


def test_who_waits_in_line_gets_keepalives_and_who_finds_it_full_a_503() -> None:
    Slow.gate.clear()
    with several(Slow, max_concurrent=1, max_waiting=1) as client:
        found: list[list[dict[str, Any]]] = []
        asking = [
            threading.Thread(target=lambda: found.append(client.stream(model="text", input="hi"))) for _ in range(2)
        ]
        for thread in asking:
            thread.start()
        while client.get("/ready")[1]["backends"][0]["waiting"] < 1:
            threading.Event().wait(0.01)
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(client, model="text", input="hi")
        with caught.value as refusal:
            assert (refusal.code, refusal.headers["retry-after"]) == (503, "5")
            assert json.loads(refusal.read())["error"]["code"] == "backend_busy"
        threading.Event().wait(0.3)
        Slow.gate.set()
        for thread in asking:
            thread.join()
    assert [events[-1]["type"] for events in found] == ["response.completed"] * 2
    assert all("keepalive" in [event["type"] for event in events] for events in found)
    places = [{event.get("queue_position") for event in events if event["type"] == "keepalive"} for events in found]
    assert sorted(1 in its for its in places) == [False, True]
    assert set.union(*places) <= {1, None}  # None: it waits for the backend's answer, not in line


def test_a_model_that_stands_in_is_not_seen() -> None:
    models = {
        "mine": ModelConfig(backends=["b1"], name="text", fallbacks=["other"]),
        "other": ModelConfig(backends=["b0"], name="text"),
    }
    with serving(Golden) as url:
        backends = {"b0": BackendConfig(url=f"{url}/v1"), "b1": BackendConfig(url="http://127.0.0.1:9/v1")}
        with whole_server(backends=backends, models=models, retries=0) as client:
            made = client.create(model="mine", input="hi")
            ready = client.get("/ready")[1]["backends"]
    assert (made["model"], made["status"]) == ("mine", "completed")
    assert {one["name"]: one["up"] for one in ready} == {"b0": True, "b1": False}
