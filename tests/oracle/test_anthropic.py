"""Foreign readers of `/v1/messages`: Anthropic's OpenAPI document validates every body and event, its SDK folds the stream.

They read the golden cases' recorded Messages and events, which tests/server/messages/test_golden.py holds against the server.
The document is that of the package llm-comply.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from jsonschema_rs import Draft202012Validator
from pydantic import TypeAdapter

from antiphon.config import KeyConfig
from tests.golden.messages import Json, recorded_events, recorded_message
from tests.golden.player import ANSWERED, CASES
from tests.server.whole import whole_server

pytestmark = pytest.mark.slow

_their_event: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


# The document


@cache
def document() -> Json:
    """Return the document: one schema for all events, one for Messages, one for errors."""
    spec: Json = json.loads(files("llm_comply.specs").joinpath("anthropic.json").read_bytes())
    return spec


@cache
def validator(schema: str) -> Draft202012Validator:
    schemas = document()["components"]["schemas"]
    return Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": {"schemas": schemas}})


def faults(schema: str, value: Json) -> list[str]:
    """Return what the document finds wrong, and fields that it does not know."""
    found = [f"{error.instance_path}: {error.message}" for error in validator(schema).iter_errors(value)]
    known = document()["components"]["schemas"][schema].get("properties")
    return found + ([f"unknown: {name}" for name in value if name not in known] if known else [])


def schema_of(event: Json) -> str:
    """Return the schema of an event; pings are not in the document."""
    return "ErrorResponse" if event["type"] == "error" else "MessageStreamEvent"


OURS = {
    "image": ("RequestImageBlock", "the API has no block for a picture that a model makes; this is that of requests")
}
"""Blocks of answers that the API does not have: their schema in requests, and why they are sent."""


def theirs_of(case: str) -> tuple[Json, list[Json]]:
    """Return a recorded Message and its events without blocks that are ours, which are those of requests."""
    message, events = recorded_message(case), recorded_events(case)
    ours = [block for block in message.get("content", ()) if block["type"] in OURS]
    for block in ours:
        assert not faults(OURS[block["type"]][0], block)
    starts = [event for event in events if event["type"] == "content_block_start"]
    indexes = {event["index"] for event in starts if event["content_block"]["type"] in OURS}
    assert len(indexes) == len(ours)
    if ours:
        message = {**message, "content": [block for block in message["content"] if block["type"] not in OURS]}
    return message, [event for event in events if event.get("index") not in indexes]


@pytest.mark.parametrize("case", CASES)
def test_the_document_finds_no_fault(case: str) -> None:
    message, events = theirs_of(case)
    assert not faults("Message" if case in ANSWERED else "ErrorResponse", message)
    for event in events:
        assert not faults(schema_of(event), event)


def test_a_block_that_is_ours_is_needed() -> None:
    for name in OURS:
        assert any(block["type"] == name for case in ANSWERED for block in recorded_message(case)["content"])
        assert faults(
            "ContentBlock", {"type": name, "source": {"type": "base64", "media_type": "image/png", "data": ""}}
        )


def test_the_document_does_find_faults() -> None:
    message = recorded_message("text")
    assert not faults("Message", message)
    assert faults("Message", {**message, "stop_reason": "stop"})
    assert faults("Message", {**message, "content": [{"type": "text", "text": 1}]})
    for name in message:
        assert faults("Message", {key: value for key, value in message.items() if key != name}), name
    assert faults("MessageStreamEvent", {"type": "content_block_stop"})
    assert faults("ErrorResponse", {"type": "error", "error": {"type": "stop", "message": ""}, "request_id": None})


# The SDK


def client(body: bytes, type: str, status: int = 200) -> anthropic.Anthropic:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": type, "request-id": "req_1"}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return anthropic.Anthropic(auth_token="none", base_url="http://golden", http_client=http, max_retries=0)


def wire(case: str) -> bytes:
    events = ((event["type"], json.dumps(event)) for event in recorded_events(case))
    return b"".join(f"event: {type}\ndata: {data}\n\n".encode() for type, data in events)


ASKED: Json = {"model": "golden", "max_tokens": 100, "messages": [{"role": "user", "content": "…"}]}


@pytest.mark.parametrize("case", ANSWERED)
def test_their_helper_folds_our_events_to_our_message(case: str) -> None:
    with client(wire(case), "text/event-stream") as reader, reader.messages.stream(**ASKED) as stream:
        streamed = stream.get_final_message()
    with client(json.dumps(recorded_message(case)).encode(), "application/json") as reader:
        whole = reader.messages.create(**ASKED)
    ours = recorded_message(case)
    # Their serializer warns of blocks that are ours, and writes them all the same.
    assert _said(whole.to_dict(mode="json", warnings=False)) == ours
    theirs = _said(streamed.to_dict(mode="json", warnings=False))
    for block, own in zip(theirs["content"], ours["content"], strict=True):
        if block["type"] == "tool_use" and ours["stop_reason"] == "max_tokens":
            block["input"] = own["input"]  # they complete what was cut off, as far as they can
    assert theirs == ours


def _said(message: Json) -> Json:
    """Return a Message without what their helper adds."""
    content = [
        {name: value for name, value in block.items() if name != "parsed_output"} for block in message["content"]
    ]
    return {**message, "content": content}


@pytest.mark.parametrize("case", CASES)
def test_every_event_is_one_of_theirs(case: str) -> None:
    """Strictly: the package itself would let anything pass."""
    message, events = theirs_of(case)
    for event in events:
        if event["type"] != "error":
            assert not list(_extras(_their_event.validate_python(event))), event
    if case in ANSWERED:
        assert not list(_extras(Message.model_validate(message)))


def _extras(value: Any) -> Iterator[str]:
    """Yield fields that their types do not have."""
    yield from getattr(value, "model_extra", None) or ()
    for inner in (
        vars(value).values() if hasattr(value, "model_fields_set") else value if isinstance(value, list) else ()
    ):
        yield from _extras(inner)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ANSWERED])
def test_their_stream_of_an_answer_that_fails_tells_why(case: str) -> None:
    error = recorded_message(case)["error"]
    with (
        client(wire(case), "text/event-stream") as reader,
        pytest.raises(anthropic.APIStatusError) as raised,
        reader.messages.stream(**ASKED) as stream,
    ):
        stream.get_final_message()
    assert (raised.value.type, error["message"]) == (error["type"], _message(raised.value))
    with (
        client(json.dumps(recorded_message(case)).encode(), "application/json", 502) as reader,
        pytest.raises(anthropic.InternalServerError) as refused,
    ):
        reader.messages.create(**ASKED)
    assert (refused.value.type, refused.value.request_id) == (error["type"], "req_1")


def _message(error: anthropic.APIStatusError) -> Any:
    body: Any = error.body
    return body["error"]["message"]


# Other answers of the server


@pytest.fixture(scope="module")
def server() -> Iterator[httpx2.Client]:
    keys = {"k": KeyConfig(key="secret")}
    headers = {"x-api-key": "secret", "anthropic-version": "2023-06-01"}
    with whole_server(keys=keys) as running, httpx2.Client(base_url=running.url, headers=headers) as client:
        yield client


def test_models_and_counts_are_those_of_the_document(server: httpx2.Client) -> None:
    listed = server.get("/v1/models").json()
    assert not faults("ListResponse_ModelInfo_", listed)
    for model in listed["data"]:
        assert server.get(f"/v1/models/{model['id']}").json() == model
    counted = server.post("/v1/messages/count_tokens", json={**ASKED, "model": "scripted"})
    assert not faults("CountMessageTokensResponse", counted.json())


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"max_tokens": "many"}, 400),
        ({"messages": []}, 400),
        ({"model": "none"}, 404),
        ({"messages": [{"role": "user", "content": "/error 429 Wait."}]}, 429),
        ({"messages": [{"role": "user", "content": "/error 500 Broken."}]}, 500),
        ({"messages": [{"role": "user", "content": "/error 503 Full."}]}, 529),
    ],
)
def test_errors_are_those_of_the_document(server: httpx2.Client, change: Json, status: int) -> None:
    answer = server.post("/v1/messages", json={**ASKED, "model": "scripted", **change})
    assert answer.status_code == status, answer.text
    assert not faults("ErrorResponse", answer.json())


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_wrong_key_is_told_as_in_the_document(server: httpx2.Client, path: str) -> None:
    answer = server.post(path, json={**ASKED, "model": "scripted"}, headers={"x-api-key": "wrong"})
    assert answer.status_code == 401
    assert not faults("ErrorResponse", answer.json())
    assert answer.headers["x-should-retry"] == "false"
