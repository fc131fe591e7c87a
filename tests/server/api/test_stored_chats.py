"""Stored chat completions over HTTP: kept before the answer ends, relayed and translated, whole and streamed; read, changed."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import openai
import pytest

from antiphon.config import BackendConfig, ModelConfig
from antiphon.server.api.chat.folding import ChunkFold
from tests.server.whole import Client, Json, upstream, whole_server

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
SAYS = [{"role": "user", "content": "Hi."}]


@pytest.fixture(scope="module")
def translating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    store = tmp_path_factory.mktemp("translating") / "antiphon.db"
    with whole_server(store=str(store)) as client:
        yield client


@pytest.fixture(scope="module")
def relaying(translating: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server in front of the first one."""
    store = tmp_path_factory.mktemp("relaying") / "antiphon.db"
    with whole_server(store=str(store), backends={"chat": BackendConfig(url=f"{translating.url}/v1")}) as client:
        yield client


@pytest.fixture(params=["translated", "relayed"])
def client(request: pytest.FixtureRequest, translating: Client, relaying: Client) -> Client:
    return translating if request.param == "translated" else relaying


def sdk(client: Client) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{client.url}/v1", api_key="none", max_retries=0)


def chat(client: Client, **fields: Any) -> Json:
    status, made = client.post("/v1/chat/completions", **{"model": "scripted", "messages": SAYS, **fields})
    assert status == 200, made
    return dict(made)


def all_of(client: Client) -> list[Json]:
    return list(client.get("/v1/chat/completions?limit=100")[1]["data"])


@pytest.fixture(autouse=True)
def emptied(translating: Client, relaying: Client) -> Iterator[None]:
    yield
    for client in (translating, relaying):
        for one in all_of(client):
            client.send("DELETE", f"/v1/chat/completions/{one['id']}")


def test_a_whole_answer_is_kept(client: Client) -> None:
    made = chat(client, store=True, metadata={"a": "b"})
    _, read = client.get(f"/v1/chat/completions/{made['id']}")
    assert read == {**made, "metadata": {"a": "b"}}
    assert made["choices"][0]["message"]["content"] == "Hi."
    assert all_of(client) == [read]


def test_a_streamed_answer_is_kept_before_it_ends(client: Client) -> None:
    asked = {"model": "scripted", "messages": SAYS, "store": True, "stream": True}
    asked["stream_options"] = {"include_usage": True}
    body = json.dumps(asked).encode()
    request = urllib.request.Request(f"{client.url}/v1/chat/completions", body, method="POST")
    seen: list[Json] = []
    with urllib.request.urlopen(request, timeout=20) as reply:
        for line in reply:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            seen.append(chunk)
            ended = any(choice["finish_reason"] for choice in chunk["choices"])
            if ended:  # whoever sees the end can read it
                assert client.get(f"/v1/chat/completions/{chunk['id']}")[0] == 200
    _, read = client.get(f"/v1/chat/completions/{seen[0]['id']}")
    assert {chunk["id"] for chunk in seen} == {read["id"]}
    assert read["object"] == "chat.completion" and read["usage"] == seen[-1]["usage"]
    (choice,) = read["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hi.", "stop")


@pytest.mark.parametrize("stream", [False, True])
def test_calls_and_thoughts_are_kept(client: Client, stream: bool) -> None:
    said = [{"role": "user", "content": '/think Well, then.\nLook:\n/call weather {"at": 1}\n/call weather {}'}]
    with sdk(client) as official:
        made: Any = official.chat.completions.create(
            model="scripted",
            messages=said,
            tools=[WEATHER],
            store=True,
            stream=stream,  # type: ignore[call-overload]
        )
        id = next(iter(made)).id if stream else made.id
        if stream:
            list(made)
        read = official.chat.completions.retrieve(id)
    message = read.choices[0].message
    assert message.content == "Look:" and message.to_dict()["reasoning_content"] == "Well, then."
    calls = [(call.type, call.function.name, call.function.arguments) for call in message.tool_calls or ()]  # type: ignore[union-attr]
    assert calls == [("function", "weather", '{"at": 1}'), ("function", "weather", "{}")]
    assert read.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("wish", [{}, {"store": False}, {"store": None}, {"store": False, "metadata": {"a": "b"}}])
