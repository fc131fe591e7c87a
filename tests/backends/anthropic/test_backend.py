"""A backend that speaks the Messages API, over a real socket."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec import Raw

from antiphon.backends.anthropic.backend import AnthropicBackend
from antiphon.backends.base import read
from antiphon.backends.open import made_of
from antiphon.config import BackendConfig, Config, ModelConfig
from antiphon.core.deltas import CallStart, Finish, FinishReason, TextDelta
from antiphon.core.request.tool_decoding import decode_tool
from antiphon.errors import BackendError
from tests.backends.anthropic.backend_setup import HELLO, TOOL, Json, pair, play
from tests.backends.anthropic.streams import block, call, message, sse, text, thoughts, whole
from tests.backends.turns import read_all, text_of, thoughts_of, turn
from tests.net.upstream import Call, running

# Reaching it


@pytest.mark.parametrize("path", ["", "/v1", "/v1/", "/v1/messages", "/messages"])
@pytest.mark.parametrize("root", ["", "/anthropic"])
async def test_a_url_with_or_without_its_version(root: str, path: str) -> None:
    async with running(play) as upstream:
        url = f"http://127.0.0.1:{upstream.port}{root}{path}"
        backend = AnthropicBackend("a", BackendConfig(url=url, api="anthropic"))
        assert text_of(await read_all(await backend.open(turn("a")))) == "Hello"
        await backend.close()
        assert [call.path for call in upstream.calls] == [f"{root}/v1/messages"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"x-api-key": "sk-x", "anthropic-version": "2023-06-01"}),
        ({"key_header": "authorization"}, {"authorization": "Bearer sk-x", "anthropic-version": "2023-06-01"}),
        (
            {"key": "", "anthropic_version": "2026-10-21", "anthropic_beta": ["a-1", "b-2"]},
            {"anthropic-version": "2026-10-21", "anthropic-beta": "a-1,b-2"},
        ),
    ],
)
async def test_headers(fields: Json, expected: Json) -> None:
    async with pair(play, api="anthropic", **fields) as (backend, upstream):
        await read_all(await backend.open(turn("a")))
        headers = upstream.calls[0].headers
        names = ("x-api-key", "authorization", "anthropic-version", "anthropic-beta")
        assert {name: headers[name] for name in names if name in headers} == expected


# Answers


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
async def test_an_answer_in_pieces_of_any_size(size: int) -> None:
    body = sse(
        message(
            thoughts(0, "Hm"), text(1, "Gr\u00fc\u00dfe", "!"), call(2, "t1", "f", '{"a":', "1}"), reason="tool_use"
        )
    )

    async def handle(call: Call) -> None:
        await call.start()
        for begin in range(0, len(body), size):
            await call.chunk(body[begin : begin + size])
        await call.end()

    async with pair(handle) as (backend, upstream):
        for _ in range(2):
            deltas = await read_all(await backend.open(turn("a", tools=[TOOL])))
            assert (thoughts_of(deltas), text_of(deltas)) == ("Hm", "Gr\u00fc\u00dfe!")
            assert deltas[-1] == Finish(FinishReason.TOOL_CALLS)
        assert upstream.accepted == 1


async def test_an_answer_that_comes_whole() -> None:
    async def handle(call: Call) -> None:
        await call.answer(whole(message(thoughts(0, "Hm"), text(1, "Hello"))))

    async with pair(handle) as (backend, _):
        deltas = await read_all(await backend.open(turn("a")))
        assert (thoughts_of(deltas), text_of(deltas)) == ("Hm", "Hello")


async def test_what_is_said_comes_before_the_answer_has_ended() -> None:
    more = asyncio.Event()

    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(HELLO[:3]))
        await more.wait()
        await call.chunk(sse(HELLO[3:]))
        await call.end()

    async with pair(handle) as (backend, _):
        stream = await backend.open(turn("a"))
        first = await read(stream)
        assert text_of(first) == "Hel"
        more.set()
        assert text_of(await read_all(stream)) == "lo"


@pytest.mark.slow
async def test_pings_are_signs_of_life_and_comments_are_none() -> None:
    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(HELLO[:3]))
        for _ in range(6):
            await asyncio.sleep(0.15)
            await call.chunk(b": comment\n\n" if call.json["model"] == "comments" else sse([{"type": "ping"}]))
        await call.chunk(sse(HELLO[3:]))
        await call.end()

    async with pair(handle, idle_timeout=0.5) as (backend, _):
        assert text_of(await read_all(await backend.open(turn("a", model="pings")))) == "Hello"
        with pytest.raises(BackendError, match="in time"):
            await read_all(await backend.open(turn("a", model="comments")))


@pytest.mark.parametrize("cut", range(1, len(HELLO)))
@pytest.mark.parametrize("politely", [True, False])
async def test_a_stream_that_breaks_off(cut: int, politely: bool) -> None:
    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(HELLO[:cut]))
        await (call.end() if politely else call.raw(b""))
        if not politely:
            call.hang_up()

    async with pair(handle) as (backend, _):
        stream = await backend.open(turn("a"))
        with pytest.raises(BackendError, match="ended early") as raised:
            await read_all(stream)
        assert raised.value.status == 502
        assert raised.value.retriable


async def test_a_page_in_the_place_of_a_stream() -> None:
    async def handle(call: Call) -> None:
        await call.answer(b"<html><title>Gateway</title></html>", type="text/html")

    async with pair(handle) as (backend, _):
        with pytest.raises(BackendError, match="Gateway"):
            await read_all(await backend.open(turn("a")))


async def test_an_answer_that_pauses_is_asked_for_the_rest() -> None:
    searched = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}

    async def handle(call: Call) -> None:
        await call.start()
        if len(call.json["messages"]) == 1:
            await call.chunk(sse(message(text(0, "See. "), block(1, searched), reason="pause_turn")))
        else:
            await call.chunk(sse(message(text(0, "It is."))))
        await call.end()

    async with pair(handle) as (backend, upstream):
        deltas = await read_all(await backend.open(turn("a")))
        assert text_of(deltas) == "See. It is."
        assert deltas[-1] == Finish(FinishReason.STOP)
        assert upstream.calls[1].json["messages"][1] == {
            "role": "assistant",
            "content": [{"type": "text", "text": "See. "}, searched],
        }


async def test_an_answer_that_always_pauses_ends() -> None:
    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(message(text(0, "x"), reason="pause_turn")))
        await call.end()

    async with pair(handle) as (backend, upstream):
        deltas = await read_all(await backend.open(turn("a")))
        assert (text_of(deltas), deltas[-1]) == ("x" * 11, Finish(FinishReason.LENGTH))
        assert len(upstream.calls) == 11


async def test_a_forced_call_that_does_not_come_is_told() -> None:
    async with pair(play) as (backend, _):
        stream = await backend.open(turn("a", tools=[TOOL], tool_choice="required"))
        deltas = await read_all(stream)
        assert text_of(deltas) and deltas[-1] == Finish(FinishReason.STOP)
        assert "tool_choice" in getattr(stream, "ignored", ())


async def test_ids_of_calls_are_not_those_of_the_history() -> None:
    async def handle(call_: Call) -> None:
        await call_.start()
        await call_.chunk(sse(message(call(0, "t1", "f", "{}"), reason="tool_use")))
        await call_.end()

    items = [
        {"type": "message", "role": "user", "content": "a"},
        {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t1", "output": "x"},
    ]
    async with pair(handle) as (backend, _):
        deltas = await read_all(await backend.open(turn(items=items, tools=[TOOL])))
        (started,) = [delta for delta in deltas if isinstance(delta, CallStart)]
        assert started.call_id != "t1"


async def test_letting_go_closes_the_connection() -> None:
    async def handle(call: Call) -> None:
        await call.start()
        await call.chunk(sse(HELLO[:3]))
        await call.gone.wait()

    async with pair(handle) as (backend, upstream):
        stream = await backend.open(turn("a"))
        assert isinstance((await read(stream))[-1], TextDelta)
        stream.abort()
        stream.abort()
        async with asyncio.timeout(5):
            await upstream.calls[0].gone.wait()


# Refusals

REFUSALS = [
    (529, "overloaded_error", "Overloaded", 503, "backend_unavailable", True),
    (429, "rate_limit_error", "This would exceed your rate limit", 429, "rate_limit_exceeded", True),
    (500, "api_error", "Internal server error", 502, "backend_error", True),
    (401, "authentication_error", "invalid x-api-key", 502, "backend_error", True),
    (403, "permission_error", "Not for you", 502, "backend_error", True),
    (404, "not_found_error", "model: claude-x", 400, "model_not_found", False),
    (413, "request_too_large", "Request exceeds the maximum size", 413, "invalid_value", False),
    (400, "invalid_request_error", "messages.0.content.1: bad", 400, "invalid_value", False),
    (
        400,
        "invalid_request_error",
        "prompt is too long: 41234 tokens > 32768 maximum",
        400,
        "context_length_exceeded",
        False,
    ),
]


@pytest.mark.parametrize(("status", "type", "words", "told", "code", "retriable"), REFUSALS, ids=range(len(REFUSALS)))
async def test_a_refusal(status: int, type: str, words: str, told: int, code: str, retriable: bool) -> None:
    async def handle(call: Call) -> None:
        error = {"type": "error", "error": {"type": type, "message": words}, "request_id": "req_1"}
        await call.answer(error, status, {"retry-after": "7", "request-id": "req_1"})

    async with pair(handle) as (backend, _):
        with pytest.raises(BackendError) as raised:
            await backend.open(turn("a"))
        error = raised.value
        assert (error.status, error.code, error.retriable) == (told, code, retriable)
        if told in (429, 503):
            assert error.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("fields", "same"),
    [({"thinking": "budget"}, False), ({"drop": ["metadata"]}, False), ({"temperature": 0.5}, True), ({}, True)],
)
def test_a_reload_keeps_a_backend_whose_models_are_asked_as_before(fields: Json, same: bool) -> None:
    backends = {"a": BackendConfig(url="https://api.anthropic.com", api="anthropic")}
    before = Config(backends=backends, models={"m": ModelConfig(backends=["a"])})
    after = Config(backends=backends, models={"m": ModelConfig(backends=["a"], **fields)})
    assert (made_of("a", before) == made_of("a", after)) is same


async def test_large_tools_are_asked_for_all_the_same() -> None:
    schema = json.dumps(
        {"type": "object", "properties": {f"p{n}": {"type": "string", "minLength": n} for n in range(2000)}}
    )
    large = decode_tool(Raw(b'{"type":"function","name":"f","strict":true,"parameters":%b}' % schema.encode()))
    async with pair(play) as (backend, upstream):
        assert text_of(await read_all(await backend.open(turn("a", tools=[large])))) == "Hello"
        (sent,) = upstream.calls[0].json["tools"]
        assert len(sent["input_schema"]["properties"]) == 2000
        assert "minLength" not in json.dumps(sent)
