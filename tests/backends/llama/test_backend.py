"""The embedded engine with the real llama.cpp and the demo model: its answers, and its process."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.backends.base import read
from antiphon.backends.llama.model import DEMO_FILE
from antiphon.core.deltas import CallStart, Delta, Finish, TextDelta
from antiphon.core.request.decoding import decode_tools, resolve_text
from antiphon.errors import BackendError
from antiphon.types.request import CreateResponse, TextConfig
from antiphon.types.tools import ToolChoice
from tests.backends.llama.engine_setup import ENDLESS, Sockets, ask, engine, greedy, usage_of
from tests.backends.turns import arguments_of, text_of, thoughts_of

from .hub_server import hub

pytestmark = pytest.mark.slow

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["location", "unit"],
        "additionalProperties": False,
    },
}
REFUND = {
    "type": "function",
    "name": "refund_ticket",
    "description": "Refund a ticket",
    "parameters": {
        "type": "object",
        "properties": {"ticket_id": {"type": "integer"}},
        "required": ["ticket_id"],
        "additionalProperties": False,
    },
}
ASK_WEATHER = "What is the weather in Paris in celsius?"


def finish_of(deltas: list[Delta]) -> str:
    return next(delta.reason for delta in deltas if isinstance(delta, Finish))


def calls_of(deltas: list[Delta]) -> list[tuple[str, Any]]:
    starts = [delta for delta in deltas if isinstance(delta, CallStart)]
    return [(start.name, json.loads(arguments_of(deltas, start.key))) for start in starts]


def tools(*declared: dict[str, Any]) -> Any:
    return decode_tools([msgspec.Raw(msgspec.json.encode(tool)) for tool in declared])


# Answers


async def test_text_streamed_and_not_is_the_same() -> None:
    async with engine() as backend:
        streamed = await ask(backend, "Say hello in five words.")
        whole = await ask(backend, "Say hello in five words.", stream=False)
    assert text_of(streamed) == text_of(whole) != ""
    assert sum(isinstance(delta, TextDelta) for delta in streamed) > 1
    assert finish_of(streamed) == finish_of(whole) == "stop"
    assert usage_of(streamed).input_tokens == usage_of(whole).input_tokens > 5
    assert usage_of(streamed).output_tokens == usage_of(whole).output_tokens > 2


async def test_a_stop_for_length() -> None:
    async with engine() as backend:
        deltas = await ask(backend, "Count from 1 to 100.", max_output_tokens=5, extra=ENDLESS)
    assert finish_of(deltas) == "length"
    assert usage_of(deltas).output_tokens == 5


@pytest.mark.parametrize("stream", [True, False])
async def test_a_tool_call_of_the_model_s_own_accord(stream: bool) -> None:
    async with engine() as backend:
        deltas = await ask(backend, ASK_WEATHER, tools=tools(WEATHER, REFUND), stream=stream)
    assert calls_of(deltas) == [("get_weather", {"location": "Paris", "unit": "celsius"})]
    assert finish_of(deltas) == "tool_calls"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_required_call(stream: bool) -> None:
    async with engine() as backend:
        deltas = await ask(backend, "Hello", tools=tools(WEATHER, REFUND), tool_choice="required", stream=stream)
    ((name, arguments),) = calls_of(deltas)
    assert set(arguments) == ({"location", "unit"} if name == "get_weather" else {"ticket_id"})
    assert text_of(deltas) == ""


@pytest.mark.parametrize("stream", [True, False])
async def test_a_named_call(stream: bool) -> None:
    choice = ToolChoice(type="function", name="refund_ticket")
    async with engine() as backend:
        deltas = await ask(backend, ASK_WEATHER, tools=tools(WEATHER, REFUND), tool_choice=choice, stream=stream)
    ((name, arguments),) = calls_of(deltas)
    assert name == "refund_ticket" and isinstance(arguments["ticket_id"], int)
    assert text_of(deltas) == ""


async def test_no_call_where_none_is_allowed() -> None:
    async with engine() as backend:
        deltas = await ask(backend, ASK_WEATHER, tools=tools(WEATHER), tool_choice="none")
    assert calls_of(deltas) == []


async def test_one_call_at_a_time() -> None:
    both = "What is the weather in Paris and Rome in celsius?"
    async with engine() as backend:
        deltas = await ask(backend, both, tools=tools(WEATHER), parallel_tool_calls=False)
    assert len(calls_of(deltas)) == 1


async def test_an_answer_from_a_tool_s_result() -> None:
    items = [
        {"type": "message", "role": "user", "content": ASK_WEATHER},
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"location":"Paris"}'},
        {"type": "function_call_output", "call_id": "c1", "output": '{"temperature": 18, "condition": "sunny"}'},
    ]
    async with engine() as backend:
        deltas = await ask(backend, items=items, tools=tools(WEATHER))
    assert text_of(deltas) and calls_of(deltas) == []


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_keeps_to_a_schema(stream: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "kind": {"enum": ["good", "bad"]}},
        "required": ["name", "kind"],
        "additionalProperties": False,
    }
    form = {"format": {"type": "json_schema", "name": "event", "strict": True, "schema": schema}}
    async with engine() as backend:
        deltas = await ask(backend, "Tell me a story.", text=resolved(form), stream=stream)
    answer = json.loads(text_of(deltas))
    assert set(answer) == {"name", "kind"} and answer["kind"] in ("good", "bad")


def resolved(text: object) -> Any:
    return resolve_text(msgspec.json.decode(msgspec.json.encode(text), type=TextConfig))


async def test_thoughts_when_they_are_asked_for() -> None:
    async with engine() as backend:
        without = await ask(backend, "What is 17 + 25?")
        deltas = await ask(backend, "What is 17 + 25?", reasoning_effort="low")
        whole = await ask(backend, "What is 17 + 25?", reasoning_effort="low", stream=False)
    assert thoughts_of(without) == ""
    assert thoughts_of(deltas) and text_of(deltas)
    assert "<think>" not in text_of(deltas) + thoughts_of(deltas)
    assert (thoughts_of(whole), text_of(whole)) == (thoughts_of(deltas), text_of(deltas))
    usage = usage_of(deltas)
    assert 0 < usage.output_tokens_details.reasoning_tokens < usage.output_tokens


async def test_thoughts_and_a_schema_together() -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    form = {"format": {"type": "json_schema", "name": "sum", "schema": schema}}
    async with engine() as backend:
        deltas = await ask(backend, "What is 17 + 25?", reasoning_effort="low", text=resolved(form))
    assert isinstance(json.loads(text_of(deltas))["sum"], int)


async def test_tools_and_a_schema_together() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string", "maxLength": 9}}, "required": ["answer"]}
    form = {"format": {"type": "json_schema", "name": "answer", "schema": schema}}
    async with engine() as backend:
        deltas = await ask(backend, ASK_WEATHER, tools=tools(WEATHER), text=resolved(form))
    if calls := calls_of(deltas):
        assert calls[0][0] == "get_weather" and set(calls[0][1]) == {"location", "unit"}
    else:
        assert set(json.loads(text_of(deltas))) == {"answer"}


async def test_probabilities_of_the_tokens() -> None:
    request = CreateResponse(model="m", input="…", top_logprobs=2)
    async with engine() as backend:
        deltas = await ask(backend, "Say hello in five words.", request=request)
    pieces = [delta for delta in deltas if isinstance(delta, TextDelta)]
    tokens = json.loads(b"[" + b",".join(piece.logprobs for piece in pieces if piece.logprobs) + b"]")
    assert "".join(token["token"] for token in tokens) == text_of(deltas)
    assert all(len(token["top_logprobs"]) == 2 and token["logprob"] <= 0 for token in tokens)


async def test_tokens_are_counted_by_the_model_s_own_tokenizer() -> None:
    async with engine() as backend:
        count = await backend.count_tokens(greedy("Say hello in five words."))
        assert count == usage_of(await ask(backend, "Say hello in five words.")).input_tokens


async def test_input_that_is_too_long_is_the_client_s_mistake() -> None:
    async with engine(context=256) as backend:
        with pytest.raises(BackendError) as caught:
            await ask(backend, "word " * 1000)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")


async def test_every_slot_has_the_promised_window() -> None:
    sockets = Sockets()
    async with engine(sockets, context=512, parallel=3) as backend:
        await backend.ready()
        assert [slot["n_ctx"] for slot in await sockets.get("/slots")] == [512] * 3
        assert (await backend.models())[0].context_length == 512


async def test_more_requests_than_slots() -> None:
    async with engine(parallel=1) as backend:
        answers = await asyncio.gather(*(ask(backend, "Hello", max_output_tokens=3) for _ in range(6)))
    assert all(usage_of(answer).output_tokens for answer in answers)


async def test_chat_completions_pass_through() -> None:
    body = {"model": "antiphon-demo", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    async with engine() as backend:
        relayed = await backend.chat_completions(json.dumps(body).encode())
        data = b""
        while piece := await relayed.read():
            data += piece
    answer = json.loads(data)
    assert (relayed.status, answer["object"], answer["model"]) == (200, "chat.completion", "antiphon-demo")


async def test_a_call_that_is_let_go_frees_its_slot() -> None:
    sockets = Sockets()
    async with engine(sockets, parallel=1) as backend:
        stream = await backend.open(greedy("Tell me a story.", max_output_tokens=2000, extra=ENDLESS))
        await read(stream)
        stream.abort()
        end = time.monotonic() + 1
        while (await sockets.get("/slots"))[0]["is_processing"] and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert not (await sockets.get("/slots"))[0]["is_processing"]


async def test_a_model_from_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub("acme/Tiny", {"tiny-Q8_0.gguf": DEMO_FILE.read_bytes()}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        async with engine(model="acme/Tiny", cache=str(tmp_path)) as backend:
            deltas = await ask(backend, "Hello", reasoning_effort="none")
    assert text_of(deltas)
