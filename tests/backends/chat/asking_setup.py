"""A chat backend that refuses, and what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from antiphon.backends.chat.backend import ChatBackend
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.turn import Turn
from tests.backends.turns import read_all
from tests.net.upstream import Call, Upstream, running, until

Json = dict[str, Any]
Refusal = tuple[int, str]
Strict = Callable[[Json], "Refusal | Json"]
"""What a server says to a body: why it refuses, or the message of its answer."""


def message(text: str | None = "Hi.", **fields: Any) -> Json:
    return {"role": "assistant", "content": text, **fields}


def called(text: str | None = None) -> Json:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    return message(text, tool_calls=[call])


async def answered(call: Call, said: Refusal | Json, in_stream: bool) -> None:
    streamed = bool(call.json.get("stream"))
    if isinstance(said, tuple):
        status, words = said
        error = {"error": {"message": words, "code": status}}
        if not in_stream:
            await call.answer(error, status)
        elif streamed:
            await call.start()
            await call.event({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
            await call.event(error)
            await call.end()
        else:
            await call.answer(error)
        return
    if not streamed:
        await call.answer({"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]})
        return
    await call.start()
    await call.event({"choices": [{"index": 0, "delta": said}]})
    await call.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    await call.event("[DONE]")
    await call.end()


@asynccontextmanager
async def backend(
    strict: Strict, model: ModelConfig | None = None, *, in_stream: bool = False, learn: bool = True, **settings: Any
) -> AsyncIterator[tuple[ChatBackend, Upstream]]:
    async def handle(call: Call) -> None:
        if call.path.endswith("/models"):
            await call.answer({"data": [{"id": "m"}]})
        else:
            await answered(call, strict(call.json), in_stream)

    async with running(handle) as upstream:
        config = BackendConfig(url=upstream.url, **settings)
        one = ChatBackend("c", config, {"m": model} if model else None, learn=learn)
        try:
            yield one, upstream
        finally:
            await one.close()
            await until(lambda: not upstream.open)


async def heard(one: ChatBackend, turn: Turn) -> tuple[list[Any], list[str]]:
    stream = await one.open(turn)
    deltas = await read_all(stream)
    return deltas, list(stream.ignored)


def refuses(words: str, when: Callable[[Json], bool], answer: Json | None = None, status: int = 400) -> Strict:
    return lambda body: (status, words) if when(body) else (answer or message())
