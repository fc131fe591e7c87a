"""`/admin`: what runs, what ran, what is stored; and who may see it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from antiphon.telemetry import observers
from tests.server.serving import wait_until
from tests.server.whole import Client, Json, whole_server


@pytest.fixture
def server() -> Iterator[Client]:
    with whole_server(recent_requests=3) as client:
        yield client


def ran(server: Client) -> list[Json]:
    return list(server.get("/admin/requests")[1]["data"])


def running(server: Client) -> list[Json]:
    return list(server.get("/admin/requests")[1]["running"])


def test_what_ran_is_there_with_its_figures(server: Client) -> None:
    made = server.create(model="scripted", input="One two three")
    streamed = server.stream(model="scripted", input="/delay 0.05\nOne two")[-1]["response"]
    newest, older = ran(server)
    assert [older["id"], newest["id"]] == [made["id"], streamed["id"]]
    assert older["usage"] == made["usage"] and older["status"] == "completed" and older["error"] is None
    assert [older["stream"], newest["stream"]] == [False, True]
    assert 0.04 < newest["time_to_first_token"] < newest["duration"]
    assert abs(newest["started_at"] - streamed["created_at"]) < 5


def test_what_it_asks_for_and_does_not_get_is_there_with_it(server: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Json = {"tools": [{"type": "image_generation"}], "multi_agent": {}, "access_programs": {}}
    server.create(model="scripted", input="x", **asked)
    ignored = ran(server)[0]["ignored"]
    assert sorted(ignored) == ["access_programs", "image_generation", "multi_agent"]
    monkeypatch.setattr(observers, "MOST_IGNORED", 2)
    monkeypatch.setattr(observers, "LONGEST_IGNORED", 5)
    server.create(model="scripted", input="x", **asked)
    assert ran(server)[0]["ignored"] == [name[:5] for name in ignored[:2]]
    server.create(model="scripted", input="x")
    assert ran(server)[0]["ignored"] == []


def test_what_runs_is_there_with_the_events_so_far(server: Client) -> None:
    body = json.dumps({"model": "scripted", "input": "/delay 0.01\n/repeat 3000 word", "stream": True}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{server.url}/v1/responses", body), timeout=10):
        wait_until(lambda: running(server) and running(server)[0]["events"] > 5)
        first = running(server)[0]
        assert first["status"] == "in_progress" and first["time_to_first_token"] is not None
        wait_until(lambda: running(server)[0]["events"] > first["events"])
    wait_until(lambda: ran(server))
    assert ran(server)[0]["status"] == "abandoned" and not running(server)


def test_a_background_response_is_one_of_them(server: Client) -> None:
    made = server.create(model="scripted", input="/delay 0.01\nOne", background=True)
    server.finished(made["id"])
    wait_until(lambda: ran(server))
    assert ran(server)[0]["background"] and ran(server)[0]["status"] == "completed"


@pytest.mark.parametrize("said", ["", "Well\n/delay 0.01\n"], ids=["before anything", "in mid-answer"])
def test_a_failure_is_there_without_its_text(server: Client, said: str) -> None:
    server.post("/v1/responses", model="scripted", input=f"{said}/error 400 my secret", stream=True)
    record = ran(server)[0]
    assert record["status"] == "failed"
    assert record["error"] == {"status": 400, "type": "invalid_request_error", "code": "backend_error"}


def test_the_ring_is_as_large_as_the_setting_and_holds_no_text(server: Client) -> None:
    ids = [
        server.create(model="scripted", input=f"secret {number}", instructions="secret")["id"] for number in range(5)
    ]
    assert [record["id"] for record in ran(server)] == ids[:1:-1]
    assert "secret" not in json.dumps(server.get("/admin/requests"))


@pytest.mark.parametrize("path", ["/admin/requests", "/admin/responses", "/admin/responses/resp_1"])
def test_only_operators_see_them(path: str) -> None:
    with whole_server(api_keys=["sk-plain"]) as client:
        assert client.get(path)[0] == 401
        client.headers = {"authorization": "Bearer sk-plain"}
        status, body = client.get(path)
        assert (status, body["error"]["code"]) == (403, "insufficient_scope")
