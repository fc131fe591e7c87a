"""Another front end over the same machine (`say_front_end.py`): its requests, its events, its errors; the same answers."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest

from antiphon.composition.app import Parts
from antiphon.config import BackendConfig, Config, KeyConfig, ModelConfig
from antiphon.core.stream.emitter import Emitter
from tests.backends.responses.recordings import Recorded
from tests.backends.responses.test_recorded import ANSWERED as ANSWERED_RESPONSES
from tests.golden.player import ANSWERED, ROOT
from tests.server.say_front_end import add_say
from tests.server.serving import serving
from tests.server.whole import Client, Golden, upstream

Json = dict[str, Any]
EVENT = re.compile(r"event: (\w+)\ndata: (\{.*\})\n\n")


async def app_with_say(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    backend = BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")
    parts = Parts(Config(store="memory", backends={"b": backend}, **settings))
    add_say(parts)
    async with parts.app.running() as app:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async for client in app_with_say():
        yield client


async def said(client: httpx.AsyncClient, words: str, **fields: Any) -> Json:
    answer = await client.post("/v1/say", json={"model": "scripted", "words": words, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["say-id"].startswith("req_") and "x-request-id" not in answer.headers
    return answer.json()


async def events(client: httpx.AsyncClient, words: str, **fields: Any) -> list[tuple[str, Json]]:
    answer = await client.post("/say", json={"model": "scripted", "words": words, "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    assert "".join(match[0] for match in EVENT.finditer(answer.text)) == answer.text
    return [(match[1], json.loads(match[2])) for match in EVENT.finditer(answer.text)]


SCRIPT = '/think Let me see.\nHello you.\n/call f {"a":1}'


async def test_an_answer(client: httpx.AsyncClient) -> None:
    assert await said(client, SCRIPT, functions=["f"]) == {
        "said": "Hello you.",
        "thought": "Let me see.",
        "calls": [{"name": "f", "arguments": '{"a":1}'}],
        "why": "calls",
    }
    assert (await said(client, "Hello.\n/finish length"))["why"] == "cut"


async def test_a_stream(client: httpx.AsyncClient) -> None:
    told = await events(client, SCRIPT, functions=["f"])
    kinds = [kind for kind, _ in told]
    assert kinds[0] == "begin" and kinds[-1] == "end" and set(kinds) == {"begin", "thought", "piece", "call", "end"}
    assert "".join(fields["text"] for kind, fields in told if kind == "piece") == "Hello you."
    assert told[-1][1] == {"why": "calls", "status": "completed"}


async def test_a_failure_in_mid_stream(client: httpx.AsyncClient) -> None:
    told = await events(client, "Hello.\n/error 500 It broke.")
    assert [kind for kind, _ in told[-2:]] == ["fault", "end"]
    assert told[-1][1]["status"] == "failed" and "It broke." in told[-2][1]["text"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"model":"scripted","words":""}', 400, "words"),
        (b'{"model":"scripted","wrods":"x"}', 400, "body"),
        (b'{"model":"none","words":"x"}', 400, "model"),
        (b"{", 400, "body"),
        (b'{"model":"scripted","words":"/error 429 Too fast."}', 429, ""),
    ],
)
async def test_errors_are_worded_by_the_front_end(
    client: httpx.AsyncClient, body: bytes, status: int, field: str
) -> None:
    answer = await client.post("/say", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert set(answer.json()) == {"fault", "id"}
    assert answer.json()["fault"]["text"] and answer.json()["fault"]["field"] == field
    assert answer.headers["say-id"] == answer.json()["id"]


async def test_what_others_find_wrong_is_told_in_its_terms() -> None:
    async for client in app_with_say(max_tools=1, models={"scripted": ModelConfig(functions=False)}):
        for functions, words in (
            (["f", "g"], "A request declares at most 1 tools."),
            (["f"], "does not support tools."),
        ):
            answer = await client.post("/say", json={"model": "scripted", "words": "x", "functions": functions})
            assert answer.status_code == 400
            assert answer.json()["fault"]["field"] == "functions"
            assert words in answer.json()["fault"]["text"]


async def test_errors_before_the_handler_too() -> None:
    async for client in app_with_say(keys={"k": KeyConfig(key="secret", limits=["1 requests/min"])}):
        key = {"authorization": "Bearer secret"}
        body = {"model": "scripted", "words": "x"}
        answers = [
            await client.post("/say", json=body),
            await client.request("DELETE", "/say", headers=key),
            await client.post("/say", json=body, headers=key),
            await client.post("/say", json=body, headers=key),
        ]
        assert [answer.status_code for answer in answers] == [401, 405, 200, 429]
        assert ["fault" in answer.json() for answer in answers] == [True, True, False, True]
        assert answers[1].headers["allow"] == "OPTIONS, POST" and answers[3].headers["retry-after"]


def test_every_golden_case_says_the_same() -> None:
    with upstream(Golden) as url:
        parts = Parts(Config(store="memory", backends={"b": BackendConfig(url=url, finish_reason="optional")}))
        add_say(parts)
        with serving(parts.app, parts.config) as served:
            client = Client(served.url)
            for case in ANSWERED:
                recorded = json.loads((ROOT / case / "response.json").read_bytes())
                texts = [
                    part.get("text", part.get("refusal"))
                    for item in recorded["output"]
                    if item["type"] == "message"
                    for part in item["content"]
                ]
                status, told = client.post("/say", model=case, words="Say it.")
                assert status == 200, (case, told)
                assert told["said"] == "".join(texts), case


def test_a_backend_that_speaks_responses_says_the_same() -> None:
    with upstream(Recorded) as url:
        parts = Parts(Config(store="memory", backends={"b": BackendConfig(url=url, api="responses")}))
        add_say(parts)
        with serving(parts.app, parts.config) as served:
            for name in ANSWERED_RESPONSES:
                client = Client(served.url)
                response = client.create(model=name, input="x")
                status, told = client.post("/v1/say", model=name, words="Say it.")
                assert status == 200, (name, told)
                answer = httpx.post(f"{served.url}/say", json={"model": name, "words": "x", "stream": True})
                pieces = [(match[1], json.loads(match[2])) for match in EVENT.finditer(answer.text)]
                assert "".join(match[0] for match in EVENT.finditer(answer.text)) == answer.text, name
                texts = ("said", "message"), ("thought", "reasoning")
                for field, type in texts:
                    parts_of_type = [
                        part for item in response["output"] if item["type"] == type for part in item["content"]
                    ]
                    text = "".join(part["text"] for part in parts_of_type)
                    kind = {"said": "piece", "thought": "thought"}[field]
                    assert told[field] == text, name
                    assert "".join(fields["text"] for event, fields in pieces if event == kind) == text, name
                calls = [item for item in response["output"] if item["type"] == "function_call"]
                named = [{"name": item["name"], "arguments": item["arguments"]} for item in calls]
                assert told["calls"] == named == [fields for event, fields in pieces if event == "call"], name


def test_a_backends_refusal_names_the_field_in_its_terms() -> None:
    with upstream(Recorded) as url:
        parts = Parts(Config(store="memory", backends={"b": BackendConfig(url=url, api="responses")}))
        add_say(parts)
        with serving(parts.app, parts.config) as served:
            client = Client(served.url)
            for stream in (False, True):
                status, told = client.post("/say", model="vllm-overflow_stream", words="x", stream=stream)
                assert (status, told["fault"]["field"]) == (400, "words")
            status, told = client.post("/v1/responses", model="vllm-overflow_stream", input="x")
            assert (status, told["error"]["param"]) == (400, "input")


def test_what_becomes_of_a_response_can_all_be_worded_anew() -> None:
    own = {"queued", "started", "keepalive", "restored", "failed", "ended"}
    assert own <= set(vars(Emitter))
