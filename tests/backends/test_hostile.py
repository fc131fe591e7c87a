"""Whatever a backend sends: through a whole server on a real socket, no 500, no crash, one shape of error, one ending."""

from __future__ import annotations

import http.client
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from websockets.sync.client import connect

from antiphon.composition import app
from antiphon.config import BackendConfig, Config
from tests.backends.hostile import KINDS, hostile
from tests.backends.hostile_answers import APIS, FINE, SECRET, TEXT, Kind
from tests.bounds import bound
from tests.server.serving import Served, serving, wait_until
from tests.server.whole import turn

pytestmark = pytest.mark.slow

Json = dict[str, Any]
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
BUSY_MS = bound(50.0)
ROOM = 96 * 1024 * 1024  # bytes that one answer may cost


class Watched(NamedTuple):
    """A server with a look at its event loop: `busiest` is the most CPU in ms that one callback took."""

    served: Served
    busiest: list[float]


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    quick = {"first_token_timeout": 0.5, "idle_timeout": 0.5, "max_answer": 32 * 1024 * 1024, "key": SECRET}
    with ExitStack() as servers:
        urls = {api: servers.enter_context(hostile(api)).url for api in APIS}
        backends = {api: BackendConfig(url=url, api=api, break_after=0, **quick) for api, url in urls.items()}  # type: ignore[arg-type]
        models: Json = {}
        for name in APIS:
            models |= {f"{FINE}-{name}": {"name": FINE, "backends": [name]}}
        config = Config(
            store="memory",
            shutdown_grace=1.0,
            retries=0,
            backends=backends,
            models={id: app_model(model) for id, model in models.items()},
        )
        with serving(app.build(config), config) as served:
            wait_until(lambda: len(get(served, "/v1/models")[1]["data"]) > len(KINDS))
            yield Watched(served, watch(served))


def app_model(fields: Json) -> Any:
    from antiphon.config import ModelConfig

    return ModelConfig(**fields)


def watch(served: Served) -> list[float]:
    """Measure the CPU that the loop's thread spends between two turns of a timer."""
    busiest = [0.0]
    loop = served.server.servers[0].get_loop()
    last = [0.0]

    def look() -> None:
        now = time.thread_time()
        busiest[0] = max(busiest[0], (now - last[0]) * 1000)
        last[0] = now
        loop.call_later(0.002, look)

    def begin() -> None:
        last[0] = time.thread_time()
        look()

    loop.call_soon_threadsafe(begin)
    return busiest


def send(served: Served, method: str, path: str, body: Json | None = None) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    try:
        connection.request(method, path, json.dumps(body).encode() if body is not None else None)
        answer = connection.getresponse()
        return answer.status, answer.headers["content-type"], answer.read()
    finally:
        connection.close()


def get(served: Served, path: str) -> tuple[int, Any]:
    status, _, body = send(served, "GET", path)
    return status, json.loads(body)


def check_error(status: int, body: bytes) -> None:
    value = json.loads(body)
    assert 400 <= status < 600 and status != 500, value
    assert set(value) == {"error", "detail"}
    error = value["error"]
    assert set(error) == {"message", "type", "param", "code", "status"}
    assert error["status"] == status and value["detail"] == error["message"] != ""
    assert all(isinstance(error[name], str) for name in ("message", "type", "param", "code"))


def check_response(response: Json, kind: Kind) -> None:
    status = response["status"]
    assert status in ("completed", "incomplete", "failed")
    assert (response["error"] is not None) is (status == "failed")
    assert response["error"] is None or response["error"]["code"] not in ("server_error", "internal_error"), response
    assert status == "failed" or kind.ends == "any", response["output"]
    for item in response["output"]:
        assert isinstance(item["id"], str) and item["id"] and item.get("status", "") is not None
    usage = response["usage"]
    assert usage is None or min(usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) >= 0


def check_stream(body: bytes, kind: Kind) -> None:
    frames = body.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    assert b"data: [DONE]" not in frames[:-2]
    events = []
    for frame in frames[:-2]:
        name, data = frame.split(b"\n")
        events.append(json.loads(data.removeprefix(b"data: ")))
        assert name == b"event: " + events[-1]["type"].encode()
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] in TERMINAL for event in events] == [False] * (len(events) - 1) + [True]
    closed = [event["output_index"] for event in events if event["type"] == "response.output_item.done"]
    opened = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    assert opened == list(range(len(opened))) and sorted(closed) == opened
    check_response(events[-1]["response"], kind)


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def play(served: Served, kind: Kind, mode: str) -> None:
    request: Json = {"model": kind.name, "input": "x", "stream": mode == "stream", "background": mode == "background"}
    status, type, body = send(served, "POST", "/v1/responses", request)
    assert SECRET.encode() not in body
    if status != 200:
        check_error(status, body)
    elif mode == "stream":
        assert type.startswith("text/event-stream")
        check_stream(body, kind)
    elif mode == "whole":
        check_response(json.loads(body), kind)
    else:
        id = json.loads(body)["id"]
        wait_until(lambda: get(served, f"/v1/responses/{id}")[1]["status"] not in ("queued", "in_progress"))
        _, response = get(served, f"/v1/responses/{id}")
        assert SECRET not in json.dumps(response)
        check_response(response, kind)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_answer_of_a_backend_does_harm(watched: Watched, kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    served, busiest = watched
    modes = ("stream", "whole", "background") if kind.quick else ("stream", "whole")
    before, busiest[0] = resident(), 0.0
    with caplog.at_level(logging.WARNING, "antiphon"):
        for mode in modes:
            play(served, kind, mode)
            status, _, body = send(served, "POST", "/v1/responses", {"model": f"{FINE}-{kind.api}", "input": "x"})
            assert (status, json.loads(body)["output"][0]["content"][0]["text"]) == (200, TEXT), "the next one's answer"
    assert not [record for record in caplog.records if record.exc_info], "a traceback"
    assert SECRET not in caplog.text
    assert resident() - before < ROOM
    for mode in modes * 2:  # a pause of the interpreter's own (garbage) is none the next time
        if busiest[0] < BUSY_MS:
            break
        busiest[0] = 0.0
        play(served, kind, mode)
    assert busiest[0] < BUSY_MS


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if kind.api == "chat" and kind.quick], ids=lambda kind: kind.name
)
def test_chat_completions_that_pass_untouched_do_no_harm(watched: Watched, kind: Kind) -> None:
    served = watched.served
    for stream in (True, False):
        request = {"model": kind.name, "messages": [], "stream": stream}
        status, _, body = send(served, "POST", "/v1/chat/completions", request)
        if status >= 300:
            check_error(status, body)
        assert SECRET.encode() not in body
    assert get(served, "/health")[0] == 200


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.quick][::9], ids=lambda kind: kind.name)
def test_over_websocket_too(watched: Watched, kind: Kind) -> None:
    with connect(f"ws://127.0.0.1:{watched.served.port}/v1/responses") as connection:
        events = turn(connection, model=kind.name, input="x")
        assert SECRET not in json.dumps(events)
        last = events[-1]
        if last["type"] == "error":
            assert last["status"] >= 400 and last["status"] != 500
        else:
            check_response(last["response"], kind)
        events = turn(connection, model=f"{FINE}-{kind.api}", input="x")
        assert events[-1]["response"]["output"][0]["content"][0]["text"] == TEXT
