"""A client hears what its model is not told: items that only a Responses backend can read, fields that ours replace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.kinds import UNTOLD
from tests.server.handlers import Answer, call
from tests.server.whole import Client, golden_upstream, whole_server

Json = dict[str, Any]
AGENT = {"agent_name": "worker"}
ITEMS: dict[str, Json] = {
    "compaction": {"id": "cmp_1", "encrypted_content": "gAAAAAforeign"},
    "compaction_summary": {"encrypted_content": "gAAAAAforeign"},
    "agent_message": {"id": "amsg_1", "agent": AGENT, "author": "/root/a", "recipient": "/root", "content": []},
    "multi_agent_call": {"id": "mac_1", "call_id": "c", "action": "spawn_agent", "arguments": "{}"},
    "multi_agent_call_output": {"id": "maco_1", "call_id": "c", "action": "spawn_agent", "output": []},
    "computer_call": {"id": "cu_1", "call_id": "c", "action": {"type": "wait"}, "status": "completed"},
    "computer_call_output": {"call_id": "c", "output": {"type": "computer_screenshot", "file_id": "file-1"}},
}
OPERATED = {"text": ModelConfig(backends=["inner"], extra_body={"response_format": {"type": "text"}})}
QUESTION = {"role": "user", "content": "Hi"}


@pytest.fixture(scope="module")
def chat() -> Iterator[Client]:
    with golden_upstream() as url, whole_server(url) as client:
        yield client


def ask(client: Client, *items: Json, **fields: Any) -> Answer:
    body = {"model": "text", "input": [QUESTION, *items, QUESTION], **fields}
    return call(client.url, "POST", "/v1/responses", json.dumps(body))


def test_every_type_has_an_item() -> None:
    assert set(ITEMS) == set(UNTOLD)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("type", ITEMS)
def test_a_chat_model_is_not_told_and_the_client_is(chat: Client, type: str, stream: bool) -> None:
    answer = ask(chat, {"type": type, **ITEMS[type]}, stream=stream)
    assert (answer.status, answer.headers.get("x-antiphon-ignored")) == (200, type)


def test_a_history_is_looked_at_too(chat: Client) -> None:
    first = json.loads(ask(chat, {"type": "agent_message", **ITEMS["agent_message"]}).body)
    answer = ask(chat, previous_response_id=first["id"])
    assert answer.headers["x-antiphon-ignored"] == "agent_message"


def test_a_compaction_of_our_own_is_told(chat: Client) -> None:
    body = {"model": "text", "input": [QUESTION]}
    compacted = json.loads(call(chat.url, "POST", "/v1/responses/compact", json.dumps(body)).body)
    assert compacted["output"][-1]["type"] == "compaction"
    foreign = {"type": "compaction", **ITEMS["compaction"]}
    answer = ask(chat, foreign, *compacted["output"])  # stands for all that is before it
    assert answer.status == 200 and "x-antiphon-ignored" not in answer.headers


@pytest.mark.parametrize("type", ITEMS)
def test_a_backend_that_speaks_responses_gets_it(chat: Client, type: str) -> None:
    backends = {"inner": BackendConfig(url=f"{chat.url}/v1", api="responses")}
    with whole_server(backends=backends) as client:
        answer = ask(client, {"type": type, **ITEMS[type]})
    assert answer.status == 200 and "x-antiphon-ignored" not in answer.headers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"text": {"format": {"type": "json_object"}}, "response_format": {"type": "text"}}, "response_format"),
        ({"reasoning": {"effort": "high"}, "reasoning_effort": "low"}, "reasoning_effort"),
        ({"response_format": {"type": "text"}, "reasoning_effort": "low", "seed": 1}, None),
        ({"stream_options": {}, "chat_template_kwargs": {"a": 1}, "reasoning": {"effort": "high"}}, None),
    ],
    ids=str,
)
def test_a_backends_field_that_ours_replaces_is_named(
    chat: Client, fields: Json, ignored: str | None, stream: bool
) -> None:
    answer = ask(chat, stream=stream, **fields)
    assert (answer.status, answer.headers.get("x-antiphon-ignored")) == (200, ignored)


def test_a_field_of_the_messages_api_that_ours_replaces_is_named(chat: Client) -> None:
    backends = {"inner": BackendConfig(url=chat.url, api="anthropic")}
    with whole_server(backends=backends) as client:
        answer = ask(client, instructions="Be brief.", system="Be long.")
    assert (answer.status, answer.headers.get("x-antiphon-ignored")) == (200, "system")


def test_a_field_of_the_operator_is_not_named(chat: Client) -> None:
    with whole_server(backends={"inner": BackendConfig(url=f"{chat.url}/v1", api="chat")}, models=OPERATED) as client:
        answer = ask(client, text={"format": {"type": "json_object"}})
        assert answer.status == 200 and "x-antiphon-ignored" not in answer.headers