@pytest.mark.parametrize("stream", [False, True])
def test_without_the_wish_nothing_is_kept(client: Client, wish: Json, stream: bool) -> None:
    asked = {"model": "scripted", "messages": SAYS, "stream": stream, **wish}
    body = json.dumps(asked).encode()
    request = urllib.request.Request(f"{client.url}/v1/chat/completions", body, method="POST")
    with urllib.request.urlopen(request, timeout=20) as reply:
        reply.read()
    assert all_of(client) == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", ["/error 500 away", "Said.\n/error 500 away"])
def test_what_fails_is_not_kept(client: Client, text: str, stream: bool) -> None:
    said = [{"role": "user", "content": text}]
    with sdk(client) as official, pytest.raises(openai.APIError):
        list(official.chat.completions.create(model="scripted", messages=said, store=True, stream=stream))  # type: ignore[call-overload]
    assert all_of(client) == []


def test_the_official_client_lists_changes_and_deletes(client: Client) -> None:
    for number in range(5):
        chat(client, store=True, metadata={"number": str(number), "odd": str(number % 2)})
    with sdk(client) as official:
        every = list(official.chat.completions.list(limit=2))
        assert [one.to_dict()["metadata"]["number"] for one in every] == list("01234")  # type: ignore[index]
        newest = official.chat.completions.list(limit=2, order="desc")
        assert [one.id for one in newest.data] == [every[4].id, every[3].id] and newest.has_more
        odd = official.chat.completions.list(metadata={"odd": "1"}, model="scripted")
        assert [one.id for one in odd.data] == [every[1].id, every[3].id] and not odd.has_more
        assert not official.chat.completions.list(model="other").data
        changed = official.chat.completions.update(every[0].id, metadata={"x": "y"})
        assert changed.to_dict()["metadata"] == {"x": "y"}
        assert [one.id for one in official.chat.completions.list(metadata={"x": "y"})] == [every[0].id]
        assert official.chat.completions.delete(every[0].id).deleted
        with pytest.raises(openai.NotFoundError):
            official.chat.completions.retrieve(every[0].id)
        with pytest.raises(openai.BadRequestError):
            official.chat.completions.list(after=every[0].id)


def test_messages_of_a_completion(client: Client) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look: "}, part, {"type": "text", "text": "well?"}]},
        {"role": "assistant", "content": "Yes.", "name": "me"},
        {"role": "user", "content": "Hi."},
    ]
    made = chat(client, messages=messages, store=True)
    with sdk(client) as official:
        every = list(official.chat.completions.messages.list(made["id"], limit=1))
        assert [one.id for one in every] == [f"{made['id']}-{place}" for place in range(4)]
        assert [one.content for one in every] == ["Be brief.", "Look: well?", "Yes.", "Hi."]
        assert [len(one.content_parts or ()) for one in every] == [0, 3, 0, 0]
        last = official.chat.completions.messages.list(made["id"], order="desc", after=f"{made['id']}-3")
        assert [one.content for one in last.data] == ["Yes.", "Look: well?", "Be brief."]
    status, answer = client.get(f"/v1/chat/completions/{made['id']}/messages?after=nobody")
    assert (status, answer["error"]["param"]) == (400, "after")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"store": "yes"}, "store"),
        ({"store": True, "metadata": {"k" * 65: "v"}}, "metadata"),
        ({"store": True, "metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"store": True, "metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"store": True, "metadata": "k"}, "metadata"),
    ],
)
def test_what_cannot_be_kept_is_refused(client: Client, fields: Json, param: str) -> None:
    status, answer = client.post("/v1/chat/completions", model="scripted", messages=SAYS, **fields)
    assert status == 400 and param.startswith(answer["error"]["param"]) and answer["error"]["param"]
    assert all_of(client) == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "order=up", "after=nobody", f"metadata[{'k' * 65}]=v"]
)
def test_a_wrong_query_is_refused(client: Client, query: str) -> None:
    status, answer = client.get(f"/v1/chat/completions?{query}")
    assert status == 400 and answer["error"]["param"] == query.partition("=")[0].partition("[")[0]


