"""Limits and scopes of keys for hosted tools: in every mode, in headers, for files; kept with background responses."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.config import KeyConfig
from antiphon.responses.intake import hosted_tools
from tests.server.test_hosted_tools import Model, process
from tests.server.test_matrix import MODES
from tests.server.whole import Client, Json, turn, upstream, whole_server
from tests.tools.web.site import web
from tests.tools.web.test_web_search import SEARCH, Planned, calls_of, plan, settings

pytestmark = pytest.mark.slow

FORCED = {"type": "web_search"}
PAIR = ["web_search", {"queries": ["lapse", "monday"]}]


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with web() as url:
        yield url


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with upstream(Planned) as url:
        yield url


@pytest.fixture
def client(base: str, model: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Client]:
    """Run a server with one key, of the rights that the test's parameter says."""
    keys = {"ann": KeyConfig(key="sk-ann", **request.param)}
    with whole_server(model, store=str(tmp_path / "antiphon.db"), tools=settings(base), keys=keys) as served:
        yield Client(served.url, "sk-ann")


def headers_of(client: Client, path: str, **fields: Any) -> dict[str, str]:
    """Return the headers of an answer that is not refused."""
    request = urllib.request.Request(client.url + path, json.dumps(fields).encode(), client.headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        return dict(reply.headers)


def limited(*limits: str, **fields: Any) -> Json:
    return {"limits": limits, **fields}


@pytest.mark.parametrize("client", [limited("1 searches/day")], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_a_call_beyond_a_limit_fails_and_the_response_goes_on(
    client: Client, mode: Callable[[Client, Json], Json]
) -> None:
    first, second = (mode(client, plan(SEARCH)) for _ in range(2))
    assert [calls_of(made)[0]["status"] for made in (first, second)] == ["completed", "failed"]
    assert second["status"] == "completed" and second["output"][-1]["type"] == "message"
    assert Planned.told()[-1].startswith("Error: The budget of 1 searches/day is spent. It begins anew on ")


@pytest.mark.parametrize("client", [limited("3 searches/min")], indirect=True)
def test_each_query_is_a_search_and_pages_are_none(client: Client) -> None:
    page = ["open_page", {"url": "1"}]
    assert [call["status"] for call in calls_of(client.create(**plan(PAIR, page, SEARCH)))] == ["completed"] * 3
    assert calls_of(client.create(**plan(SEARCH)))[0]["status"] == "failed"
    assert "The limit of 3 searches/minute is reached. Try again in " in Planned.told()[-1]


@pytest.mark.parametrize("client", [limited("3 searches/day", "9 requests/min")], indirect=True)
def test_headers_tell_what_is_left(client: Client) -> None:
    for left in ("3", "1"):
        told = headers_of(client, "/v1/responses", **plan(PAIR))
        assert (told["x-ratelimit-limit-searches"], told["x-ratelimit-remaining-searches"]) == ("3", left)
        assert "x-ratelimit-remaining-requests" in told and "x-ratelimit-reset-searches" in told
    told = headers_of(client, "/v1/responses", **plan(PAIR, background=True))
    assert told["x-ratelimit-remaining-searches"] == "0"
    assert "x-ratelimit-limit-searches" not in headers_of(client, "/v1/responses", model="m", input="Hello.")
    told = headers_of(client, "/v1/responses", **plan(PAIR, background=True, stream=True))
    assert told["x-ratelimit-limit-searches"] == "3"


@pytest.mark.parametrize("client", [limited("1 searches/day", scopes=["admin"])], indirect=True)
def test_refused_calls_are_counted(client: Client) -> None:
    client.create(**plan(SEARCH, SEARCH, ["open_page", {"url": "https://nowhere.example/"}]))
    page = client.get("/metrics")[1].decode()
    for tool, outcome in (("web_search", "ok"), ("web_search", "limited"), ("open_page", "error")):
        labels = f'tool="{tool}",kind="web_search",provider="searxng",outcome="{outcome}"'
        assert f"antiphon_tool_duration_seconds_count{{{labels}}} 1" in page


@pytest.mark.parametrize("client", [limited("1 searches/day")], indirect=True)
def test_a_forced_tool_without_anything_left_is_refused(client: Client) -> None:
    client.create(**plan(SEARCH, tool_choice=FORCED))
    for mode in ({}, {"stream": True}, {"background": True}):
        status, body = client.post("/v1/responses", **plan(SEARCH, tool_choice=FORCED, **mode))
        assert (status, body["error"]["code"]) == (402, "insufficient_quota")
    with client.websocket() as connection:
        (event,) = turn(connection, **plan(SEARCH, tool_choice=FORCED))
        assert (event["status"], event["error"]["code"]) == (402, "insufficient_quota")


@pytest.mark.parametrize(
    "client", [{"scopes": ["responses"]}, {"scopes": ["responses", "code_interpreter"]}], indirect=True
)
def test_a_tool_beyond_the_scopes_is_off(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted_tools, "_told", set())
    assert headers_of(client, "/v1/responses", **plan(SEARCH))["x-antiphon-ignored"] == "web_search"
    assert "tools" not in Planned.asked[-1]
    assert "its API key has neither the scope `tools` nor `web_search`" in caplog.text
    for mode in ({}, {"stream": True}, {"background": True}):
        status, body = client.post("/v1/responses", **plan(SEARCH, tool_choice=FORCED, **mode))
        assert (status, body["error"]["code"], body["error"]["param"]) == (403, "insufficient_scope", "tool_choice")
    with client.websocket() as connection:
        (event,) = turn(connection, **plan(SEARCH, tool_choice=FORCED))
        assert (event["status"], event["error"]["code"]) == (403, "insufficient_scope")
    assert not calls_of(client.finished(client.create(**plan(SEARCH), background=True)["id"]))


@pytest.mark.parametrize("client", [{"scopes": ["responses", "web_search"]}, {"scopes": ["admin"]}], indirect=True)
def test_a_scope_of_one_kind_is_enough(client: Client) -> None:
    assert calls_of(client.create(**plan(SEARCH)))[0]["status"] == "completed"


def upload(client: Client, size: int, path: str = "/v1/files") -> tuple[int, Json, dict[str, str]]:
    mark = uuid.uuid4().hex
    parts = (
        f'--{mark}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
        f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n{"x" * size}\r\n--{mark}--\r\n'
    )
    headers = {**client.headers, "content-type": f"multipart/form-data; boundary={mark}"}
    request = urllib.request.Request(client.url + path, parts.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, json.loads(reply.read()), dict(reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), dict(error.headers)


@pytest.mark.parametrize("client", [limited("1000 stored_bytes/day")], indirect=True)
def test_uploads_are_counted(client: Client) -> None:
    status, file, headers = upload(client, 600)
    assert (status, headers["x-ratelimit-remaining-stored-bytes"]) == (200, "400")
    assert upload(client, 600)[0] == 200  # the one that reaches a budget is still taken
    status, body, headers = upload(client, 1)
    assert (status, body["error"]["code"]) == (402, "insufficient_quota")
    assert headers["x-ratelimit-remaining-stored-bytes"] == "0"
    assert len(client.get("/v1/files")[1]["data"]) == 2
    assert client.send("DELETE", f"/v1/files/{file['id']}")[0] == 200


@pytest.mark.parametrize("client", [limited("100 stored_bytes/min")], indirect=True)
def test_an_upload_larger_than_a_minutes_limit_waits_for_an_empty_meter(client: Client) -> None:
    assert upload(client, 500)[0] == 200
    status, body, headers = upload(client, 50)
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 25 <= int(headers["retry-after"]) <= 30


def test_a_run_taken_over_counts_for_its_key(tmp_path: Path) -> None:
    """The server dies before the tool is called: the one that goes on has the key's limit of one search."""
    store, limits = tmp_path / "antiphon.db", "1 searches/day"
    gate, asked = threading.Event(), threading.Event()

    class Slow(Model):
        def do_POST(self) -> None:  # noqa: N802
            asked.set()
            gate.wait(20)
            super().do_POST()

    with upstream(Slow) as url:
        with process(store, url, limits) as (client, running):
            id = client.create(
                model="m", input="look cats dogs", tools=[{"type": "lookup", "shelf": "a"}], background=True
            )["id"]
            assert asked.wait(20)
            running.kill()
            running.wait()
        gate.set()
        with process(store, url, limits) as (client, _):
            output = client.finished(id)["output"]
    assert sorted(item["status"] for item in output[:2]) == ["completed", "failed"]
