"""Two versions on one store during a rolling deploy: the real command of an older commit beside the one of now, both databases.

The older one (`OLDER`) knew schema 10 of SQLite and 4 of PostgreSQL. Each goes on with what the other began; each is
killed and started again while the other serves.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import ROOT, Command, serving
from tests.needs import OLDER
from tests.stores.postgres_server import running as running_postgres

pytestmark = [pytest.mark.slow, pytest.mark.needs("history")]

CONFIG = """
store = "{store}"
background_lease = 1.5
shutdown_grace = 0
[backends.demo]
url = "http://127.0.0.1:9/v1"
api = "scripted"
"""


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the older version."""
    folder = tmp_path_factory.mktemp("older")
    packed = subprocess.run(["git", "archive", OLDER, "src/antiphon"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgresql"))])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with settings for both."""
    if request.param == "sqlite":
        (tmp_path / "antiphon.toml").write_text(CONFIG.format(store="antiphon.db"))
        yield tmp_path
        return
    with running_postgres() as postgres:
        (tmp_path / "antiphon.toml").write_text(CONFIG.format(store=postgres.create("versions")))
        yield tmp_path


class Server:
    """A running version."""

    def __init__(self, command: Command) -> None:
        self.command = command

    def ask(self, method: str, path: str, body: object = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.command.url}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            text = reply.read()
        if "stream=true" in path:
            return [json.loads(line[6:]) for line in text.splitlines() if line.startswith(b"data: {")]
        return json.loads(text)

    def create(self, **fields: Any) -> Any:
        return self.ask("POST", "/v1/responses", {"model": "scripted", **fields})

    def ended(self, id: str) -> Any:
        deadline = time.monotonic() + 60
        while (now := self.ask("GET", f"/v1/responses/{id}"))["status"] in ("queued", "in_progress"):
            assert time.monotonic() < deadline, now
            time.sleep(0.1)
        return now

    def kill(self) -> None:
        self.command.process.kill()
        self.command.process.wait()


def begun(server: Server) -> str:
    """Begin a background run that has no output yet; return its id."""
    id: str = server.create(input="/delay 2\nLate.", background=True)["id"]
    return id


def goes_on(one: Server, other: Server) -> None:
    """What one begins, the other reads, continues and deletes."""
    first = one.create(input="My name is Ann.", metadata={"a": "b"})
    assert other.ask("GET", f"/v1/responses/{first['id']}") == first
    second = other.create(input="Who am I?", previous_response_id=first["id"])
    assert one.ask("GET", f"/v1/responses/{second['id']}/input_items")["data"]
    talk = one.ask("POST", "/v1/conversations", {"items": [{"type": "message", "role": "user", "content": "Hi."}]})
    answer = other.create(input="And now?", conversation=talk["id"])
    assert len(one.ask("GET", f"/v1/conversations/{talk['id']}/items")["data"]) == 3
    done = one.ended(one.create(input="In the back.", background=True)["id"])
    assert done["status"] == "completed"
    events = other.ask("GET", f"/v1/responses/{done['id']}?stream=true")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"] == done
    assert other.ask("DELETE", f"/v1/responses/{answer['id']}")["deleted"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        one.ask("GET", f"/v1/responses/{answer['id']}")


def test_a_rolling_deploy_and_back(folder: Path, older: Path) -> None:
    settings = ("--config", "antiphon.toml")
    with serving(folder, *settings, source=older) as before:
        old = Server(before)
        kept = old.create(input="Before the deploy.")
        waiting = begun(old)
        with serving(folder, *settings) as after:  # it migrates, while the older one serves
            new = Server(after)
            told = ["state" in server.ask("GET", "/v1/models")["data"][0] for server in (old, new)]
            assert told == [False, True], "two versions"
            assert new.ask("GET", f"/v1/responses/{kept['id']}") == kept
            goes_on(old, new)
            goes_on(new, old)
            assert new.ended(waiting)["status"] == "completed"
            left = begun(old)
            old.kill()
            assert new.ended(left)["status"] == "completed", "the newer one takes over from the older one"
            with serving(folder, *settings, source=older) as again:  # a deploy that is taken back
                old = Server(again)
                goes_on(old, new)
                left = begun(new)
                new.kill()
                assert old.ended(left)["status"] == "completed", "the older one takes over from the newer one"
                assert old.ask("GET", f"/v1/responses/{kept['id']}") == kept
    with serving(folder, *settings) as last:
        assert Server(last).ask("GET", f"/v1/responses/{kept['id']}") == kept