def test_one_that_is_not_there_is_missed(client: Client) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/messages")):
        status, answer = client.send(method, f"/v1/chat/completions/chatcmpl-1{path}")
        assert (status, answer["error"]["code"]) == (404, "chat_completion_not_found")
    assert client.post("/v1/chat/completions/chatcmpl-1", metadata={})[0] == 404


# Odd backends


class Odd(BaseHTTPRequestHandler):
    """Answers as its model says."""

    asked: list[Json] = []  # noqa: RUF012  # shared on purpose

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        kind, body = ANSWERS[request["model"]]
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def chunk(index: int = 0, finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return (
        b"data: %b\n\n"
        % json.dumps({"id": "same", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}).encode()
    )


SSE, JSON = "text/event-stream", "application/json"
WHOLE = {
    "id": "same",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
}
ANSWERS: dict[str, tuple[str, bytes]] = {
    "two": (
        SSE,
        chunk(0, content="a") + chunk(0, "stop") + chunk(1, content="b") + chunk(1, "stop") + b"data: [DONE]\n\n",
    ),
    "crlf": (SSE, (chunk(content="x") + chunk(finish="stop") + b"data: [DONE]\n\n").replace(b"\n", b"\r\n")),
    "no done": (SSE, chunk(content="x") + chunk(finish="stop")),
    "cut": (SSE, chunk(content="x")),
    "deep": (
        SSE,
        b'data: {"choices":' + b"[" * 500 + b"]" * 500 + b"}\n\n" + chunk(content="x") + chunk(finish="stop"),
    ),
    "no JSON": (SSE, chunk(content="x") + b"data: {nope\n\n" + chunk(finish="stop") + b"data: [DONE]\n\n"),
    "whole": (JSON, json.dumps(WHOLE).encode()),
    "no completion": (JSON, b'{"message":"none"}'),
    "error": (JSON, b'{"error":{"message":"no"}}'),
}
KEPT = {"two", "crlf", "no done", "whole"}


@pytest.fixture(scope="module")
def odd() -> Iterator[Client]:
    with upstream(Odd) as url:
        models = {name: ModelConfig(backends=["odd"]) for name in ANSWERS}
        with whole_server(backends={"odd": BackendConfig(url=url, discover=False)}, models=models) as client:
            yield client


@pytest.mark.parametrize("model", ANSWERS)
def test_an_odd_answer_is_passed_on_and_kept_where_it_is_whole(odd: Client, model: str) -> None:
    asked = {"model": model, "messages": SAYS, "store": True, "metadata": {}, "stream": ANSWERS[model][0] == SSE}
    request = urllib.request.Request(f"{odd.url}/v1/chat/completions", json.dumps(asked).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=20) as reply:
        told = reply.read().decode()
    kept = all_of(odd)
    assert len(kept) == (model in KEPT), told
    assert not {"store", "metadata"} & set(Odd.asked[-1])
    for one in kept:
        assert one["id"] in told and "same" not in told and one["id"].startswith("chatcmpl-")
        assert [choice["finish_reason"] for choice in one["choices"]] == ["stop"] * (2 if model == "two" else 1)
        odd.send("DELETE", f"/v1/chat/completions/{one['id']}")
    if model in ("cut", "no JSON"):
        assert '"x"' in told and ("nope" in told) == (model == "no JSON")


def test_a_long_answer_is_folded_in_time_that_grows_with_its_length() -> None:
    fold = ChunkFold()
    for number in range(200_000):
        fold.add({"choices": [{"index": 0, "delta": {"role": "assistant", "content": f"{number:04} "}}]})
    assert not fold.complete
    fold.add({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    assert fold.complete and len(fold.whole()["choices"][0]["message"]["content"]) > 1_000_000
