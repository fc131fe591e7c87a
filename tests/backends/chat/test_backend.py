"""Chat completions backends over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from antiphon.backends.base import read
from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.routing.registry import Registry
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.deltas import Finish, FinishReason, UsageReport
from antiphon.errors import BackendError, ConfigError
from tests.backends.turns import read_all, text_of, turn
from tests.net.upstream import Call, Handler, Upstream, running, until

USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def whole(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "choices": [choice], "usage": USAGE}


@asynccontextmanager
async def pair(handler: Handler, **settings: Any) -> AsyncIterator[tuple[ChatBackend, Upstream]]:
    async with running(handler) as upstream:
        config = BackendConfig(
            url=upstream.url, key="sk-x", **({"idle_timeout": 2, "first_token_timeout": 2} | settings)
        )
        backend = ChatBackend("c", config)
        try:
            yield backend, upstream
        finally:
            await backend.close()
            await until(lambda: not upstream.open)


async def play(call: Call) -> None:
    if not call.json.get("stream"):
        await call.answer(whole("Hello world"))
        return
    await call.start()
    for text in ("Hello", " world"):
        await call.event(chunk(text))
    await call.event(chunk(finish="stop"))
    await call.event({"id": "c", "choices": [], "usage": USAGE})
    await call.event("[DONE]")
    await call.end()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_streamed_and_not(stream: bool) -> None:
    async with pair(play, headers={"X-Team": "a"}) as (backend, upstream):
        for _ in range(3):
            deltas = await read_all(await backend.open(turn("Hi", model="org/m", stream=stream)))
            assert text_of(deltas) == "Hello world"
            assert Finish(FinishReason("stop")) in deltas
            assert any(isinstance(delta, UsageReport) and delta.usage.total_tokens == 9 for delta in deltas)
            await asyncio.sleep(0.02)
        call = upstream.calls[0]
        assert (call.method, call.path) == ("POST", "/v1/chat/completions")
        assert call.headers["authorization"] == "Bearer sk-x"
        assert call.headers["x-team"] == "a"
        assert call.json["model"] == "org/m"
        assert bool(call.json.get("stream")) is stream
        assert upstream.accepted == 1


async def test_what_came_counts_not_what_was_asked_for() -> None:
    async def contrary(call: Call) -> None:
        if call.json.get("stream"):
            await call.answer(whole("whole"))
        else:
            await call.start()
            await call.event(chunk("streamed", "stop"))
            await call.event("[DONE]")
            await call.end()

    async with pair(contrary) as (backend, _):
        assert text_of(await read_all(await backend.open(turn("x", stream=True)))) == "whole"
        assert text_of(await read_all(await backend.open(turn("x", stream=False)))) == "streamed"


async def test_deltas_come_as_they_arrive() -> None:
    go_on = asyncio.Event()

    async def slowly(call: Call) -> None:
        await call.start()
        await call.event(chunk("one"))
        await go_on.wait()
        await call.event(chunk("two", "stop"))
        await call.end()

    async with pair(slowly) as (backend, _):
        stream = await backend.open(turn("x"))
        assert text_of(await read(stream)) == "one"
        go_on.set()
        assert text_of(await read_all(stream)) == "two"


async def test_a_stream_may_end_without_done_after_a_finish_reason() -> None:
    async def no_done(call: Call) -> None:
        await call.start()
        await call.event(chunk("x", "length"))
        await call.end()

    async with pair(no_done) as (backend, _):
        assert Finish(FinishReason("length")) in await read_all(await backend.open(turn("x")))


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_stream_that_ends_too_early_is_a_break(chunked: bool) -> None:
    async def cut(call: Call) -> None:
        await call.start()
        await call.event(chunk("part"))
        if chunked:
            await call.end()
        else:
            call.hang_up()

    async with pair(cut) as (backend, _):
        stream = await backend.open(turn("x"))
        assert text_of(await read(stream)) == "part"
        with pytest.raises(BackendError, match="ended early") as caught:
            await read_all(stream)
        assert (caught.value.status, caught.value.code) == (502, "backend_error")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_body_that_is_not_json(stream: bool) -> None:
    async def nonsense(call: Call) -> None:
        await call.answer(b"<html>", type="text/event-stream" if stream else "application/json")

    async def events(call: Call) -> None:
        await call.start()
        await call.event("{broken")
        await call.end()

    async with pair(events if stream else nonsense) as (backend, _):
        with pytest.raises(BackendError) as caught:
            await read_all(await backend.open(turn("x", stream=stream)))
        assert caught.value.status == 502


async def test_an_error_in_the_stream_keeps_its_words() -> None:
    async def fails(call: Call) -> None:
        await call.start()
        await call.event({"error": {"message": "Out of memory.", "code": 500}})
        await call.end()

    async with pair(fails) as (backend, _):
        with pytest.raises(BackendError, match="Out of memory"):
            await read_all(await backend.open(turn("x")))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "ours", "code"),
    [
        (400, 400, "invalid_value"),
        (401, 502, "backend_error"),
        (429, 429, "rate_limit_exceeded"),
        (500, 502, "backend_error"),
    ],
)
async def test_refusals(stream: bool, status: int, ours: int, code: str) -> None:
    async def refuse(call: Call) -> None:
        await call.answer({"error": {"message": "Because."}}, status=status, headers={"retry-after": "3"})

    async with pair(refuse) as (backend, upstream):
        for _ in range(2):
            with pytest.raises(BackendError) as caught:
                await backend.open(turn("x", stream=stream))
            assert (caught.value.status, caught.value.code) == (ours, code)
            assert str(upstream.port) not in caught.value.message
        assert upstream.accepted == 1
        if status == 429:
            assert caught.value.headers["Retry-After"] == "3"
        if status != 401:
            assert caught.value.message == "Because."


async def test_abort_while_reading_and_while_waiting() -> None:
    async def endless(call: Call) -> None:
        if len(upstream.calls) == 1:
            await call.start()
            await call.event(chunk("x"))
        await asyncio.sleep(60)

    async with pair(endless) as (backend, upstream):
        stream = await backend.open(turn("x"))
        await read(stream)
        reading = asyncio.ensure_future(read(stream))
        await asyncio.sleep(0.02)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        stream.abort()
        stream.abort()
        await until(upstream.calls[0].gone.is_set)
        opening = asyncio.ensure_future(backend.open(turn("x")))
        await until(lambda: len(upstream.calls) == 2)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await until(upstream.calls[1].gone.is_set)


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with running(play, socket=path):
        backend = ChatBackend("c", BackendConfig(url="http://localhost/v1"), socket=path)
        assert text_of(await read_all(await backend.open(turn("x")))) == "Hello world"
        await backend.close()


def test_an_unknown_profile() -> None:
    with pytest.raises(ConfigError, match="nonesuch"):
        ChatBackend("c", BackendConfig(url="http://h/v1", profile="nonesuch"))


# Models, tokens, relay


async def test_models_tell_windows_and_the_kind_of_server() -> None:
    listing = {
        "object": "list",
        "data": [
            {"id": "a", "created": 5, "owned_by": "vllm", "max_model_len": 1000},
            {"id": "b", "meta": {"n_ctx_train": 2000, "n_ctx": 1500}},
            {"id": "c", "context_length": 3000, "architecture": {"input_modalities": ["text"]}, "created": None},
            {"id": "d", "max_model_len": "odd", "created": "yesterday"},
            {"name": "no id"},
        ],
    }

    async def answer(call: Call) -> None:
        await call.answer(listing)

    async with pair(answer) as (backend, upstream):
        models = await backend.models()
        assert [(model.id, model.context_length) for model in models] == [
            ("a", 1000),
            ("b", 1500),
            ("c", 3000),
            ("d", None),
        ]
        assert [model.capabilities.images for model in models] == [True, True, False, True]
        assert backend.profile.name == "vllm"
        assert upstream.calls[0].path == "/v1/models"


@pytest.mark.parametrize("body", [b"<html>", b'{"models": []}', b'"x"'])
async def test_a_list_of_models_that_cannot_be_read(body: bytes) -> None:
    async def answer(call: Call) -> None:
        await call.answer(body)

    async with pair(answer) as (backend, _):
        with pytest.raises(BackendError) as caught:
            await backend.models()
        assert caught.value.status == 502


async def test_tokens_are_counted_by_vllm() -> None:
    async def tokenize(call: Call) -> None:
        await call.answer({"count": 12, "max_model_len": 100, "tokens": []})

    async with pair(tokenize, profile="vllm") as (backend, upstream):
        assert await backend.count_tokens(turn("Hi", model="m")) == 12
        call = upstream.calls[0]
        assert call.path == "/tokenize"
        assert call.json["messages"][-1]["role"] == "user"
        assert "stream" not in call.json


async def test_tokens_are_counted_by_llama_cpp() -> None:
    async def tokenize(call: Call) -> None:
        if call.path == "/apply-template":
            await call.answer({"prompt": "<user>Hi"})
        else:
            await call.answer({"tokens": [1, 2, 3]})

    async with pair(tokenize, profile="llama_cpp") as (backend, upstream):
        assert await backend.count_tokens(turn("Hi", model="m")) == 3
        assert [call.path for call in upstream.calls] == ["/apply-template", "/tokenize"]
        assert upstream.calls[1].json["content"] == "<user>Hi"


async def test_other_servers_do_not_count_tokens() -> None:
    async with pair(play) as (backend, upstream):
        assert await backend.count_tokens(turn("Hi")) is None
        assert not upstream.calls


async def test_a_relayed_request_passes_untouched() -> None:
    body = b'{ "model": "m",  "messages": [], "stream": true }'
    async with pair(play) as (backend, upstream):
        relay = await backend.chat_completions(body)
        assert relay.status == 200
        assert (b"content-type", b"text/event-stream") in list(relay.headers)
        data = b""
        while piece := await relay.read():
            data += piece
        relay.abort()
        assert upstream.calls[0].body == body
        assert data.startswith(b'data: {"id": "c"')
        assert data.endswith(b"data: [DONE]\n\n")


async def test_a_relayed_request_that_is_refused() -> None:
    async def refuse(call: Call) -> None:
        await call.answer({"error": {"message": "No.", "param": "messages[0]"}}, status=400)

    async with pair(refuse) as (backend, _):
        with pytest.raises(BackendError, match=r"No\.") as caught:
            await backend.chat_completions(b"{}")
        assert caught.value.param == "messages[0]"


# With the registry


async def test_a_dead_endpoint_is_passed_over_for_a_living_one() -> None:
    async with running(play) as living, running(play) as dead:
        dead_url = dead.url
    async with running(play) as living:
        backends = {
            "dead": ChatBackend("dead", BackendConfig(url=dead_url)),
            "living": ChatBackend("living", BackendConfig(url=living.url)),
        }
        models = {"m": ModelConfig(backends=["dead", "living"], name="own", temperature=0.5)}
        registry = Registry(models, dict(backends), discover=frozenset())
        route = registry.resolve("m")
        for _ in range(4):
            assert text_of(await read_all(await route.open(turn("x", model="m")))) == "Hello world"
        assert [(health.name, health.up, health.outstanding) for health in registry.health()] == [
            ("dead", False, 0),
            ("living", True, 0),
        ]
        relay = await route.chat_completions({"model": Raw(b'"m"'), "messages": Raw(b"[]")})
        while await relay.read():
            pass
        assert json.loads(living.calls[-1].body) == {"temperature": 0.5, "model": "own", "messages": []}
        assert all(health.outstanding == 0 for health in registry.health())
        await registry.close()


async def test_an_empty_stream_is_asked_for_once_more_without_one() -> None:
    words = "This model's maximum context length is 2048 tokens."

    async def handle(call: Call) -> None:
        if call.json.get("stream"):
            await call.start()
            await call.end()
        else:
            await call.answer({"error": {"message": words, "code": "context_length_exceeded"}}, 400)

    async with pair(handle) as (backend, upstream):
        with pytest.raises(BackendError) as caught:
            await read_all(await backend.open(turn(stream=True)))
        assert (caught.value.code, caught.value.message) == ("context_length_exceeded", words)
        assert [bool(call.json.get("stream")) for call in upstream.calls] == [True, False]


async def test_what_is_empty_both_ways_fails_and_is_not_asked_for_for_ever() -> None:
    async def handle(call: Call) -> None:
        await call.start()
        await call.end()

    async with pair(handle) as (backend, upstream):
        with pytest.raises(BackendError, match="has no message"):
            await read_all(await backend.open(turn(stream=True)))
        assert len(upstream.calls) == 2
