"""A tool that the server runs itself: in every mode, with a text that the model sees and the client's item does not hold."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from antiphon.config import KeyConfig
from antiphon.core.tools.history import NOT_KEPT
from tests.server.chat_model import ChatModel, call, last_question, told
from tests.server.test_matrix import MODES, end_of, essence
from tests.server.whole import Client, Json, turn, upstream, whole_server
from tests.tools.lookup import Lookup, LookupUse

pytestmark = pytest.mark.slow

TOOL = {"type": "lookup", "shelf": "a"}
SEEN = "SECRET of cats in a"
ROOT = Path(__file__).parents[2]


class Model(ChatModel):
    """Looks up what the last user message asks for (`look QUERY …`, a call each); `recall` says all that tools have told it."""

    models = ("m", "text")
    hesitates: ClassVar[threading.Event | None] = None  # before its answer to a tool's result
    reached: ClassVar[threading.Event] = threading.Event()

    def deltas(self, request: Json) -> list[Json]:
        messages = request["messages"]
        last = last_question(messages)
        words = messages[last]["content"].split()
        offered = [tool["function"]["name"] for tool in request.get("tools", [])]
        if words[0] == "recall":
            return [{"content": " | ".join(told(messages))}]
        if told(messages[last:]):
            if self.hesitates is not None:
                self.reached.set()
                self.hesitates.wait(20)
            return [{"content": "I have looked it up."}]
        if words[0] == "look" and "lookup" in offered:
            return [{"tool_calls": [self._call(index, word) for index, word in enumerate(words[1:])]}]
        return [{"content": f"Nothing of {words[0]}."}]

    def _call(self, index: int, word: str) -> Json:
        return call("lookup", json.dumps({"query": word}), f"call_{len(self.asked)}_{index}", index)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "antiphon.db"


@pytest.fixture(scope="module")
def client(store: Path) -> Iterator[Client]:
    with upstream(Model) as url, whole_server(url, store=str(store), hosted=[Lookup()]) as client:
        yield client


def asked(input: Any = "look cats", **fields: Any) -> Json:
    return {"model": "m", "input": input, "tools": [TOOL], **fields}


def said(response: Json) -> str:
    assert response["status"] == "completed", response
    return str(response["output"][-1]["content"][0]["text"])


def test_its_item_and_its_events(client: Client) -> None:
    Model.asked.clear()
    events = client.stream(**asked())
    call, message = end_of(events)["output"]
    id = call.pop("id")
    assert id.startswith("lk_")
    assert call == {"type": "lookup_call", "status": "completed", "query": "cats", "hits": 1}
    assert message["content"][0]["text"] == "I have looked it up."
    types = [event["type"].removeprefix("response.") for event in events if event.get("output_index") == 0]
    stages = [f"lookup_call.{stage}" for stage in ("in_progress", "searching", "completed")]
    assert types == ["output_item.added", *stages, "output_item.done"]
    added = next(event["item"] for event in events if event["type"] == "response.output_item.added")
    assert added == {"id": id, "type": "lookup_call", "status": "in_progress", "query": "", "hits": None}
    assert all(event["item_id"] == id for event in events if "lookup_call." in event["type"])
    assert "SECRET" not in json.dumps(events)
    (function,) = Model.asked[0]["tools"]
    assert (function["type"], function["function"]["name"]) == ("function", "lookup")
    *_, made, given = Model.asked[1]["messages"]
    assert json.loads(made["tool_calls"][0]["function"]["arguments"]) == {"query": "cats"}
    assert (given["role"], given["content"]) == ("tool", SEEN)


def test_every_mode_gives_the_same_response(client: Client) -> None:
    expected = essence(end_of(client.stream(**asked())))
    assert [item["type"] for item in expected["output"]] == ["lookup_call", "message"]
    for mode in MODES:
        LookupUse.calls.clear()
        assert essence(mode(client, asked())) == expected, mode.__name__
        assert LookupUse.calls == ["cats"], mode.__name__


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.__name__ not in ("not_stored", "replayed")])
def test_the_model_sees_it_again_by_previous_response_id(client: Client, mode: Callable[[Client, Json], Json]) -> None:
    made = mode(client, asked())
    assert "SECRET" not in json.dumps(made)
    if made["conversation"] is not None:
        then = client.create(model="m", input="recall", conversation=made["conversation"]["id"])
    else:
        then = client.create(model="m", input="recall", previous_response_id=made["id"])
    assert said(then) == SEEN
    further = client.create(model="m", input="recall", previous_response_id=then["id"])
    assert made["conversation"] is not None or said(further) == SEEN


@pytest.mark.parametrize("stored", [True, False])
def test_it_is_seen_again_over_websocket(client: Client, stored: bool) -> None:
    with client.websocket() as connection:
        made = end_of(turn(connection, **asked(store=stored)))
        then = end_of(turn(connection, model="m", input="recall", previous_response_id=made["id"], store=stored))
    assert said(then) == SEEN


def test_an_item_that_is_sent_back_or_named(client: Client) -> None:
    made = client.create(**asked())
    for item in (made["output"][0], {"type": "item_reference", "id": made["output"][0]["id"]}):
        question = {"role": "user", "content": "recall"}
        assert said(client.create(model="m", input=[item, question], store=False)) == SEEN


def test_what_is_not_stored_leaves_nothing(client: Client, store: Path) -> None:
    def kept() -> int:
        with closing(sqlite3.connect(store)) as connection:
            rows = connection.execute("SELECT count(*) FROM responses WHERE model_texts IS NOT NULL").fetchall()
            return int(rows[0][0])

    before = kept()
    made = client.create(**asked(store=False))
    assert kept() == before
    replay = [*made["output"], {"role": "user", "content": "recall"}]
    assert said(client.create(model="m", input=replay, store=False)) == NOT_KEPT
    stored = client.create(**asked())
    assert kept() == before + 1
    client.send("DELETE", f"/v1/responses/{stored['id']}")
    assert kept() == before


def test_another_owner_sees_nothing_of_it(tmp_path: Path) -> None:
    keys = {name: KeyConfig(key=f"sk-{name}") for name in ("ann", "bob")}
    settings: Json = {"keys": keys, "store": str(tmp_path / "antiphon.db")}
    with upstream(Model) as url, whole_server(url, hosted=[Lookup()], **settings) as server:
        ann, bob = (Client(server.url, f"sk-{name}") for name in keys)
        item = ann.create(**asked())["output"][0]
        for who, told in ((ann, SEEN), (bob, NOT_KEPT)):
            assert said(who.create(model="m", input=[item, {"role": "user", "content": "recall"}])) == told


@pytest.mark.parametrize(
    ("tool", "status", "param"),
    [
        ({"type": "lookup"}, 400, "tools[0].shelf"),
        ({"type": "lookup_preview", "shelf": "nowhere"}, 404, "tools[0].shelf"),
    ],
)
def test_a_declaration_is_refused_before_anything_streams(client: Client, tool: Json, status: int, param: str) -> None:
    for mode in ({}, {"stream": True}, {"background": True}):
        code, body = client.post("/v1/responses", **asked(tools=[tool], **mode))
        assert (code, body["error"]["param"]) == (status, param)
    with client.websocket() as connection:
        (event,) = turn(connection, **asked(tools=[tool]))
        assert (event["status"], event["error"]["param"]) == (status, param)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("bad", "The shelf fell down."),
        ("broken", "The tool failed: RuntimeError"),
        ("long", "The tool's answer has more than 10000 bytes."),
    ],
)
def test_a_call_that_fails(client: Client, query: str, error: str) -> None:
    Model.asked.clear()
    events = client.stream(**asked(f"look {query}"))
    call = end_of(events)["output"][0]
    assert (call["status"], call["hits"]) == ("failed", None)
    assert "response.lookup_call.completed" not in [event["type"] for event in events]
    assert Model.asked[1]["messages"][-1]["content"] == f"Error: {error}"


def test_a_call_that_takes_too_long(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(Lookup, "bounds", type(Lookup.bounds)(seconds=0.1))
    LookupUse.cancelled.clear()
    made = client.create(**asked("look slow"))
    assert (made["output"][0]["status"], LookupUse.cancelled) == ("failed", ["slow"])


def test_answers_of_a_response_are_bounded_together(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(Lookup, "bounds", type(Lookup.bounds)(total=80))
    made = client.create(**asked("look cats dogs"))
    assert [item["status"] for item in made["output"][:2]] == ["completed", "failed"]


def test_a_cancelled_response_cancels_its_calls(client: Client) -> None:
    LookupUse.cancelled.clear()
    LookupUse.calls.clear()
    id = client.create(**asked("look slow"), background=True)["id"]
    wait_for(lambda: bool(LookupUse.calls))
    _, cancelled = client.post(f"/v1/responses/{id}/cancel")
    assert cancelled["status"] == "cancelled" and cancelled["output"][0]["status"] == "incomplete"
    assert LookupUse.cancelled == ["slow"]


def test_calls_run_side_by_side_and_count(client: Client) -> None:
    made = client.create(**asked("look cats dogs birds", max_tool_calls=2))
    assert [item.get("status") for item in made["output"][:3]] == ["completed", "completed", "failed"]
    assert said(client.create(model="m", input="recall", previous_response_id=made["id"])) == (
        f"{SEEN} | SECRET of dogs in a | Error: The call was not made: the request's max_tool_calls is reached."
    )


@pytest.mark.parametrize("choice", [{"type": "lookup"}, {"type": "lookup_preview"}, "required"])
def test_a_forced_call_is_forced_once(client: Client, choice: Any) -> None:
    Model.asked.clear()
    own = {"type": "function", "name": "own", "parameters": {"type": "object", "properties": {}}}
    client.create(**asked(tools=[own, TOOL], tool_choice=choice))
    assert [request.get("tool_choice") for request in Model.asked] == ["required", None]
    offered = [[tool["function"]["name"] for tool in request["tools"]] for request in Model.asked]
    assert offered == [["own", "lookup"] if choice == "required" else ["lookup"], ["own", "lookup"]]


def test_beside_tools_that_nobody_runs(client: Client) -> None:
    body = json.dumps(
        asked(tools=[{"type": "image_generation"}, TOOL, {"type": "lookup_preview", "shelf": "b"}])
    ).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{client.url}/v1/responses", body), timeout=20) as reply:
        made = json.load(reply)
        assert reply.headers["x-antiphon-ignored"] == "image_generation"
    assert [tool["type"] for tool in made["tools"]] == ["image_generation", "lookup", "lookup_preview"]
    then = client.create(model="m", input="recall", previous_response_id=made["id"])
    assert said(then) == "SECRET of cats in a+b"


def test_a_tool_that_nobody_runs_is_refused_where_the_operator_wants_it() -> None:
    tools = [{"type": "function", "name": "own", "parameters": {}}, {"type": "image_generation"}]
    body: Json = {"model": "scripted", "input": "x", "tools": tools}
    with whole_server(unsupported_parameters="refuse") as client:
        status, refused = client.post("/v1/responses", **body)
        assert (status, refused["error"]["param"]) == (400, "tools[1].type")
        assert refused["error"]["code"] == "tool_not_available"
        assert client.post("/v1/responses", **{**body, "tools": tools[:1]})[0] == 200
    with whole_server() as client:
        assert client.post("/v1/responses", **body)[0] == 200


def test_tokens_are_counted_without_a_call(client: Client) -> None:
    closed = LookupUse.closed
    status, with_tool = client.post("/v1/responses/input_tokens", **asked())
    _, without = client.post("/v1/responses/input_tokens", **asked(tools=[]))
    assert status == 200 and with_tool["input_tokens"] > without["input_tokens"]
    client.create(**asked())
    wait_for(lambda: LookupUse.closed == closed + 1)


@contextmanager
def process(store: Path, url: str, *limits: str) -> Iterator[tuple[Client, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "tests.tools.lookup_server", str(store), url, *limits]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield Client(running.stdout.readline().strip(), "sk-ann" if limits else ""), running
        finally:
            running.kill()


def test_a_run_taken_over_after_kill_9_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server dies between the tool's result and the model's answer: another one asks the model again, not the tool."""
    store = tmp_path / "antiphon.db"
    gate = threading.Event()
    monkeypatch.setattr(Model, "hesitates", gate)
    Model.reached.clear()
    Model.asked.clear()
    with upstream(Model) as url:
        with process(store, url) as (client, running):
            id = client.create(**asked(), background=True)["id"]
            assert Model.reached.wait(20)
            running.kill()
            running.wait()
        gate.set()
        with process(store, url) as (client, _):
            made = client.finished(id)
            assert said(made) == "I have looked it up."
            assert [item["type"] for item in made["output"]] == ["lookup_call", "message"]
            told = [[one["content"] for one in request["messages"] if one["role"] == "tool"] for request in Model.asked]
            assert told == [[], [SEEN], [SEEN]]
            assert said(client.create(model="m", input="recall", previous_response_id=id)) == SEEN


def wait_for(told: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.01)
