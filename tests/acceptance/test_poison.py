"""Background runs that kill their server: each is tried once more, alone, and then it fails; all others are finished."""

from __future__ import annotations

import sqlite3
import time
import urllib.error
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.acceptance.command import Command, serving
from tests.acceptance.killer import KILL
from tests.acceptance.replicas import call
from tests.stores.postgres_server import running as running_postgres

pytestmark = pytest.mark.slow

CONFIG = """
store = "{store}"
background_lease = 1.0
log_level = "error"
[backends.demo]
url = "http://127.0.0.1:9/v1"
api = "scripted"
"""
MODULE = "tests.acceptance.killer"
INNOCENT = "/delay 1\nDone."
PATIENCE = 60.0


def submit(command: Command, text: str) -> str:
    fields = {"model": "scripted", "input": text, "background": True}
    return str(call(f"{command.url}/v1/responses", fields)["id"])


def held(path: Path, pid: int) -> int:
    """Return how many runs a process works on at this moment."""
    query = "SELECT count(*) FROM jobs WHERE worker LIKE ? AND lease_until > ?"
    with closing(sqlite3.connect(path)) as connection:
        [[count]] = connection.execute(query, [f"{pid}-%", time.time()]).fetchall()
        return int(count)


def endings(command: Command, ids: Sequence[str]) -> dict[str, str] | None:
    """Return how the responses ended, None while one has not. Raises OSError where the server is gone."""
    found = {}
    for id in ids:
        response = call(f"{command.url}/v1/responses/{id}")
        if response["status"] in ("queued", "in_progress"):
            return None
        found[id] = response["error"]["code"] if response["status"] == "failed" else response["status"]
    return found


def until_ended(folder: Path, ids: Sequence[str], side_by_side: list[int]) -> tuple[dict[str, str] | None, int]:
    """Run a server until all responses have ended, or it has died; return their endings, and 1 where it has died."""
    deadline = time.monotonic() + PATIENCE
    try:
        with serving(folder, "--config", "antiphon.toml", module=MODULE) as command:
            while command.process.poll() is None:
                assert time.monotonic() < deadline, "it does not end"
                side_by_side.append(held(folder / "antiphon.db", command.process.pid))
                found = endings(command, ids)
                if found is not None:
                    return found, 0
                time.sleep(0.02)
    except (OSError, RuntimeError, urllib.error.URLError):
        pass  # it died while it was asked, or before it answered
    return None, 1


@pytest.mark.parametrize(
    "prompts",
    [[KILL, INNOCENT, INNOCENT], [INNOCENT, KILL], [KILL, INNOCENT, KILL]],
    ids=["first", "last", "two"],
)
def test_a_run_kills_two_processes_at_most(tmp_path: Path, prompts: list[str]) -> None:
    (tmp_path / "antiphon.toml").write_text(CONFIG.format(store="antiphon.db"))
    with serving(tmp_path, "--config", "antiphon.toml", module=MODULE) as command:
        ids = [submit(command, prompt) for prompt in prompts]
        command.process.wait(20)
    deaths, side_by_side, found = 1, [], None
    while found is None:
        assert deaths < 6
        found, died = until_ended(tmp_path, ids, side_by_side)
        deaths += died
    assert [found[id] for id in ids] == ["server_crashed" if KILL in prompt else "completed" for prompt in prompts]
    assert deaths == 1 + prompts.count(KILL), "one for all of them together, then one for each"
    assert max(side_by_side) == 1, "what is tried again is alone"


@pytest.mark.needs("postgresql")
def test_it_is_so_with_many_replicas(tmp_path: Path) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(running_postgres()).create("poison")
        (tmp_path / "antiphon.toml").write_text(CONFIG.format(store=store))
        start = lambda: serving(tmp_path, "--config", "antiphon.toml", module=MODULE)  # noqa: E731
        servers = [stack.enter_context(start()) for _ in range(4)]
        ids = [submit(servers[0], INNOCENT), submit(servers[0], KILL), submit(servers[1], INNOCENT)]
        deadline = time.monotonic() + PATIENCE
        found = None
        while found is None:
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.1)
            alive = [server for server in servers if server.process.poll() is None]
            assert len(alive) >= 2
            try:
                found = endings(alive[-1], ids)
            except OSError:
                continue
        assert [found[id] for id in ids] == ["completed", "server_crashed", "completed"]
        time.sleep(3)  # longer than a lease: nobody takes it up again
        assert sum(server.process.poll() is None for server in servers) == 2
