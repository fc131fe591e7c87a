"""Background responses over HTTP: queued, polled, followed from any place, cancelled, deleted, ended at shutdown."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.stream.fold import fold
from antiphon.responses.background.takeover import MOST_ATTEMPTS, Takeover
from antiphon.stores.base import FenceError
from antiphon.stores.records import Job
from antiphon.types.events import Event
from tests.server.serving import wait_until
from tests.server.whole import Client, parse_events, whole_server

pytestmark = pytest.mark.slow

SLOW = "/delay 0.02\n/repeat 40 word"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = tmp_path_factory.mktemp("store") / "antiphon.db"
    with whole_server(store=str(store), background_lease=3.0) as client:
        yield client


def test_it_is_queued_shows_progress_and_ends(client: Client) -> None:
    queued = client.create(model="scripted", input="First.\n/think hm\n" + SLOW, background=True)
    assert (queued["status"], queued["background"], queued["output"]) == ("queued", True, [])
    now = queued
    while len(now["output"]) < 2:
        _, now = client.get(f"/v1/responses/{queued['id']}")
        assert now["status"] in ("queued", "in_progress")
    assert [item["type"] for item in now["output"]] == ["message", "reasoning"]
    ended = client.finished(queued["id"])
    assert (ended["status"], ended["output"][-1]["content"][0]["text"].count("word")) == ("completed", 40)


def test_a_broken_stream_is_taken_up_without_gap_or_repeat(client: Client) -> None:
    fields = {"model": "scripted", "input": SLOW, "background": True, "stream": True}
    request = urllib.request.Request(f"{client.url}/v1/responses", json.dumps(fields).encode())
    seen = []
    with urllib.request.urlopen(request, timeout=10) as reply:
        for line in reply:
            if line.startswith(b"data: {"):
                seen.append(json.loads(line[6:]))
            if len(seen) == 12:
                break
    id, last = seen[0]["response"]["id"], seen[-1]["sequence_number"]
    _, rest = client.get(f"/v1/responses/{id}?stream=true&starting_after={last}")
    assert [event["sequence_number"] for event in seen + rest] == list(range(len(seen) + len(rest)))
    assert rest[-1]["type"] == "response.completed"
    assert client.get(f"/v1/responses/{id}?stream=true")[1] == seen + rest
    assert client.get(f"/v1/responses/{id}") == (200, rest[-1]["response"])


def test_a_number_behind_the_end_gives_an_empty_stream(client: Client) -> None:
    done = client.finished(client.create(model="scripted", input="Hi.", background=True)["id"])
    _, events = client.get(f"/v1/responses/{done['id']}?stream=true")
    request = f"{client.url}/v1/responses/{done['id']}?stream=true&starting_after={events[-1]['sequence_number']}"
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert parse_events(reply.read()) == []
    assert (
        client.get(f"/v1/responses/{done['id']}?stream=true&starting_after=x")[1]["error"]["param"] == "starting_after"
    )


def test_cancelling_is_idempotent_and_ends_followers(client: Client) -> None:
    queued = client.create(model="scripted", input="/delay 0.05\n/repeat 400 word", background=True)
    time.sleep(0.2)
    status, cancelled = client.send("POST", f"/v1/responses/{queued['id']}/cancel")
    assert (status, cancelled["status"]) == (200, "cancelled")
    assert cancelled["output"][0]["status"] == "incomplete"
    assert client.send("POST", f"/v1/responses/{queued['id']}/cancel") == (200, cancelled)
    assert client.get(f"/v1/responses/{queued['id']}") == (200, cancelled)
    _, events = client.get(f"/v1/responses/{queued['id']}?stream=true")
    assert events[-1]["response"] == cancelled


def test_one_that_has_ended_stays_as_it_is(client: Client) -> None:
    done = client.finished(client.create(model="scripted", input="Hi.", background=True)["id"])
    assert client.send("POST", f"/v1/responses/{done['id']}/cancel") == (200, done)


def test_a_refusal_of_the_backend_ends_it_failed(client: Client) -> None:
    queued = client.create(model="scripted", input="/error 429 slow down", background=True)
    failed = client.finished(queued["id"])
    assert (failed["status"], failed["error"]["message"]) == ("failed", "slow down")


@pytest.mark.parametrize("way", ["cancel", "delete"])
def test_one_whose_lease_is_lost_while_it_is_ended_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """A process that stands still for longer than its lease finds that another one has what it was about to end."""

    async def lost(self: Takeover, job: Job, *given: object) -> None:
        raise FenceError(job.response_id)

    with whole_server(store=str(tmp_path / "db"), background_per_owner=1) as client:
        first = client.create(model="scripted", input="/delay 0.1\n/repeat 100 word", background=True)["id"]
        waiting = client.create(model="scripted", input="hi", background=True)["id"]
        with monkeypatch.context() as patched:
            patched.setattr(Takeover, "resume", lost)
            if way == "cancel":
                assert client.post(f"/v1/responses/{waiting}/cancel")[0] == 200
            else:
                assert client.send("DELETE", f"/v1/responses/{waiting}")[0] == 200
        assert not [record.getMessage() for record in caplog.records if record.exc_info]
        assert client.post(f"/v1/responses/{first}/cancel")[0] == 200


def test_deleting_stops_it(client: Client) -> None:
    queued = client.create(model="scripted", input="/delay 0.05\n/repeat 400 word", background=True)
    assert client.send("DELETE", f"/v1/responses/{queued['id']}")[0] == 200
    assert client.get(f"/v1/responses/{queued['id']}")[0] == 404


def test_an_ended_one_can_be_continued(client: Client) -> None:
    done = client.finished(client.create(model="scripted", input="Hi.", background=True)["id"])
    again = client.create(model="scripted", input="More.", previous_response_id=done["id"])
    assert again["usage"]["input_tokens"] == 2  # the scripted backend counts what users say


def test_a_stop_of_the_server_ends_what_had_begun(tmp_path: Path) -> None:
    store = str(tmp_path / "antiphon.db")
    with whole_server(store=store, shutdown_grace=0.2) as client:
        begun = client.create(model="scripted", input="/delay 0.05\n/repeat 400 word", background=True)["id"]
        waiting = client.create(model="scripted", input="/delay 2\nLate.", background=True)["id"]
        time.sleep(0.4)
    with whole_server(store=store, background_lease=1.0) as client:
        failed = client.finished(begun)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "server_interrupted")
        _, events = client.get(f"/v1/responses/{begun}?stream=true")
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert client.finished(waiting)["status"] == "completed"


def test_a_stop_of_the_server_takes_back_what_had_begun_where_that_is_wanted(tmp_path: Path) -> None:
    store = str(tmp_path / "antiphon.db")
    asked = "/think hm\n/delay 0.03\n/repeat 60 word"
    with whole_server(store=store, shutdown_grace=0.2, background_rerun=True) as client:
        id = client.create(model="scripted", input=asked, background=True)["id"]
        wait_until(lambda: client.get(f"/v1/responses/{id}")[1]["output"], 10)
    with whole_server(store=store, background_lease=1.0, background_rerun=True) as client:
        done = client.finished(id)
        assert done["status"] == "completed" and done["error"] is None
        assert [item["type"] for item in done["output"]] == ["reasoning", "message"]
        assert done["output"][1]["content"][0]["text"].count("word") == 60
        _, events = client.get(f"/v1/responses/{id}?stream=true")
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        announced = [at for at, event in enumerate(events) if event["type"] == "response.in_progress"]
        assert len(announced) == 2 and events[announced[1]]["response"]["output"] == []
        assert events[announced[1] - 1]["type"] not in ("response.created", "response.queued"), "output had been sent"
        folded = fold([Event(event["type"], json.dumps(event).encode()) for event in events])
        assert [json.loads(bytes(item)) for item in folded.output] == done["output"]
        assert events[-1] == {"type": "response.completed", "response": done, "sequence_number": len(events) - 1}


def test_a_run_is_not_made_again_for_ever(tmp_path: Path) -> None:
    store = str(tmp_path / "antiphon.db")
    settings: dict[str, Any] = {"store": store, "shutdown_grace": 0.0, "background_rerun": True}
    with whole_server(**settings) as client:
        id = client.create(model="scripted", input="/delay 0.02\n/repeat 2000 word", background=True)["id"]
        wait_until(lambda: client.get(f"/v1/responses/{id}")[1]["status"] == "in_progress", 10)
        time.sleep(0.3)
    for _ in range(MOST_ATTEMPTS + 2):
        with whole_server(**settings) as client:
            time.sleep(0.4)
            state = client.get(f"/v1/responses/{id}")[1]
            if state["status"] == "failed":
                break
    assert (state["status"], state["error"]["code"]) == ("failed", "server_interrupted")


def test_events_go_before_their_response(tmp_path: Path) -> None:
    """After event_days the response is as before, and its stream is refused with the reason."""
    store = str(tmp_path / "antiphon.db")
    with whole_server(store=store, event_days=1.0) as client:
        done = client.finished(client.create(model="scripted", input="Hi.", background=True)["id"])
        wait_until(lambda: not _jobs(store), 10)
        assert client.get(f"/v1/responses/{done['id']}?stream=true")[0] == 200
        with closing(sqlite3.connect(store, isolation_level=None)) as file:
            assert file.execute("SELECT expires_at - ? FROM event_expiry", (done["created_at"],)).fetchone()[0] >= 86400
            file.execute("UPDATE event_expiry SET expires_at = 1")
    with whole_server(store=store, event_days=1.0) as client:  # it looks for what has expired when it starts
        wait_until(lambda: client.get(f"/v1/responses/{done['id']}?stream=true")[0] == 400, 10)
        _, refused = client.get(f"/v1/responses/{done['id']}?stream=true&starting_after=1")
        assert refused["error"]["code"] == "events_expired" and "event_days" in refused["error"]["message"]
        assert client.get(f"/v1/responses/{done['id']}") == (200, done)


def _jobs(store: str) -> int:
    with closing(sqlite3.connect(store)) as file:
        return int(file.execute("SELECT count(*) FROM jobs").fetchone()[0])


def test_stops_of_the_server_are_no_crashes_however_many(tmp_path: Path) -> None:
    store = str(tmp_path / "antiphon.db")
    with whole_server(store=store, shutdown_grace=0.0) as client:
        id = client.create(model="scripted", input="/delay 1\nLate.", background=True)["id"]
        time.sleep(0.1)
    for _ in range(6):
        with whole_server(store=store, shutdown_grace=0.0) as client:
            assert client.get(f"/v1/responses/{id}")[1]["status"] in ("queued", "in_progress")
            time.sleep(0.1)
    with whole_server(store=store) as client:
        assert client.finished(id)["status"] == "completed"


def test_a_run_that_cannot_be_taken_up_for_now_is_taken_up_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(tmp_path / "antiphon.db")
    schema = {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": {"type": "object"}}}
    with whole_server(store=store, shutdown_grace=0.0) as client:
        id = client.create(model="scripted", input="/delay 1\n{}", text=schema, background=True)["id"]
        time.sleep(0.1)
    with monkeypatch.context() as patched:
        patched.setattr("antiphon.runtime.checker.worker._PROGRAM", "raise SystemExit(3)")
        with whole_server(store=store, background_lease=1.0) as client:
            time.sleep(1.5)
            assert client.get(f"/v1/responses/{id}")[1]["status"] in ("queued", "in_progress")
    with whole_server(store=store, background_lease=1.0) as client:
        assert client.finished(id)["status"] == "completed"
