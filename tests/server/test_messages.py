"""`/v1/messages` as another front end: requests, answers, events, errors."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest

from antiphon.composition.app import Parts
from antiphon.config import BackendConfig, Config, KeyConfig, ModelConfig
from antiphon.server.messages.call_ids import own_id, shown_id
from antiphon.server.messages.errors import overflow_words

Json = dict[str, Any]
EVENT = re.compile(r"event: (\w+)\ndata: (\{.*\})\n\n")
VERSION = {"anthropic-version": "2023-06-01"}


async def served(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    backend = BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")
    settings = {"messages_models": {"claude-*": "scripted"}, **settings}
    parts = Parts(Config(store="memory", backends={"b": backend}, **settings))
    async with parts.app.running() as app:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async for client in served():
        yield client


def asking(words: str, **fields: Any) -> Json:
    return {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": words}], **fields}


async def whole(client: httpx.AsyncClient, body: Json) -> Json:
    answer = await client.post("/v1/messages", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    return answer.json()


def folded(text: str) -> Json:
    """Fold a stream as Anthropic's SDK does: blocks are appended in order, one is open at a time."""
    assert "".join(match[0] for match in EVENT.finditer(text)) == text
    events = [json.loads(match[2]) for match in EVENT.finditer(text)]
    assert [match[1] for match in EVENT.finditer(text)] == [event["type"] for event in events]
    assert events[0]["type"] == "message_start" and events[-1]["type"] == "message_stop"
    message = events[0]["message"]
    assert message["content"] == [] and message["usage"]["input_tokens"] > 0
    arguments: dict[int, str] = {}
    still_open: int | None = None
    for event in events[1:-1]:
        match event["type"]:
            case "content_block_start":
                assert still_open is None and event["index"] == len(message["content"])
                still_open = event["index"]
                message["content"].append(event["content_block"])
            case "content_block_delta":
                assert event["index"] == still_open
                block, delta = message["content"][-1], event["delta"]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        assert not block["signature"]
                        block["signature"] = delta["signature"]
                    case "compaction_delta":
                        block |= {name: delta[name] for name in ("content", "encrypted_content")}
                    case "citations_delta":
                        block["citations"] = [*(block["citations"] or ()), delta["citation"]]
                    case "input_json_delta":
                        arguments[still_open] = arguments.get(still_open, "") + delta["partial_json"]
            case "content_block_stop":
                assert event["index"] == still_open
                if message["content"][-1]["type"].endswith("tool_use"):
                    said = arguments.get(still_open) or "{}"
                    with contextlib.suppress(ValueError):  # cut off: the rest never came
                        message["content"][-1]["input"] = json.loads(said)
                still_open = None
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    assert still_open is None
    return message


async def streamed(client: httpx.AsyncClient, body: Json) -> Json:
    answer = await client.post("/v1/messages", json={**body, "stream": True})
    assert answer.status_code == 200, answer.text
    return folded(answer.text)


def same(message: Json) -> Json:
    """Return what of a Message does not differ between two answers: no ids and no seals."""
    blocks = [
        {name: value for name, value in block.items() if name not in ("id", "signature")}
        for block in message["content"]
    ]
    return {**message, "id": "", "content": blocks}


SCRIPT = '/think Let me see.\nHello you.\n/call f {"a":1}\n/call f {}'
TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]


@pytest.mark.parametrize("display", ["summarized", "omitted"])
async def test_streamed_and_not_are_the_same(client: httpx.AsyncClient, display: str) -> None:
    body = asking(SCRIPT, tools=TOOLS, thinking={"type": "adaptive", "display": display})
    message = await whole(client, body)
    assert same(await streamed(client, body)) == same(message)
    thought, text, first, second = message["content"]
    assert thought["thinking"] == ("" if display == "omitted" else "Let me see.") and thought["signature"]
    assert text == {"type": "text", "text": "Hello you.", "citations": []}
    assert [call["input"] for call in (first, second)] == [{"a": 1}, {}]
    assert message["stop_reason"] == "tool_use" and message["model"] == "claude-x" and message["id"].startswith("msg_")


@pytest.mark.parametrize(
    ("words", "fields", "text", "reason", "sequence"),
    [
        ("Hello.", {}, "Hello.", "end_turn", None),
        ("One two STOP three", {"stop_sequences": ["STOP", "x"]}, "One two ", "stop_sequence", "STOP"),
        ("Hello.\n/finish length", {}, "Hello.", "max_tokens", None),
        ("Hello.\n/finish content_filter", {}, "Hello.", "refusal", None),
        ("Hello.", {"max_tokens": 0}, "", "max_tokens", None),
    ],
)
async def test_why_it_ended(
    client: httpx.AsyncClient, words: str, fields: Json, text: str, reason: str, sequence: str | None
) -> None:
    for message in (await whole(client, asking(words, **fields)), await streamed(client, asking(words, **fields))):
        assert "".join(block["text"] for block in message["content"]) == text
        assert (message["stop_reason"], message["stop_sequence"]) == (reason, sequence)


async def test_what_has_no_effect_is_named(client: httpx.AsyncClient) -> None:
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    body = asking(
        "Hi.", new_field=1, service_tier="auto", cache_control={"type": "ephemeral"}, context_management=edits
    )
    answer = await client.post("/messages?beta=true", json=body)
    assert answer.status_code == 200
    assert answer.headers["x-antiphon-ignored"] == "new_field, service_tier"
    assert answer.json()["context_management"] == {"applied_edits": []}


