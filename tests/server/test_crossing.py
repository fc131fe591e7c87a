"""Calls that cross the whole server twice: names and ids as backends make them up, towards clients and back."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from antiphon.config import ModelConfig
from tests.server.whole import Client, Json, turn, upstream, whole_server

pytestmark = pytest.mark.slow

READ = {"type": "function", "name": "read", "parameters": {"type": "object"}}
PATCH = {"type": "custom", "name": "apply_patch"}
WEB = {"type": "namespace", "name": "mcp__web", "description": "web", "tools": [{"type": "function", "name": "search"}]}
TOOLS = [READ, PATCH, WEB]
CALLED: dict[str, tuple[str, str, str | None]] = {
    "read<|channel|>commentary": ("function_call", "read", None),
    "functions.read:0": ("function_call", "read", None),
    " read\n": ("function_call", "read", None),
    "functions.apply_patch": ("custom_tool_call", "apply_patch", None),
    "search": ("function_call", "search", "mcp__web"),
    "mcp__web.search": ("function_call", "search", "mcp__web"),
    "mcp__web-search:3": ("function_call", "search", "mcp__web"),
    "nobody": ("function_call", "nobody", None),
}
IDS = [["functions.read:0"] * 2, ["a|b" + "c" * 90, ""], ["same", "same"], [None, None]]
MODELS = {"plain": ModelConfig(), "devstral": ModelConfig(), "kimi": ModelConfig()}
FORMS = {
    "plain": r"[A-Za-z0-9_-]{1,40}",
    "devstral": r"[A-Za-z0-9]{9}",
    "kimi": r"functions\.\w+:\d+",
}


class Caller(BaseHTTPRequestHandler):
    """Makes the calls that the last user message names, as JSON; with outputs behind it, it says what it was sent."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[Json]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(json.dumps({"data": [{"id": name} for name in MODELS]}).encode(), "application/json")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append(body)
        calls = [] if body["messages"][-1]["role"] == "tool" else json.loads(body["messages"][-1]["content"])
        made = [
            {"index": at, "id": id, "type": "function", "function": {"name": name, "arguments": '{"input":"x"}'}}
            for at, (id, name) in enumerate(calls)
        ]
        message = {"role": "assistant", "content": None, "tool_calls": made} if made else {"content": "Done."}
        choice = {"index": 0, "finish_reason": "tool_calls" if made else "stop"}
        if not body.get("stream"):
            return self._send(json.dumps({"choices": [{**choice, "message": message}]}).encode(), "application/json")
        pieces = list(shattered(message))
        chunks = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces] + [
            {"choices": [{**choice, "delta": {}}]}
        ]
        data = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
        return self._send(data + b"data: [DONE]\n\n", "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def shattered(message: Json) -> Iterator[Json]:
    """Yield a message in deltas: each name in two pieces, then the arguments."""
    calls = message.pop("tool_calls", ())
    yield message
    for call in calls:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        cut = len(name) // 2
        yield {"tool_calls": [{**call, "function": {"name": name[:cut]}}]}
        yield {"tool_calls": [{"index": call["index"], "function": {"name": name[cut:]}}]}
        yield {"tool_calls": [{"index": call["index"], "function": {"arguments": arguments}}]}


@contextmanager
def serving() -> Iterator[Client]:
    with upstream(Caller) as url, whole_server(url, models=MODELS) as client:
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving() as client:
        yield client


def asked(*calls: tuple[str | None, str]) -> Json:
    return {"role": "user", "content": json.dumps(calls)}


def answered(client: Client, mode: str, **fields: Any) -> tuple[Json, list[Json]]:
    """Return a response and its events, if there are any."""
    if mode == "whole":
        return client.create(**fields), []
    if mode == "streamed":
        events = client.stream(**fields)
    else:
        with client.websocket() as connection:
            events = turn(connection, **fields)
    return events[-1]["response"], events


def calls_of(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"].endswith("_call")]


def output(call: Json, text: str) -> Json:
    return {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": text}


@pytest.mark.parametrize("mode", ["whole", "streamed", "websocket"])
@pytest.mark.parametrize("called", CALLED)
def test_a_name_is_repaired_before_the_client_sees_it(client: Client, called: str, mode: str) -> None:
    kind, name, namespace = CALLED[called]
    response, events = answered(client, mode, model="plain", input=[asked(("c1", called))], tools=TOOLS)
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    for item in (*calls_of(response), *added):
        assert (item["type"], item["name"], item.get("namespace")) == (kind, name, namespace)
    assert len(calls_of(response)) == 1 and len(added) == (mode != "whole")
    assert response["tools"][0]["parameters"] == READ["parameters"], "a client sees its own declaration"


@pytest.mark.parametrize("way", ["chained", "replayed"])
@pytest.mark.parametrize("mode", ["whole", "streamed"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("ids", IDS, ids=str)
def test_ids_are_unique_towards_clients_and_in_the_models_form_towards_backends(
    client: Client, ids: list[str | None], model: str, mode: str, way: str
) -> None:
    fields = {"model": model, "tools": TOOLS}
    history: list[Json] = []
    items: list[Json] = []
    said: list[str] = []
    previous: Json = {}
    for round in range(2):  # the backend begins to count anew in each turn
        items = [asked(*((id, "functions.read") for id in ids))]
        for _ in range(2):
            history += items
            more = {"input": items, **previous} if way == "chained" else {"input": history, "store": False}
            response, _events = answered(client, mode, **fields, **more)
            previous = {"previous_response_id": response["id"]}
            history += response["output"]
            items = [output(call, f"{round}.{at}") for at, call in enumerate(calls_of(response))]
            said += [call["call_id"] for call in calls_of(response)]
    assert len(set(said)) == len(said) == 4
    messages = Caller.seen[-1]["messages"]
    made = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    told = [(message["tool_call_id"], message["content"]) for message in messages if message["role"] == "tool"]
    assert told == list(zip(made, ["0.0", "0.1", "1.0", "1.1"], strict=True))
    assert len(set(made)) == 4 and all(re.fullmatch(FORMS[model], id) for id in made)


def test_a_request_is_the_beginning_of_the_next_one(client: Client) -> None:
    """Backends keep the prompt of the last request in their caches: what is sent again must be the same bytes."""
    for model in MODELS:
        Caller.seen.clear()
        previous: Json = {}
        items = [asked(("functions.read:0", "functions.read"))]
        for _ in range(3):
            response = client.create(model=model, tools=TOOLS, input=items, **previous)
            previous = {"previous_response_id": response["id"]}
            items = [output(call, "ok") for call in calls_of(response)] or [asked(("functions.read:0", "read"))]
        sent = [(json.dumps(body["tools"]), json.dumps(body["messages"])[:-1]) for body in Caller.seen]
        assert len({tools for tools, _ in sent}) == 1
        assert all(after.startswith(before) for (_, before), (_, after) in itertools.pairwise(sent))
