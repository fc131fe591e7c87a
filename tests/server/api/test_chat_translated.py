"""Chat completions of models whose backends speak Responses, Messages or nothing: translated, streamed and not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx2 as httpx
import openai
import pytest

from antiphon.config import BackendConfig, ModelConfig
from tests.golden.player import ANSWERED, ROOT
from tests.server.messages.planned import Planned, planned
from tests.server.whole import Client, Golden, Json, upstream, whole_server

pytestmark = pytest.mark.slow

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
DELTAS: list[Json] = [
    {"reasoning_content": "Let me see."},
    {"content": "Hello "},
    {"content": "you."},
    {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x"'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
]


def in_front_of(inner: Client) -> AbstractContextManager[Client]:
    """Run a server whose backend is another one, by its Responses API."""
    return whole_server(backends={"r": BackendConfig(url=f"{inner.url}/v1", api="responses")})


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A server in front of one that speaks Responses, whose model is a chat model."""
    with upstream(Planned) as url, whole_server(url) as inner, in_front_of(inner) as outer:
        yield outer


def sdk(client: Client) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{client.url}/v1", api_key="none", max_retries=0)


def asked(**fields: Any) -> Json:
    return {"model": "m", "messages": [planned(deltas=DELTAS)], "tools": [TOOL], **fields}


def test_an_answer(client: Client) -> None:
    status, body = client.post("/v1/chat/completions", **asked())
    assert status == 200, body
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "Hello you." and choice["message"]["reasoning_content"] == "Let me see."
    (made,) = choice["message"]["tool_calls"]
    assert made["function"] == {"name": "f", "arguments": '{"x":1}'} and choice["finish_reason"] == "tool_calls"
    assert body["object"] == "chat.completion" and body["id"].startswith("chatcmpl-") and body["model"] == "m"
    assert body["usage"]["prompt_tokens"] == 1000 and body["usage"]["prompt_tokens_details"]["cached_tokens"] == 900


@pytest.mark.parametrize("counted", [True, False])
def test_a_stream_folds_to_the_same(client: Client, counted: bool) -> None:
    _, body = client.post("/v1/chat/completions", **asked())
    answer = httpx.post(
        f"{client.url}/v1/chat/completions",
        json={**asked(stream=True), **({"stream_options": {"include_usage": True}} if counted else {})},
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]" and all(line.startswith("data: ") for line in lines)
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    assert usages == ([body["usage"]] if counted else [])
    with sdk(client).chat.completions.stream(**asked()) as stream:
        final = stream.get_final_completion().choices[0]
    expected = body["choices"][0]
    assert final.message.content == expected["message"]["content"] and final.finish_reason == "tool_calls"
    assert final.message.tool_calls[0].function.arguments == '{"x":1}'


def test_a_conversation_with_calls(client: Client) -> None:
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi."}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"b":1,"a":2}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
        {"role": "assistant", "content": "Three."},
        planned(say="Bye."),
    ]  # fmt: skip
    status, body = client.post("/v1/chat/completions", model="m", messages=history, tools=[TOOL])
    assert status == 200 and body["choices"][0]["message"]["content"] == "Bye."
    seen = Planned.asked[-1]["messages"]
    assert [one["role"] for one in seen] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert seen[2]["tool_calls"][0]["function"]["arguments"] == '{"b":1,"a":2}' and seen[3]["content"] == "3"


def test_settings(client: Client) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    fields = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 77,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}},
        "messages": [planned(say='{"a":"b"}')],
        "tools": [],
    }
    status, body = client.post("/v1/chat/completions", **asked(**fields))
    assert status == 200, body
    sent = Planned.asked[-1]
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.5, 0.9, 77)
    assert sent["response_format"]["json_schema"]["schema"] == schema
    answer = httpx.post(
        f"{client.url}/v1/chat/completions",
        json=asked(messages=[planned(say="One STOP two")], tools=[], stop=["STOP"], seed=1, logit_bias=None),
    )
    choice = answer.json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("One ", "stop")
    assert answer.headers["x-antiphon-ignored"] == "seed"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"tools": [{"type": "custom"}]}, "tools[0]"),
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"response_format": {"type": "json_schema"}}, "response_format.schema"),
    ],
)
def test_what_is_refused(client: Client, fields: Json, param: str) -> None:
    status, body = client.post("/v1/chat/completions", **asked(**fields))
    assert status == 400 and body["error"]["param"].startswith(param.split(".")[0]), body


def test_errors(client: Client) -> None:
    for stream in (False, True):
        refused = [planned(refuse=[429, "Slow down."])]
        status, body = client.post("/v1/chat/completions", **asked(messages=refused, stream=stream))
        assert status == 429 and body["error"]["type"] == "rate_limit_error"
    broken = [planned(deltas=[{"content": "Well."}], finish="")]
    text = httpx.post(f"{client.url}/v1/chat/completions", json=asked(messages=broken, stream=True)).text
    last = text.split("\n\n")[-3]
    assert "error" in json.loads(last.removeprefix("data: ")) and text.endswith("data: [DONE]\n\n")


def test_the_operator_has_the_last_word() -> None:
    with upstream(Planned) as url, whole_server(url, models={"m": ModelConfig(chat_completions=False)}) as inner:
        status, body = inner.post("/v1/chat/completions", **asked())
        assert (status, body["error"]["code"]) == (400, "unsupported_model")


def test_every_golden_case() -> None:
    """Text, calls and the end are what chat completions of the same model say."""
    with upstream(Golden) as url, whole_server(url, finish_reason="optional") as inner, in_front_of(inner) as outer:
        for case in ANSWERED:
            recorded = json.loads((ROOT / case / "response.json").read_bytes())
            said = "".join(
                part.get("text") or ""
                for item in recorded["output"]
                if item["type"] == "message"
                for part in item["content"]
            )
            status, body = outer.post(
                "/v1/chat/completions", model=case, messages=[{"role": "user", "content": "Say it."}]
            )
            assert status == 200, (case, body)
            assert (body["choices"][0]["message"]["content"] or "") == said, case
