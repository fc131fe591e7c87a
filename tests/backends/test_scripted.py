"""The scripted backend plays what the prompt says."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.backends.base import read
from antiphon.backends.scripted import ScriptedBackend
from antiphon.core.deltas import CallStart, Finish, FinishReason, UsageReport
from antiphon.errors import BackendError, InvalidRequest

from .turns import arguments_of, read_all, text_of, thoughts_of, turn

backend = ScriptedBackend()


async def test_it_echoes() -> None:
    deltas = await read_all(await backend.open(turn("earlier", "Hello  there,\nworld!")))
    assert text_of(deltas) == "Hello  there,\nworld!"
    assert Finish(FinishReason("stop")) in deltas
    (usage,) = [delta.usage for delta in deltas if isinstance(delta, UsageReport)]
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (4, 3, 7)


async def test_it_thinks_calls_and_speaks() -> None:
    script = '/think Let me see.\nOne moment.\n/call weather {"city": "Oslo"}\n/custom patch *** Begin'
    deltas = await read_all(await backend.open(turn(script)))
    assert thoughts_of(deltas) == "Let me see."
    assert text_of(deltas) == "One moment."
    calls = [delta for delta in deltas if isinstance(delta, CallStart)]
    assert [(call.name, call.kind) for call in calls] == [("weather", "function"), ("patch", "custom")]
    assert arguments_of(deltas, calls[0].key) == '{"city": "Oslo"}'
    assert arguments_of(deltas, calls[1].key) == "*** Begin"
    assert Finish(FinishReason("tool_calls")) in deltas


async def test_after_the_outputs_of_tools_it_says_them() -> None:
    items = [
        {"type": "message", "role": "user", "content": "/call weather"},
        {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "sunny"},
        {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "warm"}]},
    ]
    deltas = await read_all(await backend.open(turn(items=items)))
    assert text_of(deltas) == "sunny\nwarm"
    assert Finish(FinishReason("stop")) in deltas


async def test_without_a_user_message_it_greets() -> None:
    assert text_of(await read_all(await backend.open(turn()))) == "Hello."


async def test_errors() -> None:
    with pytest.raises(BackendError, match="full up") as caught:
        await backend.open(turn("/error 429 full up"))
    assert caught.value.status == 429
    stream = await backend.open(turn("Some text.\n/error 502 gone"))
    assert text_of(await read(stream)) == "Some text."
    with pytest.raises(BackendError, match="gone"):
        await read(stream)
    assert await read(stream) == []


async def test_finish_and_repeat() -> None:
    deltas = await read_all(await backend.open(turn("/repeat 3 ha\n/finish length")))
    assert text_of(deltas) == "ha ha ha"
    assert Finish(FinishReason("length")) in deltas


async def test_delay_and_abort() -> None:
    stream = await backend.open(turn("/delay 60\nslow"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read(stream), 0.02)
    stream.abort()
    stream.abort()
    assert await read(stream) == []
    quick = await backend.open(turn("/delay 0.001\none two"))
    assert text_of(await read(quick)) == "one"
    assert text_of(await read_all(quick)) == " two"


async def test_models_and_tokens() -> None:
    assert [model.id for model in await backend.models()] == ["scripted"]
    assert await backend.count_tokens(turn("two words")) == 2
    with pytest.raises(InvalidRequest) as caught:
        await backend.chat_completions(b"{}")
    assert caught.value.code == "unsupported_model"
    await backend.close()
