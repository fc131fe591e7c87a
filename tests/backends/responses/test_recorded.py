"""Recorded answers of real servers, through a whole server: each stream is judged whole, by both documents and by `openai`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from antiphon.config import BackendConfig
from tests.backends.responses.recordings import NAMES, Recorded, asked_for, recording
from tests.golden.rules import check_stream
from tests.oracle.divergences import DIVERGENCES
from tests.oracle.documents import OPEN_RESPONSES, OPENAI, Document
from tests.oracle.test_openai_package import same
from tests.server.whole import Client, upstream, whole_server

Json = dict[str, Any]

ANSWERED = [name for name in NAMES if recording(name).status == 200 and "overflow" not in name and "killed" not in name]
REFUSED = [name for name in NAMES if name not in ANSWERED and "killed" not in name]
HELLO = "Hello there my dear friend!"
_their_event: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Client]]:
    """Two servers, one for each document's names of events."""
    with upstream(Recorded) as url:
        backends = {"recorded": BackendConfig(url=url, api="responses")}
        with (
            whole_server(backends=backends) as plain,
            whole_server(backends=backends, open_responses_names=True) as named,
        ):
            yield {OPENAI.name: plain, OPEN_RESPONSES.name: named}


def faults(document: Document, events: list[Json]) -> set[str]:
    found = [fault for event in events for fault in document.event_faults(event)]
    found += document.faults(document.response, events[-1]["response"])
    own = '"code":"context_length_exceeded"'  # OpenAI's own code, which its document leaves out
    return {
        fault
        for fault in found
        if own not in fault and not any(divergence.covers(document.name, fault) for divergence in DIVERGENCES)
    }


def streamed(client: Client, name: str) -> list[Json]:
    return client.stream(model=name, input="x", **asked_for(name))


def bare(response: Json) -> list[Json]:
    """Return the items without the ids, of which some are made anew."""
    return [{key: value for key, value in item.items() if key not in ("id", "call_id")} for item in response["output"]]


@pytest.mark.parametrize("document", [OPENAI, OPEN_RESPONSES], ids=lambda document: document.name)
@pytest.mark.parametrize("name", [*ANSWERED, "vllm_noreason-killed_stream"])
def test_a_stream_keeps_its_grammar_and_both_documents(
    servers: dict[str, Client], name: str, document: Document
) -> None:
    events = streamed(servers[document.name], name)
    check_stream(events)
    assert not faults(document, events)


@pytest.mark.parametrize("name", ANSWERED)
def test_whole_streamed_stored_and_read_by_openai_it_is_the_same(servers: dict[str, Client], name: str) -> None:
    client = servers[OPENAI.name]
    events = streamed(client, name)
    final = events[-1]["response"]
    for event in events:
        assert _their_event.validate_python(event).type == event["type"]
    assert client.get(f"/v1/responses/{final['id']}") == (200, final)
    whole = client.create(model=name, input="x", **asked_for(name))
    assert (bare(whole), whole["status"], whole["usage"]) == (bare(final), final["status"], final["usage"])
    with (
        OpenAI(api_key="none", base_url=f"{client.url}/v1") as theirs,
        theirs.responses.stream(model=name, input="x", **asked_for(name)) as stream,  # type: ignore[arg-type]  # one dict for many types
    ):
        seen = [event.type for event in stream]
        folded = stream.get_final_response() if seen[-1] == "response.completed" else None
    assert seen == [event["type"] for event in events]
    if folded is not None:
        assert same(bare(folded.to_dict(mode="json")), bare(final))


@pytest.mark.parametrize("name", ANSWERED)
def test_what_was_said_arrives(servers: dict[str, Client], name: str) -> None:
    task = name.partition("-")[2]
    response = streamed(servers[OPENAI.name], name)[-1]["response"]
    texts = ["".join(part["text"] for part in item["content"]) for item in response["output"] if "content" in item]
    assert response["usage"]["output_tokens"] > 0
    if task in ("text", "text_stream", "logprobs_stream"):
        assert (response["status"], texts[-1]) == ("completed", HELLO)
    elif task == "tool_stream":
        call = response["output"][-1]
        assert (call["type"], call["name"], call["arguments"]) == (
            "function_call",
            "get_weather",
            '{"location": "Paris"}',
        )
    elif task == "cut_stream":
        assert texts[-1].startswith("1")
        assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
        assert response["usage"]["output_tokens"] == 20


def test_a_server_that_is_killed_leaves_what_it_had_said(servers: dict[str, Client]) -> None:
    client = servers[OPENAI.name]
    response = streamed(client, "vllm_noreason-killed_stream")[-1]["response"]
    (message,) = response["output"]
    assert (response["status"], message["status"]) == ("failed", "incomplete")
    assert message["content"][0]["text"].endswith("so I cannot answer that")
    assert client.get(f"/v1/responses/{response['id']}") == (200, response)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_keeps_its_words(servers: dict[str, Client], name: str) -> None:
    client = servers[OPENAI.name]
    status, body = client.post("/v1/responses", model=name, input="x", **asked_for(name))
    assert status == (502 if name == "transformers_serve-overflow_stream" else 400)
    if "overflow" in name and status == 400:
        assert body["error"]["code"] == "context_length_exceeded"
        assert "2048" in body["error"]["message"]
    if status == 400:
        status, told = client.post("/v1/responses", model=name, input="x", stream=True, **asked_for(name))
        error = told["error"] if status == 400 else told[-1]["response"]["error"]
        assert (error["code"], error["message"]) == (body["error"]["code"], body["error"]["message"])
