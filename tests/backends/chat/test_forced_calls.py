"""Forced calls that a chat backend does not make, and answers that do not fit the window."""

from __future__ import annotations

import logging

import pytest

from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.learning.adaptations import Adaptation
from antiphon.backends.learning.asking import ALL_THOUGHTS
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.deltas import CallStart, Finish, FinishReason, ReasoningDelta
from antiphon.errors import BackendError
from antiphon.types.request import CreateResponse
from tests.backends.chat.asking_setup import Json, Refusal, Strict, backend, called, heard, message, refuses
from tests.backends.chat.chats import LONG_INPUT, WEATHER, ask
from tests.backends.turns import text_of, thoughts_of
from tests.net.upstream import Call, running

# Calls that are not made


def ignores_choice(body: Json) -> Json:
    """A server that knows no tool_choice, but constrains its answers."""
    if "response_format" in body:
        return message('{"name":"get_weather","arguments":{"city":"Rome"}}')
    return message("I would rather talk.", reasoning_content="Hm.")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_forced_call_that_is_not_made_is_brought_about_by_a_schema(stream: bool) -> None:
    turn = ask(tools=[WEATHER], tool_choice="required", stream=stream)
    async with backend(ignores_choice) as (one, upstream):
        deltas, ignored = await heard(one, turn)
        assert (text_of(deltas), ignored) == ("", [])
        assert [delta.name for delta in deltas if isinstance(delta, CallStart)] == ["get_weather"]
        assert one.learned == {"m": Adaptation(forced_calls="schema")}
        await heard(one, turn)
        assert len(upstream.calls) == 3


@pytest.mark.parametrize("stream", [True, False])
async def test_where_nothing_brings_a_forced_call_about_the_first_answer_is_given(stream: bool) -> None:
    def answer(body: Json) -> Json:
        return message("A schema?" if "response_format" in body else "Which city?")

    async with backend(answer) as (one, upstream):
        deltas, ignored = await heard(one, ask(tools=[WEATHER], tool_choice="required", stream=stream))
        assert (text_of(deltas), deltas[-1], ignored) == ("Which city?", Finish(FinishReason.STOP), ["tool_choice"])
        assert len(upstream.calls) == 2 and one.learned == {}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("learn", [True, False])
async def test_words_instead_of_a_forced_call_that_are_cut_off(learn: bool, stream: bool) -> None:
    async def cut(call: Call) -> None:
        text = '{"name":"get_w' if "response_format" in call.json else "It is often said"
        choice = {"index": 0, "message" if not stream else "delta": {"content": text}, "finish_reason": "length"}
        if stream:
            await call.start()
            await call.event({"choices": [choice]})
            await call.end()
        else:
            await call.answer({"choices": [choice]})

    async with running(cut) as upstream:
        one = ChatBackend("c", BackendConfig(url=upstream.url), learn=learn)
        deltas, _ = await heard(one, ask(tools=[WEATHER], tool_choice="required", stream=stream))
        assert Finish(FinishReason.LENGTH) in deltas
        assert text_of(deltas) == ("" if learn else "It is often said")
        assert [delta.name for delta in deltas if isinstance(delta, CallStart)] == ["get_weather"] * learn
        assert len(upstream.calls) == (2 if learn else 1)
        await one.close()


@pytest.mark.parametrize("stream", [True, False])
async def test_words_before_a_forced_call_are_kept(stream: bool) -> None:
    async with backend(lambda body: called("Let me look.")) as (one, upstream):
        deltas, _ = await heard(one, ask(tools=[WEATHER], tool_choice="required", stream=stream))
        assert text_of(deltas) == "Let me look."
        assert (len(upstream.calls), one.learned) == (1, {})


@pytest.mark.parametrize("stream", [True, False])
async def test_answers_that_are_all_thoughts_are_told_once(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with backend(lambda body: message(None, reasoning_content="Four words, no more.")) as (one, _):
        with caplog.at_level(logging.WARNING, "antiphon.backends.learning"):
            for _ in range(3):
                deltas, _ = await heard(one, ask(stream=stream))
                assert any(isinstance(delta, ReasoningDelta) for delta in deltas)
        assert thoughts_of(deltas) == "Four words, no more."
    assert caplog.text.count(ALL_THOUGHTS) == 1


# Sizes


def window_of(tokens: int) -> Strict:
    """A server whose words have a token each."""

    def strict(body: Json) -> Refusal | Json:
        size = sum(len(one["content"].split()) for one in body["messages"])
        most = body.get("max_tokens", 0)
        if most > tokens:
            return 400, f"max_tokens={most} cannot be greater than max_model_len={tokens}."
        if size + most > tokens:
            return 400, (
                f"This model's maximum context length is {tokens} tokens. However, you requested {size + most} tokens"
                f" ({size} in the messages, {most} in the completion)."
            )
        return message(str(size))

    return strict


@pytest.mark.parametrize("in_stream", [False, True])
async def test_the_oldest_items_are_left_out_where_the_client_allows_it(in_stream: bool) -> None:
    cut = ask(*LONG_INPUT, request=CreateResponse(model="m", input="x", truncation="auto"))
    async with backend(window_of(500), in_stream=in_stream) as (one, upstream):
        deltas, _ = await heard(one, cut)
        assert 0 < int(text_of(deltas)) <= 500
        assert upstream.calls[-1].json["messages"][-1]["content"].startswith("19 ")
        assert [model.context_length for model in await one.models()] == [500]
        with pytest.raises(BackendError) as failed:
            await heard(one, ask(*LONG_INPUT))
        assert failed.value.code == "context_length_exceeded"


@pytest.mark.parametrize("most", [400, 500, 100_000])
async def test_a_longer_answer_than_there_is_room_for_is_bounded_by_the_window(most: int) -> None:
    turn = ask({"role": "user", "content": "word " * 200}, max_output_tokens=most)
    async with backend(window_of(500)) as (one, upstream):
        assert text_of((await heard(one, turn))[0]) == "200"
        assert "max_tokens" not in upstream.calls[-1].json
    async with backend(window_of(500), ModelConfig(context_length=500)) as (one, upstream):
        await heard(one, turn)
        assert len(upstream.calls) == (2 if most < 500 else 1)


async def test_a_bound_of_answers_is_kept_to() -> None:
    strict = refuses("max_tokens must be less than or equal to 8192", lambda body: body.get("max_tokens", 0) > 8192)
    async with backend(strict) as (one, upstream):
        for most in (32_000, 64_000, 100):
            await heard(one, ask(max_output_tokens=most))
        assert [call.json["max_tokens"] for call in upstream.calls] == [32_000, 8192, 8192, 100]
        assert one.learned == {"m": Adaptation(max_output_tokens=8192)}
