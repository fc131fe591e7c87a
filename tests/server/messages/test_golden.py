"""Every golden case by `/v1/messages`, streamed and not: as recorded, the same as `/v1/responses`, folded to one Message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from antiphon.server.messages.call_ids import own_id
from tests.golden.messages import (
    Json,
    coalesced,
    events_of,
    is_counted,
    plain,
    record,
    recorded_events,
    recorded_message,
    request_of,
)
from tests.golden.player import ANSWERED, CASES, ROOT
from tests.server.whole import golden_upstream, whole_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Two servers: one wants every answer to say why it ends."""
    with (
        golden_upstream() as url,
        whole_server(url) as strict,
        whole_server(url, finish_reason="optional") as lenient,
        httpx.Client(base_url=strict.url) as first,
        httpx.Client(base_url=lenient.url) as second,
    ):
        yield first, second


def whole(client: httpx.Client, case: str) -> Json:
    answer = client.post("/v1/messages", json=request_of(case))
    assert (answer.status_code == 200) is (case in ANSWERED), answer.text
    return plain(answer.json(), counted=is_counted(case))


def streamed(client: httpx.Client, case: str) -> list[Json]:
    """Return the events of a case. An error before the first token has a status and no events."""
    answer = client.post("/v1/messages", json={**request_of(case), "stream": True})
    events = events_of(answer.text) if answer.status_code == 200 else [answer.json()]
    return coalesced(events, counted=is_counted(case))


@pytest.mark.parametrize("case", CASES)
def test_as_recorded(clients: tuple[httpx.Client, ...], case: str, request: pytest.FixtureRequest) -> None:
    client = clients[(ROOT / case / "options.json").exists()]
    message, events = whole(client, case), streamed(client, case)
    if request.config.getoption("--regenerate-golden"):
        record(case, message, events)
    assert message == recorded_message(case)
    assert events == recorded_events(case)


@pytest.mark.parametrize("case", CASES)
def test_events_keep_their_grammar_and_fold_to_the_message(case: str) -> None:
    events = recorded_events(case)
    if case not in ANSWERED:
        assert events[-1]["type"] == "error"
        assert not [event for event in events if event["type"] in ("message_delta", "message_stop")]
        return
    assert folded(events) == recorded_message(case)


def folded(events: list[Json]) -> Json:
    """Fold events as Anthropic's SDKs do: blocks are appended in order, one is open at a time, pieces are not empty."""
    assert events[0]["type"] == "message_start" and events[-1]["type"] == "message_stop"
    assert [event["type"] for event in events].count("message_delta") == 1
    message: Json = events[0]["message"]
    assert message["content"] == [] and message["stop_reason"] is None
    arguments = ""
    still_open = False
    for event in events[1:-1]:
        match event["type"]:
            case "content_block_start":
                assert not still_open and event["index"] == len(message["content"])
                still_open, arguments = True, ""
                message["content"].append(event["content_block"])
            case "content_block_delta":
                assert still_open and event["index"] == len(message["content"]) - 1
                arguments += grown(message["content"][-1], event["delta"])
            case "content_block_stop":
                assert still_open and event["index"] == len(message["content"]) - 1
                still_open = False
                if message["content"][-1]["type"] == "tool_use":
                    message["content"][-1]["input"] = whole_object(arguments)
            case "message_delta":
                assert not still_open
                message |= event["delta"]
                message["usage"] |= event["usage"]
    return message


def grown(block: Json, delta: Json) -> str:
    """Put a piece where it belongs; return a piece of arguments."""
    match delta["type"]:
        case "text_delta":
            assert block["type"] == "text" and delta["text"]
            block["text"] += delta["text"]
        case "thinking_delta":
            assert block["type"] == "thinking" and delta["thinking"]
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            assert block["type"] == "thinking" and not block["signature"]
            block["signature"] = delta["signature"]
        case "citations_delta":
            assert block["type"] == "text"
            block["citations"] = [*(block["citations"] or ()), delta["citation"]]
        case "input_json_delta":
            assert block["type"] == "tool_use"
            return str(delta["partial_json"])
        case _:
            raise AssertionError(delta)
    return ""


def whole_object(arguments: str) -> Any:
    """Return arguments as the Message shows them: what was cut off is no object."""
    try:
        value = json.loads(arguments)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@pytest.mark.parametrize("case", ANSWERED)
def test_it_says_what_responses_say(case: str) -> None:
    """Texts, thoughts and calls of the recorded response, in its order."""
    response = json.loads((ROOT / case / "response.json").read_bytes())
    assert joined(of_message(recorded_message(case))) == joined(of_response(response))


def joined(said: Iterator[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Join neighbouring texts: one that cites is split into blocks."""
    result: list[tuple[Any, ...]] = []
    for one in said:
        before = result[-1] if result else ("",)
        if one[0] == before[0] == "text":
            result[-1] = ("text", before[1] + one[1])
        else:
            result.append(one)
    return result


def of_message(message: Json) -> Iterator[tuple[Any, ...]]:
    for block in message["content"]:
        match block["type"]:
            case "text":
                yield "text", block["text"]
            case "thinking":
                yield "thoughts", block["thinking"]
            case "tool_use":
                yield "call", block["name"], block["input"], _named(own_id(block["id"]))


def of_response(response: Json) -> Iterator[tuple[Any, ...]]:
    for item in response["output"]:
        match item["type"]:
            case "message":
                said = "".join(part.get("text") or part.get("refusal") or "" for part in item["content"])
                yield from [("text", said)] if said else []
            case "reasoning":
                parts = item.get("content") or item["summary"]
                yield "thoughts", "".join(part["text"] for part in parts)
            case "function_call":
                name = "__".join(filter(None, (item.get("namespace"), item["name"])))
                yield "call", name, whole_object(item["arguments"]), _named(item["call_id"])
            case "custom_tool_call":
                yield "call", item["name"], {"input": item["input"]}, _named(item["call_id"])


def _named(call_id: str) -> str:
    """Return an id that a backend gave; those that are made up differ."""
    return "made up" if call_id == "an-id" or call_id.startswith("call_golden") else call_id
