"""`/v1/chat/completions`: a relay between a real client and a real upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import openai
import pytest

from antiphon.backends.chat import ChatBackend
from antiphon.backends.registry import Registry
from antiphon.config import BackendConfig, ModelConfig
from antiphon.server.asgi import AntiphonApp
from antiphon.server.auth import authenticator, callers
from antiphon.server.chat_completions import ChatCompletions
from antiphon.server.router import Router
from tests.backends.upstream import Call
from tests.backends.upstream import running as upstream
from tests.server.serving import serving

Handler = Callable[[Call], Awaitable[None]]

MODELS = {
    "nova": ModelConfig(backends=["one"], name="acme/nova-60b", temperature=0.3, aliases=["gpt-nova"]),
    "embedder": ModelConfig(backends=["one"], chat_completions=False),
}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "acme/nova-60b",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi!", "odd": [1]}}],
}


@asynccontextmanager
async def relay(handler: Handler) -> AsyncIterator[tuple[httpx2.AsyncClient, list[Call]]]:
    """Put a client, the relay and an upstream in a row."""
    async with upstream(handler) as backend:
        chat = ChatBackend("one", BackendConfig(url=backend.url, key="sk-upstream", discover=False), MODELS)
        registry = Registry(MODELS, {"one": chat}, discover=set())
        router = Router()
        router.add("POST", "/chat/completions", ChatCompletions(registry).create)

        @asynccontextmanager
        async def lifespan() -> AsyncIterator[None]:
            yield
            await registry.close()

        app = AntiphonApp(router, authenticator(callers(["k"])), lifespan=lifespan)
        with serving(app) as served:
            async with httpx2.AsyncClient(
                base_url=f"{served.url}/v1", headers={"x-api-key": "k"}, timeout=10
            ) as client:
                yield client, backend.calls


def body(**fields) -> dict[str, object]:
    return {"model": "nova", "messages": [{"role": "user", "content": "hi"}], **fields}


async def answer(call: Call) -> None:
    await call.answer(ANSWER)


async def test_relays_the_answer_untouched_and_the_request_nearly_so():
    async with relay(answer) as (client, calls):
        got = await client.post("/chat/completions", json=body(seed=7, odd={"x": [None]}))
        assert got.status_code == 200 and got.json() == ANSWER
        assert got.headers["x-request-id"].startswith("req_")
    assert calls[0].json == body(model="acme/nova-60b", temperature=0.3, seed=7, odd={"x": [None]})


async def test_the_clients_fields_win_over_defaults_and_aliases_resolve():
    async with relay(answer) as (client, calls):
        await client.post("/chat/completions", json=body(model="gpt-nova", temperature=1))
    assert (calls[0].json["model"], calls[0].json["temperature"]) == ("acme/nova-60b", 1)


PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\r\n\r\n: odd comment\n'


async def stream(call: Call) -> None:
    await call.start()
    for number in range(3):
        await call.chunk(PIECE % number)
        await asyncio.sleep(0.01)
    await call.chunk(b"data: [DONE]\n\n")
    await call.end()


async def test_relays_a_stream_byte_for_byte():
    async with relay(stream) as (client, _):
        got = await client.post("/chat/completions", json=body(stream=True))
    assert got.headers["content-type"] == "text/event-stream"
    pieces = [PIECE % number for number in range(3)]
    assert got.content == b"".join(pieces) + b"data: [DONE]\n\n"


async def test_the_official_client_streams():
    async with relay(stream) as (client, _):
        official = openai.AsyncOpenAI(base_url=str(client.base_url), api_key="k", max_retries=0)
        chunks = await official.chat.completions.create(
            model="nova", messages=[{"role": "user", "content": "x"}], stream=True
        )
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in chunks]) == "012"
        await official.close()


REFUSED = [
    (body(model="nobody"), "model", "model_not_found"),
    (body(model="embedder"), "model", "unsupported_model"),
    ({"messages": []}, "model", "missing_required_parameter"),
    ({"model": "nova"}, "messages", "missing_required_parameter"),
    (body(messages="hi"), "messages", "invalid_type"),
    (body(stream="yes"), "stream", "invalid_type"),
    ([], "", "invalid_type"),
]


@pytest.mark.parametrize(("request_body", "param", "code"), REFUSED)
async def test_what_every_backend_would_refuse_is_a_400(request_body, param, code):
    async with relay(answer) as (client, calls):
        got = await client.post("/chat/completions", json=request_body)
    error = got.json()["error"]
    assert (got.status_code, error["param"], error["code"]) == (400, param, code) and not calls


async def test_malformed_json_is_a_400():
    async with relay(answer) as (client, _):
        got = await client.post("/chat/completions", content=b"{")
    assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_json")


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_backends_refusal_comes_in_our_shape(streamed):
    async def refuse(call: Call) -> None:
        await call.answer({"error": {"message": "seed is too large", "type": "invalid_request_error"}}, 400)

    async with relay(refuse) as (client, _):
        got = await client.post("/chat/completions", json=body(stream=streamed))
    assert got.status_code == 400 and got.json()["error"]["message"] == got.json()["detail"]
    assert "seed is too large" in got.json()["detail"] and "sk-upstream" not in got.text


async def test_a_backend_that_breaks_off_before_the_end_is_told():
    async def break_off(call: Call) -> None:
        await call.start()
        await call.event({"choices": []})
        call.hang_up()

    async with relay(break_off) as (client, _):
        got = await client.post("/chat/completions", json=body(stream=True))
    last, done = got.text.strip().split("\n\n")[-2:]
    assert '"error"' in last and "backend_error" in last and done == "data: [DONE]"
    assert "127.0.0.1" not in got.text


@pytest.mark.parametrize("streamed", [True, False])
async def test_the_backend_is_let_go_when_the_client_leaves(streamed):
    arrived, calls = asyncio.Event(), []

    async def hang(call: Call) -> None:
        calls.append(call)
        if streamed:
            await call.start()
            await call.event({"choices": []})
        arrived.set()
        await asyncio.sleep(30)

    async with relay(hang) as (client, _):
        request = asyncio.create_task(client.post("/chat/completions", json=body(stream=streamed)))
        await arrived.wait()
        request.cancel()
        await asyncio.wait_for(calls[0].gone.wait(), 5)
