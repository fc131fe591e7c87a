"""A foreign reader: the `openai` package reads our stream off the wire and folds it to our response."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

import httpx2
import pytest
from openai import APIError, OpenAI
from openai.types.responses import Response as TheirResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from antiphon.core.text import sse
from antiphon.types.events import Event
from tests.golden.player import BROKEN, CASES, Case, parsed

pytestmark = pytest.mark.slow

# `name` of `function_call_arguments.done`: OpenAI's document requires it.
THEY_LACK = {"name"}
# Open Responses requires these.
WE_ADD = {"presence_penalty", "frequency_penalty", "store"}

_their_event: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


def _client(body: bytes, type: str) -> OpenAI:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": type}, content=body)

    return OpenAI(
        api_key="none", base_url="http://golden/v1", http_client=httpx2.Client(transport=httpx2.MockTransport(answer))
    )


def _reader(events: list[Event]) -> OpenAI:
    return _client(sse.encode(events) + sse.DONE, "text/event-stream")


def same(theirs: Any, ours: Any) -> bool:
    """Tell whether they read what we said: they may add fields of their own that are null."""
    if isinstance(ours, dict):
        return all(same(theirs.get(key), value) for key, value in ours.items())
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, theirs, ours))
    return bool(theirs == ours)


@pytest.mark.parametrize("name", CASES)
def test_their_helper_folds_our_events_to_our_response(name: str) -> None:
    case = Case(name)
    events = case.play(case.deltas)
    with _reader(events) as client, client.responses.stream(model="golden", input="…") as stream:
        seen = [event.type for event in stream]
        final = stream.get_final_response() if seen[-1] == "response.completed" else None
    assert seen == [event.type for event in events]
    if final is not None:
        assert same(final.to_dict(mode="json"), parsed(events)[-1]["response"])


@pytest.mark.parametrize("name", CASES)
def test_every_event_is_one_of_theirs(name: str) -> None:
    """Strictly: the package itself would let anything pass."""
    case = Case(name)
    for event in parsed(case.play(case.deltas)):
        theirs = _their_event.validate_python(event)
        assert theirs.type == event["type"]
        assert set(theirs.__pydantic_extra__ or ()) <= THEY_LACK


@pytest.mark.parametrize("name", CASES)
def test_the_body_is_one_of_theirs(name: str) -> None:
    case = Case(name)
    ours = parsed(case.play(case.deltas))[-1]["response"]
    theirs = TheirResponse.model_validate(ours)
    assert theirs.output_text == "".join(
        part["text"]
        for item in ours["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    )
    assert set(theirs.__pydantic_extra__ or ()) == WE_ADD


@pytest.mark.parametrize("name", CASES)
def test_their_stream_of_a_failed_response_tells_why(name: str) -> None:
    case = Case(name)
    events = case.play(case.deltas, error=BROKEN)
    with _reader(events) as client:
        stream = client.responses.create(model="golden", input="…", stream=True)
        with pytest.raises(APIError, match=BROKEN.message):
            list(stream)


@pytest.mark.parametrize("name", CASES)
def test_a_failed_response_read_later_tells_why(name: str) -> None:
    case = Case(name)
    body = case.play(case.deltas, error=BROKEN)[-1].body
    with _client(dumps(loads(body)["response"]).encode(), "application/json") as client:
        theirs = client.responses.retrieve("resp_1")
    assert theirs.status == "failed"
    assert theirs.error is not None and theirs.error.message == BROKEN.message
