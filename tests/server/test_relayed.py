"""A backend that speaks Responses itself, another server of ours: events pass, items keep their ids and are found by them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from antiphon.config import BackendConfig
from tests.server.whole import Client, Json, turn, upstream, whole_server


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Client, Client]]:
    with whole_server() as inner:
        relay = BackendConfig(url=f"{inner.url}/v1", api="responses")
        with whole_server(backends={"inner": relay}) as outer:
            yield inner, outer


def essence(response: dict) -> list[tuple]:
    return [
        (item["type"], item.get("content"), item.get("arguments"), item.get("status")) for item in response["output"]
    ]


SCRIPT = "/think hm\nSome words.\n/call look {}"
TOOLS = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]


def test_the_answer_is_the_inner_servers(servers: tuple[Client, Client]) -> None:
    inner, outer = servers
    fields = {"model": "scripted", "input": SCRIPT, "tools": TOOLS}
    direct = inner.create(**fields)
    relayed = outer.create(**fields)
    assert essence(relayed) == essence(direct)
    assert relayed["usage"] == direct["usage"]
    assert relayed["id"] != direct["id"]
    assert outer.get(f"/v1/responses/{relayed['id']}") == (200, relayed)
    assert inner.get(f"/v1/responses/{relayed['id']}")[0] == 404


def test_the_stream_is_numbered_anew_and_ends_in_our_response(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    events = outer.stream(model="scripted", input=SCRIPT, tools=TOOLS)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert kinds.count("response.created") == 1
    assert "response.reasoning_text.delta" in kinds
    final = events[-1]["response"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert final["output"] == done
    assert outer.get(f"/v1/responses/{final['id']}") == (200, final)


def test_relayed_items_are_found_by_their_ids(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    made = outer.create(model="scripted", input="Hello.")
    items = [{"type": "item_reference", "id": made["output"][0]["id"]}, {"role": "user", "content": "Go on."}]
    again = outer.create(model="scripted", input=items)
    assert again["output"][0]["content"][0]["text"] == "Go on."


def test_a_chain_goes_on_with_its_history(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    called = outer.create(model="scripted", input="/call look {}", tools=TOOLS)
    output = {"type": "function_call_output", "call_id": called["output"][0]["call_id"], "output": "seen"}
    again = outer.create(model="scripted", input=[output], previous_response_id=called["id"], tools=TOOLS)
    assert again["output"][0]["content"][0]["text"] == "seen"


def test_errors_keep_their_words(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    status, body = outer.post("/v1/responses", model="scripted", input="/error 429 slow down")
    assert (status, "slow down" in body["error"]["message"]) == (429, True)
    events = outer.stream(model="scripted", input="Words.\n/error 500 kaputt")
    assert [event["type"] for event in events][-2:] == ["error", "response.failed"]
    assert events[-1]["response"]["error"]["message"] == "kaputt"
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


def test_in_the_background_and_over_websocket(servers: tuple[Client, Client]) -> None:
    _, outer = servers
    queued = outer.create(model="scripted", input="Hello.", background=True)
    assert outer.finished(queued["id"])["output"][0]["content"][0]["text"] == "Hello."
    with outer.websocket() as connection:
        assert turn(connection, model="scripted", input="Hello.")[-1]["response"]["status"] == "completed"


def test_an_answer_of_too_many_events_ends(servers: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch) -> None:
    _, outer = servers
    monkeypatch.setattr("antiphon.responses.turns.MOST_EVENTS", 20)
    events = outer.stream(model="scripted", input="word " * 200)
    assert events[-1]["type"] == "response.failed"
    assert "more than 20 events" in events[-1]["response"]["error"]["message"]


# What a server that keeps nothing is told in the next call

THOUGHTS = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "I take 7."}],
    "encrypted_content": None,
    "status": None,
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "call_1",
    "name": "look",
    "arguments": "{}",
    "status": "completed",
    "namespace": None,
    "caller": None,
}


class Remembering(BaseHTTPRequestHandler):
    """Thinks and calls, as vLLM says it, and remembers what it is asked."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[Json]] = []
    thoughts: ClassVar[Json] = THOUGHTS

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(json.dumps({"data": [{"id": "m"}]}).encode(), "application/json")

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        response = {"id": "resp_theirs", "status": "completed", "output": [self.thoughts, CALL], "usage": usage}
        events: list[Json] = [
            {"type": "response.output_item.done", "output_index": 0, "item": self.thoughts},
            {"type": "response.output_item.done", "output_index": 1, "item": CALL},
            {"type": "response.completed", "response": response},
        ]
        self._send(b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events), "text/event-stream")

    def _send(self, body: bytes, type: str) -> None:
        self.send_response(200)
        self.send_header("content-type", type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def before_one_that_keeps_nothing() -> Iterator[Client]:
    with (
        upstream(Remembering) as url,
        whole_server(backends={"inner": BackendConfig(url=url, api="responses")}) as client,
    ):
        yield client


WAYS: dict[str, Json] = {
    "chained": {"store": True},
    "replayed": {"store": False},
    "replayed sealed": {"store": False, "include": ["reasoning.encrypted_content"]},
}


@pytest.mark.parametrize("theirs", [None, "gAAA"], ids=["text", "sealed by them"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("way", WAYS)
def test_thoughts_and_calls_are_told_again_without_what_it_never_kept(
    before_one_that_keeps_nothing: Client,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    stream: bool,
    theirs: str | None,
) -> None:
    client = before_one_that_keeps_nothing
    sealed = {**THOUGHTS, "content": None, "encrypted_content": theirs}
    monkeypatch.setattr(Remembering, "thoughts", sealed if theirs else THOUGHTS)

    def answer(**fields: Any) -> Json:
        common = {"model": "m", "tools": TOOLS, **WAYS[way], **fields}
        made: Json = client.stream(**common)[-1]["response"] if stream else client.create(**common)
        return made

    first = answer(input="Think.")
    assert all(value is not None for item in first["output"] for value in item.values())
    shown, call = first["output"]
    if way == "replayed sealed":
        shown.pop("content", None)  # some clients keep the seal alone
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "seen"}
    if way == "chained":
        answer(input=[result], previous_response_id=first["id"])
    else:
        answer(input=[{"role": "user", "content": "Think."}, shown, call, result])
    told = Remembering.asked[-1]
    assert (told["store"], told["include"]) == (False, ["reasoning.encrypted_content"])
    text = {"content": [{"type": "reasoning_text", "text": "I take 7."}]}
    assert told["input"][-3:] == [
        {"type": "reasoning", "summary": [], **({"encrypted_content": theirs} if theirs else text)},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}", "status": "completed"},
        result,
    ]


def test_hosted_tools_are_the_backends_own(servers: tuple[Client, Client]) -> None:
    """A backend that speaks Responses gets declarations with ids of its own, which this server does not know."""
    inner, outer = servers
    id = inner.post("/v1/vector_stores", name="theirs")[1]["id"]
    assert outer.get(f"/v1/vector_stores/{id}")[0] == 404
    tools = [{"type": "file_search", "vector_store_ids": [id]}, {"type": "programmatic_tool_calling"}]
    made = outer.create(model="scripted", input="Hello.", tools=tools)
    assert made["tools"][0]["vector_store_ids"] == [id] and made["output"][0]["content"][0]["text"] == "Hello."
    status, error = outer.post(
        "/v1/responses", model="scripted", input="x", tools=[{**tools[0], "vector_store_ids": ["vs_404"]}]
    )
    assert status in (400, 404) and "vs_404" in error["error"]["message"], "its refusal comes through"
