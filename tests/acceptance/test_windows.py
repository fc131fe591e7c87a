"""Background responses with a completion window, in the store's queue: others go first, on every server, also after `kill -9`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import pytest

from tests.acceptance.background import _Handler, running
from tests.acceptance.command import Command, serving
from tests.acceptance.replicas import call
from tests.server.serving import wait_until
from tests.stores.postgres_server import running as running_postgres

pytestmark = pytest.mark.slow

CONFIG = """
store = "{store}"
background_lease = 1.0
background_running = 1
log_level = "error"
[backends.model]
url = "{url}/v1"
"""
PATIENCE = 60.0
URGENT = [f"soon {number}" for number in range(3)]
PATIENT = [f"late {number}" for number in range(3)]


class Gated(_Handler):
    """Answers when the gate is open; what is late, when all that is urgent has been asked. `early`: what was asked too soon."""

    asked: ClassVar[list[str]] = []
    early: ClassVar[list[str]] = []
    urgent: ClassVar[set[str]] = set()
    gate: ClassVar[threading.Event] = threading.Event()
    changed: ClassVar[threading.Condition] = threading.Condition()

    def do_GET(self) -> None:  # noqa: N802
        self.send(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}).encode())

    def do_POST(self) -> None:  # noqa: N802
        text = self.read_json()["messages"][-1]["content"]
        with self.changed:
            self.asked.append(text)
            self.changed.notify_all()
            # Another server may have taken the last urgent one, and not yet asked; in turn it would never get there.
            if text.startswith("late") and not self.changed.wait_for(lambda: self.urgent <= set(self.asked), 10):
                self.early.append(text)
        self.gate.wait(PATIENCE)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        self.send(json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode())


@pytest.fixture
def model() -> Iterator[str]:
    Gated.asked.clear()
    Gated.early.clear()
    Gated.gate.clear()
    with running(Gated) as url:
        yield url


def begin(server: Command, text: str, window: str | None = None) -> str:
    options = {"background_options": {"completion_window": window}} if window else {}
    return str(call(f"{server.url}/v1/responses", {"model": "m", "input": text, "background": True, **options})["id"])


def status(server: Command, id: str) -> str:
    return str(call(f"{server.url}/v1/responses/{id}")["status"])


def play(folder: Path, model: str, store: str, replicas: int) -> None:
    """Fill all places, queue two kinds, kill a server, and see in which order the rest is asked."""
    (folder / "antiphon.toml").write_text(CONFIG.format(store=store, url=model))
    with ExitStack() as stack:

        def start() -> Command:
            return stack.enter_context(serving(folder, "--config", "antiphon.toml"))

        servers = [start() for _ in range(replicas)]
        first = [begin(server, f"first {number}") for number, server in enumerate(servers)]
        wait_until(lambda: len(Gated.asked) == replicas)
        late = [begin(servers[0], text, ("2h", "8h")[number % 2]) for number, text in enumerate(PATIENT)]
        soon = [begin(servers[-1], text) for text in URGENT]
        Gated.urgent = {*URGENT}  # what ran on the dead server may be taken over later than that: its lease has to end
        assert [status(servers[0], id) for id in (*late, *soon)] == ["queued"] * 6
        servers[-1].process.kill()
        servers[-1].process.wait()
        Gated.asked.clear()
        Gated.asked.extend(f"first {number}" for number in range(replicas - 1))  # of those that live
        servers = [*servers[:-1], start()]
        Gated.gate.set()
        everything = [*first, *soon, *late]
        wait_until(lambda: all(status(servers[0], id) == "completed" for id in everything), PATIENCE)
    assert not Gated.early
    running_first = [f"first {number}" for number in range(replicas)]
    assert sorted(Gated.asked) == sorted([*running_first, *URGENT, *PATIENT]), "each once, after the death"
    order = [text for text in Gated.asked if text in PATIENT]
    assert order == [PATIENT[0], PATIENT[2], PATIENT[1]] or replicas > 1, "2h comes before 8h"


def test_one_server(tmp_path: Path, model: str) -> None:
    play(tmp_path, model, "antiphon.db", 1)


@pytest.mark.needs("postgresql")
def test_replicas(tmp_path: Path, model: str) -> None:
    with running_postgres() as postgres:
        play(tmp_path, model, postgres.create("windows"), 2)
