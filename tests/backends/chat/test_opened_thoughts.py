"""Thoughts that a chat template opens: they are told from the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.backends.base import read
from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.learning.adaptations import Adaptation
from antiphon.config import BackendConfig, ModelConfig
from tests.backends.chat.asking_setup import Json, heard
from tests.backends.chat.chats import ask
from tests.backends.turns import read_all, text_of, thoughts_of
from tests.net.upstream import Call, running

# Thoughts that the template opens


def thinking(*pieces: str, field: str = "content", always: bool = False) -> Callable[[Call], Any]:
    """A server whose template is told to think: then the answer comes in these pieces, else it is "Hello!"."""

    async def handle(call: Call) -> None:
        on = always or call.json.get("chat_template_kwargs", {}).get("enable_thinking")
        said = [{field: piece} for piece in pieces] if on else [{"content": "Hello!"}]
        if field != "content" and on:
            said.append({"content": "Hello!"})
        if not call.json.get("stream"):
            whole: Json = {}
            for delta in said:
                for name, text in delta.items():
                    whole[name] = whole.get(name, "") + text
            await call.answer({"choices": [{"index": 0, "message": whole, "finish_reason": "stop"}]})
            return
        await call.start()
        for delta in said:
            await call.event({"choices": [{"index": 0, "delta": delta}]})
            await asyncio.sleep(0.001)
        await call.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await call.end()

    return handle


UNOPENED = ("I need ", "one word.\n</th", "ink>\n", "\nHel", "lo!")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("profile", ["vllm", "sglang"])
async def test_thoughts_that_an_effort_switches_on_are_told_from_the_answer(profile: str, stream: bool) -> None:
    async with running(thinking(*UNOPENED)) as upstream:
        one = ChatBackend("c", BackendConfig(url=upstream.url, profile=profile))
        for _ in range(2):
            deltas, _ = await heard(one, ask(reasoning_effort="low", stream=stream))
            assert (thoughts_of(deltas).strip(), text_of(deltas)) == ("I need one word.", "Hello!")
            assert one.learned["m"].think == "opened"
        for effort in ("none", None):
            deltas, _ = await heard(one, ask(reasoning_effort=effort, stream=stream))
            assert (thoughts_of(deltas), text_of(deltas)) == ("", "Hello!")
        await one.close()


async def test_thoughts_stream_once_it_is_known_that_the_template_opens_them() -> None:
    async with running(thinking(*UNOPENED)) as upstream:
        one = ChatBackend("c", BackendConfig(url=upstream.url, profile="vllm"))
        firsts = []
        for _ in range(2):
            stream = await one.open(ask(reasoning_effort="low"))
            firsts.append(thoughts_of(await read(stream)))
            await read_all(stream)
        assert firsts[0].strip() == "I need one word."
        assert firsts[1] == "I need "
        await one.close()


@pytest.mark.parametrize(
    ("pieces", "field", "text"),
    [(("Well, ", "that is ", "42."), "content", "Well, that is 42."), (("Hm, ", "hm."), "reasoning", "Hello!")],
)
async def test_a_server_that_parts_thoughts_itself_streams(pieces: tuple[str, ...], field: str, text: str) -> None:
    async with running(thinking(*pieces, field=field)) as upstream:
        one = ChatBackend("c", BackendConfig(url=upstream.url, profile="vllm"))
        for _ in range(2):
            stream = await one.open(ask(reasoning_effort="low"))
            first = await read(stream)
            rest = await read_all(stream)
            assert text_of([*first, *rest]) == text
        assert (text_of(first) or thoughts_of(first)) == pieces[0]
        assert one.learned == {}
        await one.close()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("profile", ["generic", "vllm", "llama_cpp"])
@pytest.mark.parametrize("model", ["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "Qwen/QwQ-32B", "qwen3-4b-thinking-2507"])
async def test_models_whose_template_always_opens_thoughts(model: str, profile: str, stream: bool) -> None:
    async with running(thinking(*UNOPENED, always=True)) as upstream:
        one = ChatBackend("c", BackendConfig(url=upstream.url, profile=profile))
        for _ in range(2):
            deltas, _ = await heard(one, ask(model=model, stream=stream))
            assert (thoughts_of(deltas).strip(), text_of(deltas)) == ("I need one word.", "Hello!")
        await one.close()


@pytest.mark.parametrize("profile", ["generic", "vllm", "llama_cpp"])
async def test_a_whole_answer_teaches_that_streams_only_close_their_thoughts(profile: str) -> None:
    async with running(thinking(*UNOPENED, always=True)) as upstream:
        one = ChatBackend("c", BackendConfig(url=upstream.url, profile=profile))
        for stream in (False, True, True, False):
            deltas, _ = await heard(one, ask(stream=stream))
            assert (thoughts_of(deltas).strip(), text_of(deltas)) == ("I need one word.", "Hello!")
        assert one.learned == {"m": Adaptation(think="unsure")}
        await one.close()


async def test_think_can_be_set_for_a_model_that_may_open_its_thoughts() -> None:
    async with running(thinking(*UNOPENED, always=True)) as upstream:
        one = ChatBackend("c", BackendConfig(url=upstream.url), {"m": ModelConfig(think="unsure")})
        deltas, _ = await heard(one, ask())
        assert (thoughts_of(deltas).strip(), text_of(deltas)) == ("I need one word.", "Hello!")
        await one.close()