async def test_names_of_what_has_no_effect_fit_into_a_head(client: httpx.AsyncClient) -> None:
    """What proxies take of a head is 4 KiB and more."""
    answer = await client.post("/messages", json=asking("Hi.", **{f"{'x' * 60}{number}": 1 for number in range(2000)}))
    assert answer.status_code == 200 and 16 * 60 < len(answer.headers["x-antiphon-ignored"]) < 1200


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": []}, "messages: "),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role: "),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages.0.content.0.source: "),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]},
            "messages.0.content.0: ",
        ),
        ({"messages": [{"role": "assistant", "content": "And"}]}, "messages: This model does not support"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema: Field required"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "g"}}, "tool_choice.name: "),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "thinking.enabled.budget_tokens: "),
        ({"stop_sequences": [" "]}, "stop_sequences.0: "),
        ({"temperature": "hot"}, "temperature: "),
    ],
)
async def test_what_is_refused(client: httpx.AsyncClient, change: Json, words: str) -> None:
    answer = await client.post("/v1/messages", json=asking("Hi.", **change))
    assert answer.status_code == 400, answer.text
    error = answer.json()
    assert error["type"] == "error" and error["error"]["type"] == "invalid_request_error"
    assert error["error"]["message"].startswith(words)
    assert error["request_id"] == answer.headers["request-id"] and answer.headers["x-should-retry"] == "false"


async def test_errors_of_models_keys_and_backends(client: httpx.AsyncClient) -> None:
    for body, status, kind in (
        (asking("Hi.", model="none"), 404, "not_found_error"),
        (asking("/error 429 Too fast."), 429, "rate_limit_error"),
        (asking("/error 503 Full."), 529, "overloaded_error"),
    ):
        answer = await client.post("/v1/messages", json={**body, "stream": True})
        assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    answer = await client.post("/v1/messages", json={**asking("Hi.\n/error 500 It broke."), "stream": True})
    last = EVENT.findall(answer.text)[-1]
    told = json.loads(last[1])
    assert last[0] == "error" and (told["error"]["type"], told["error"]["message"]) == ("api_error", "It broke.")
    assert told["request_id"] == answer.headers["request-id"]
    assert "message_stop" not in answer.text
    async for closed in served(keys={"k": KeyConfig(key="secret")}):
        refused = await closed.post("/v1/messages", json=asking("Hi."))
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        assert refused.headers["x-should-retry"] == "false" and refused.headers["request-id"]
        assert (
            await closed.post("/v1/messages", json=asking("Hi."), headers={"x-api-key": "secret"})
        ).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "/v1/v1/messages", 404, "leave it out of the base URL"),
        ("POST", "/v1/messages/none", 404, "Unknown path"),
        ("GET", "/v1/messages", 405, "not allowed"),
    ],
)
async def test_errors_before_the_handler(
    client: httpx.AsyncClient, method: str, path: str, status: int, words: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status and words in answer.json()["error"]["message"]
    assert answer.json()["request_id"] == answer.headers["request-id"]


async def test_an_answer_is_brought_down_to_the_window() -> None:
    async for client in served(models={"scripted": ModelConfig(context_length=8192)}):
        answer = await client.post("/v1/messages", json=asking("Hi.", max_tokens=128000))
        assert answer.status_code == 200 and answer.headers["x-antiphon-adjusted"] == "max_tokens=8192"


async def test_tokens_are_counted_and_no_limit_is_touched() -> None:
    async for client in served(keys={"k": KeyConfig(key="secret", limits=["1 requests/min"])}):
        key = {"x-api-key": "secret"}
        body = asking("Count these words, please.")
        del body["max_tokens"]
        counts = [await client.post("/v1/messages/count_tokens?beta=true", json=body, headers=key) for _ in range(25)]
        assert {count.status_code for count in counts} == {200}
        message = await client.post("/v1/messages", json=asking("Count these words, please."), headers=key)
        assert counts[0].json() == {"input_tokens": message.json()["usage"]["input_tokens"]}


async def test_models_in_the_shape_of_the_client(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models")).json()["object"] == "list"
    listed = (await client.get("/v1/models?limit=1000", headers=VERSION)).json()
    assert [model["id"] for model in listed["data"]] == ["scripted", "anthropic/scripted"]
    assert {model["type"] for model in listed["data"]} == {"model"} and listed["has_more"] is False
    page = (await client.get("/v1/models?limit=1", headers=VERSION)).json()
    assert page["has_more"] is True and page["last_id"] == "scripted"
    assert (await client.get("/v1/models/anthropic/scripted", headers=VERSION)).json()["display_name"] == "scripted"
    missing = await client.get("/v1/models/none", headers=VERSION)
    assert missing.status_code == 404 and missing.json()["error"]["type"] == "not_found_error"
    assert (
        missing.headers.get_list("request-id")
        == missing.headers.get_list("x-request-id")
        == [missing.json()["request_id"]]
    )
    for name in ("scripted", "anthropic/scripted", "claude-opus-5-5[1m]"):
        assert (await whole(client, asking("Hi.", model=name)))["model"] == name
        read = (await client.get(f"/v1/models/{quote(name)}", headers=VERSION)).json()
        assert (read["id"], read["display_name"]) == (name, "scripted")


@pytest.mark.parametrize("id", ["call_1", "functions.Bash:0", "toolu_0xyz", "é", ""])
def test_ids_of_calls_come_back(id: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", shown_id(id)) and own_id(shown_id(id)) == id


def test_an_input_that_is_too_long_is_told_in_the_words_that_clients_know() -> None:
    said = "The input has 41234 tokens, but the model's context window has 32768."
    assert overflow_words(said) == "prompt is too long: 41234 tokens > 32768 maximum"
    assert overflow_words("Too much.") == "prompt is too long: Too much."
