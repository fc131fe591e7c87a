"""Backends that speak Responses themselves, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from msgspec import Raw

from antiphon.backends.base import read
from antiphon.backends.responses.backend import ResponsesBackend
from antiphon.config import BackendConfig
from antiphon.core.deltas import Relay, RelayedText
from antiphon.core.request.decoding import decode_request, decode_tools, resolve_text
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.errors import BackendError, InvalidRequest
from antiphon.types.response import Response
from tests.backends.turns import read_all, turn
from tests.net.upstream import Call, Handler, Upstream, running, until

ITEM = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}],
}
USAGE = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
EVENTS = [
    {"type": "response.created", "response": {"id": "resp_theirs"}, "sequence_number": 0},
    {"type": "response.output_item.added", "output_index": 0, "item": {**ITEM, "content": []}, "sequence_number": 1},
    {"type": "response.output_text.delta", "output_index": 0, "item_id": "msg_1", "delta": "Hi", "sequence_number": 2},
    {"type": "response.output_item.done", "output_index": 0, "item": ITEM, "sequence_number": 3},
    {
        "type": "response.completed",
        "response": {"id": "resp_theirs", "output": [ITEM], "usage": USAGE, "error": None, "incomplete_details": None},
        "sequence_number": 4,
    },
]


@asynccontextmanager
async def pair(handler: Handler) -> AsyncIterator[tuple[ResponsesBackend, Upstream]]:
    async with running(handler) as upstream:
        backend = ResponsesBackend("r", BackendConfig(url=upstream.url, key="sk-x", idle_timeout=2))
        try:
            yield backend, upstream
        finally:
            await backend.close()


async def play(call: Call) -> None:
    await call.start()
    for event in EVENTS:
        await call.event(event)
    await call.event("[DONE]")
    await call.end()


async def test_events_pass_through_and_fold_to_one_response() -> None:
    async with pair(play) as (backend, upstream):
        for _ in range(2):
            deltas = await read_all(await backend.open(turn("Hello", model="gpt")))
            await asyncio.sleep(0.02)
        assert upstream.accepted == 1
        assert [delta.type for delta in deltas if isinstance(delta, (Relay, RelayedText))] == [
            event["type"] for event in EVENTS
        ]
        machine = ResponseStream(Response(id="resp_ours", created_at=1, model="gpt"), "0" * 48)
        machine.start()
        for delta in deltas:
            machine.feed(delta)
        machine.end_turn()
        body = json.loads(machine.finish(2))
        assert body["id"] == "resp_ours"
        assert body["output"] == [ITEM]
        assert body["usage"]["total_tokens"] == 4
        assert body["status"] == "completed"


ASKED = {
    "model": "ours",
    "input": "x",
    "previous_response_id": "resp_1",
    "store": True,
    "stream": False,
    "background": False,
    "metadata": {"a": "b"},
    "include": ["reasoning.encrypted_content"],
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}},
        {"type": "web_search", "extra": 1},
    ],
    "tool_choice": "required",
    "prompt_cache_key": "k",
    "top_k": 5,
}


async def test_what_it_is_asked() -> None:
    request, extra = decode_request(msgspec.json.encode(ASKED))
    items = [
        {"type": "message", "role": "user", "content": "Hello"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ]
    asked = turn(
        items=items,
        model="gpt-theirs",
        request=request,
        instructions="Be kind.",
        tools=decode_tools(request.tools),
        tool_choice="required",
        text=resolve_text(request.text),
        reasoning_effort="low",
        max_output_tokens=9,
        extra=extra,
    )
    async with pair(play) as (backend, upstream):
        (await backend.open(asked)).abort()
        body = upstream.calls[0].json
        assert upstream.calls[0].path == "/v1/responses"
        assert upstream.calls[0].headers["authorization"] == "Bearer sk-x"
    assert (body["model"], body["store"], body["stream"]) == ("gpt-theirs", False, True)
    assert not {"previous_response_id", "background", "conversation"} & body.keys()
    assert body["input"][2] == items[2]
    assert [item["type"] for item in body["input"]] == [item["type"] for item in items]
    assert body["input"][1]["encrypted_content"] == "sealed"
    assert body["instructions"] == "Be kind."
    assert body["tools"][0]["name"] == "f"
    assert body["tools"][1] == {"type": "web_search", "extra": 1}
    assert body["tool_choice"] == "required"
    assert body["text"]["format"]["schema"] == {"type": "object"}
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert (body["metadata"], body["include"]) == ({"a": "b"}, ["reasoning.encrypted_content"])
    assert (body["prompt_cache_key"], body["top_k"], body["max_output_tokens"]) == ("k", 5, 9)


async def test_an_end_without_a_terminal_event_is_a_break() -> None:
    async def cut(call: Call) -> None:
        await call.start()
        await call.event(EVENTS[0])
        await call.end()

    async with pair(cut) as (backend, _):
        stream = await backend.open(turn("x"))
        assert len(await read(stream)) == 1
        with pytest.raises(BackendError, match="ended early"):
            await read(stream)


async def test_events_that_cannot_be_read() -> None:
    async def odd(call: Call) -> None:
        await call.start()
        await call.event("not json")
        await call.end()

    async with pair(odd) as (backend, _):
        with pytest.raises(BackendError) as caught:
            await read_all(await backend.open(turn("x")))
        assert caught.value.status == 502


async def test_a_refusal_keeps_its_words() -> None:
    async def refuse(call: Call) -> None:
        error = {"message": "Bad effort.", "type": "invalid_request_error", "param": "reasoning.effort", "code": "x"}
        await call.answer({"error": error}, status=400)

    async with pair(refuse) as (backend, _):
        with pytest.raises(BackendError, match="Bad effort") as caught:
            await backend.open(turn("x"))
        assert (caught.value.status, caught.value.param, caught.value.code) == (400, "reasoning.effort", "x")


async def test_abort_frees_the_backend() -> None:
    async def endless(call: Call) -> None:
        await call.start()
        await call.event(EVENTS[0])
        await asyncio.sleep(60)

    async with pair(endless) as (backend, upstream):
        stream = await backend.open(turn("x"))
        await read(stream)
        stream.abort()
        stream.abort()
        await until(upstream.calls[0].gone.is_set)


async def test_chat_completions_are_refused() -> None:
    async with pair(play) as (backend, _):
        with pytest.raises(InvalidRequest) as caught:
            await backend.chat_completions(b"{}")
        assert (caught.value.status, caught.value.code) == (400, "unsupported_model")
        assert await backend.count_tokens(turn("x", extra={"a": Raw(b"1")})) is None


async def test_models() -> None:
    async def listing(call: Call) -> None:
        await call.answer({"data": [{"id": "gpt", "created": 5, "owned_by": "o"}]})

    async with pair(listing) as (backend, upstream):
        (model,) = await backend.models()
        assert (model.id, model.created, model.owned_by) == ("gpt", 5, "o")
        assert (upstream.calls[0].method, upstream.calls[0].path) == ("GET", "/v1/models")


@pytest.mark.parametrize(("profile", "sent"), [("auto", True), ("transformers", False)])
async def test_a_server_that_ignores_tool_choice_none_is_offered_no_tools(profile: str, sent: bool) -> None:
    async with running(play) as upstream:
        backend = ResponsesBackend("r", BackendConfig(url=upstream.url, profile=profile))
        asked = msgspec.structs.replace(
            turn("Hello", model="gpt"),
            tools=decode_tools([Raw(b'{"type":"function","name":"look"}')]),
            tool_choice="none",
        )
        await read_all(await backend.open(asked))
        assert ("tools" in upstream.calls[0].json) is ("tool_choice" in upstream.calls[0].json) is sent
        await backend.close()
