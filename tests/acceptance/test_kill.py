"""`kill -9` of the real command: what a client was told is kept, byte for byte, and background work is not lost."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.background import CALLS, WORDS, Hesitant, Model, Tools, running
from tests.acceptance.command import Command, serving
from tests.acceptance.kill9 import CONFIG as BACKGROUND
from tests.acceptance.kill9 import moment

pytestmark = pytest.mark.slow

SCRIPTED = """
store = "antiphon.db"
[backends.demo]
url = "http://127.0.0.1:9/v1"
api = "scripted"
"""


class Client(threading.Thread):
    """Makes responses, streamed and not, until the server is gone; keeps those whose end it saw."""

    def __init__(self, url: str, number: int) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.number = number
        self.seen: dict[str, bytes] = {}

    def run(self) -> None:
        try:
            while True:
                self._one(stream=self.number % 2 == 0)
        except (OSError, ValueError, AssertionError):
            return

    def _one(self, *, stream: bool) -> None:
        fields = {"model": "scripted", "input": f"Client {self.number} says {len(self.seen)} ünï.", "stream": stream}
        request = urllib.request.Request(f"{self.url}/v1/responses", json.dumps(fields).encode())
        with urllib.request.urlopen(request, timeout=10) as reply:
            if not stream:
                body = reply.read()
                self.seen[json.loads(body)["id"]] = body
                return
            for line in reply:
                if line.startswith(b'data: {"type":"response.completed","response":'):
                    event = line.removeprefix(b"data: ").rstrip()
                    begin, end = event.index(b'"response":') + 11, event.rindex(b',"sequence_number":')
                    self.seen[json.loads(event)["response"]["id"]] = event[begin:end]


def read(command: Command, id: str) -> bytes:
    with urllib.request.urlopen(f"{command.url}/v1/responses/{id}", timeout=10) as reply:
        body: bytes = reply.read()
        return body


def test_every_response_whose_end_was_seen_can_be_read_back(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text(SCRIPTED)
    with serving(tmp_path, "--config", "antiphon.toml") as first:
        clients = [Client(first.url, number) for number in range(8)]
        for client in clients:
            client.start()
        threading.Event().wait(1.5)
        first.process.kill()
        first.process.wait()
        for client in clients:
            client.join()
    seen = {id: body for client in clients for id, body in client.seen.items()}
    assert len(seen) > 50
    with serving(tmp_path, "--config", "antiphon.toml") as second:
        for id, body in seen.items():
            assert read(second, id) == body


def test_what_was_not_to_be_stored_is_in_no_file(tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text(SCRIPTED)
    with serving(tmp_path, "--config", "antiphon.toml") as command:
        for stream in (False, True):
            fields = {"model": "scripted", "input": "A-SECRET-WORD said twice.", "store": False, "stream": stream}
            request = urllib.request.Request(f"{command.url}/v1/responses", json.dumps(fields).encode())
            with urllib.request.urlopen(request, timeout=10) as reply:
                assert b"A-SECRET-WORD" in reply.read()
        command.process.kill()
        command.process.wait()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "antiphon.db" for path in files)
    for path in files:
        assert b"A-SECRET-WORD" not in path.read_bytes(), path.name


def test_background_runs_go_on_or_end_with_a_reason(tmp_path: Path) -> None:
    with running(Model) as model_url, running(Tools) as tools_url:
        (tmp_path / "antiphon.toml").write_text(BACKGROUND.format(url=model_url))
        endings = moment(tmp_path, tools_url, 0.3) + moment(tmp_path, tools_url, 1.6)
    assert sum(endings.values()) == 12
    assert endings["completed"] + endings["failed"] + endings["never begun"] == 12


def test_a_run_taken_over_after_a_compaction_goes_on_from_the_summary(tmp_path: Path) -> None:
    with running(Hesitant) as model_url, running(Tools) as tools_url:
        (tmp_path / "antiphon.toml").write_text(BACKGROUND.format(url=model_url))
        past = [{"role": "user", "content": "ANCIENT " * 200}, {"role": "assistant", "content": "ok"}]
        fields = {
            "model": "worker",
            "background": True,
            "input": [*past, {"role": "user", "content": "Go on."}],
            "tools": [
                {"type": "mcp", "server_label": "t", "server_url": tools_url + "/mcp", "require_approval": "never"}
            ],
            "context_management": [{"type": "compaction", "compact_threshold": 100}],
        }
        with serving(tmp_path, "--config", "antiphon.toml") as first:
            request = urllib.request.Request(f"{first.url}/v1/responses", json.dumps(fields).encode())
            with urllib.request.urlopen(request, timeout=10) as reply:
                id = json.load(reply)["id"]
            assert Hesitant.reached.wait(20)
            first.process.kill()
            first.process.wait()
        Hesitant.may_answer.set()
        with serving(tmp_path, "--config", "antiphon.toml") as second:
            ended = _ended(second, id)
    assert [item["type"] for item in ended["output"]] == ["compaction", "mcp_list_tools", "mcp_call", "message"]
    assert ended["status"] == "completed"
    assert Tools.made["compacted", 0] == 1
    assert ["ANCIENT" in context for context in Hesitant.contexts] == [True, False, False, False]
    assert ["IN-SHORT" in context for context in Hesitant.contexts] == [False, True, True, True]


def test_a_killed_run_goes_on_from_its_last_tool_where_that_is_wanted(tmp_path: Path) -> None:
    """`background_rerun`: the text is made again, no tool call is."""
    with running(Model) as model_url, running(Tools) as tools_url:
        (tmp_path / "antiphon.toml").write_text("background_rerun = true\n" + BACKGROUND.format(url=model_url))
        job = "rerun-after-tools"
        fields = {
            "model": "worker",
            "background": True,
            "input": job,
            "tools": [
                {"type": "mcp", "server_label": "t", "server_url": tools_url + "/mcp", "require_approval": "never"}
            ],
        }
        with serving(tmp_path, "--config", "antiphon.toml") as first:
            request = urllib.request.Request(f"{first.url}/v1/responses", json.dumps(fields).encode())
            with urllib.request.urlopen(request, timeout=10) as reply:
                id = json.load(reply)["id"]
            with urllib.request.urlopen(f"{first.url}/v1/responses/{id}?stream=true", timeout=20) as followed:
                seen = next(line for line in followed if b'"response.output_text.delta"' in line)
            first.process.kill()
            first.process.wait()
        with serving(tmp_path, "--config", "antiphon.toml") as second:
            ended = _ended(second, id)
            with urllib.request.urlopen(f"{second.url}/v1/responses/{id}?stream=true", timeout=20) as followed:
                events = [json.loads(line[6:]) for line in followed if line.startswith(b"data: {")]
    assert ended["status"] == "completed" and ended["output"][-1]["content"][0]["text"].split() == WORDS
    assert [Tools.made[job, number] for number in range(CALLS)] == [1] * CALLS, "no tool call is made again"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert json.loads(seen[6:]) in events, "what a client was told stays in the log"
    again = [event for event in events if event["type"] == "response.in_progress"][1]
    assert [item["type"] for item in again["response"]["output"]] == ["mcp_list_tools", *["mcp_call"] * CALLS]
    assert again["response"]["output"] == ended["output"][:-1]


def _ended(command: Command, id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ended: dict[str, Any] = json.loads(read(command, id))
        if ended["status"] not in ("queued", "in_progress"):
            return ended
        time.sleep(0.1)
    raise AssertionError(f"{id} does not end")
