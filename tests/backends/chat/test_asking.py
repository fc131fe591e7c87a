"""What a ChatBackend does with refusals: it asks otherwise before the first token, and remembers what has helped."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from antiphon.backends.base import read
from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.learning import adaptations
from antiphon.backends.learning.adaptations import Adaptation, Adaptations
from antiphon.backends.learning.asking import ALL_THOUGHTS
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.deltas import CallStart, Finish, FinishReason, ReasoningDelta
from antiphon.core.request.text_format import ResolvedText
from antiphon.core.turn import Hints, Turn
from antiphon.errors import BackendError, InvalidRequest
from antiphon.types.request import CreateResponse, TextFormat
from tests.backends.chat.chats import LONG_INPUT, USER, WEATHER, ask
from tests.backends.turns import read_all, text_of, thoughts_of
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


NARROW = {
    "type": "function",
    "name": "find",
    "parameters": {
        "type": "object",
        "properties": {"minLength": {"type": "string", "minLength": 1}, "map": {"type": "object", "propertyNames": {}}},
    },
}


def asked_with(fields: Json) -> Turn:
    """Return a Turn of these fields; `items` are its input."""
    others = {name: value for name, value in fields.items() if name != "items"}
    return ask(*fields.get("items", ()), **others)


SCHEMA = ResolvedText(TextFormat(type="json_schema", name="x", schema=b'{"type":"object"}'))  # type: ignore[arg-type]
KINDS: dict[str, tuple[Json, Strict, Json, list[str]]] = {
    "stream": (
        {"stream": False},
        refuses("only support stream mode", lambda body: not body.get("stream")),
        {"stream": "always"},
        [],
    ),
    "no stream": (
        {},
        refuses("Streaming is not supported for this model", lambda body: bool(body.get("stream"))),
        {"stream": "never"},
        [],
    ),
    "tool_choice": (
        {"tools": [WEATHER], "tool_choice": "required"},
        refuses("tool_choice is not supported in thinking mode", lambda body: "tool_choice" in body, called()),
        {"drop": ("tool_choice",)},
        ["tool_choice"],
    ),
    "an effort's value": (
        {"reasoning_effort": "medium"},
        refuses(
            "`reasoning_effort` must be one of `none` or `default`",
            lambda body: body.get("reasoning_effort") not in (None, "none", "default"),
        ),
        {"efforts": ("none", "default")},
        ["reasoning.effort"],
    ),
    "effort": (
        {"reasoning_effort": "medium"},
        refuses("Unknown parameter: 'reasoning_effort'", lambda body: "reasoning_effort" in body),
        {"drop": ("reasoning_effort",)},
        ["reasoning.effort"],
    ),
    "a format, under status 500": (
        {"text": SCHEMA},
        refuses(
            "1 validation error: {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'),"
            " 'msg': \"Input should be 'text' or 'json_object'\"}",
            lambda body: body["response_format"]["type"] == "json_schema",
            message("{}"),
            500,
        ),
        {"response_format": "object_schema"},
        [],
    ),
    "a role": (
        {"instructions": "Be brief."},
        refuses(
            "System role not supported",
            lambda body: any(one["role"] == "system" for one in body["messages"]),
            status=500,
        ),
        {"roles": "user"},
        [],
    ),
    "thoughts that are missing": (
        {"items": [USER, {"role": "assistant", "content": "Hello."}, USER]},
        refuses(
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
            lambda body: (
                not all(one.get("reasoning_content") for one in body["messages"] if one["role"] == "assistant")
            ),
        ),
        {"needs_reasoning": True},
        [],
    ),
    "a keyword of schemas": (
        {"tools": [NARROW]},
        refuses("JSON schema: 'minLength' is not supported", lambda body: '"minLength": 1' in json.dumps(body)),
        {"drop": ("schema.minLength",)},
        ["schema.minLength"],
    ),
    "a subset of schemas": (
        {"tools": [NARROW]},
        refuses(
            "Unknown name \"propertyNames\" at 'tools[0].function_declarations[0].parameters': Cannot find field.",
            lambda body: '"propertyNames"' in json.dumps(body),
        ),
        {"strict_schema": "gemini"},
        [],
    ),
    "several fields": (
        {"temperature": 0.2, "max_output_tokens": 9, "parallel_tool_calls": False, "tools": [WEATHER]},
        lambda body: (
            (400, "'max_tokens' is not supported. Use 'max_completion_tokens' instead.")
            if "max_tokens" in body
            else (400, "'temperature' does not support 0.2. Only the default (1) value is supported.")
            if "temperature" in body
            else (422, "parallel_tool_calls: Extra inputs are not permitted")
            if "parallel_tool_calls" in body
            else message()
        ),
        {"max_tokens": "max_completion_tokens", "drop": ("temperature", "parallel_tool_calls")},
        ["temperature", "parallel_tool_calls"],
    ),
}


@pytest.mark.parametrize("in_stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_field_is_left_out_and_that_is_remembered(
    kind: str, in_stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fields, strict, learned, ignored = KINDS[kind]
    async with backend(strict, in_stream=in_stream) as (one, upstream):
        with caplog.at_level(logging.WARNING, "antiphon.backends.learning"):
            first = await heard(one, asked_with(fields))
        asked = len(upstream.calls)
        assert asked > 1
        assert one.learned == {"m": Adaptation(**learned)}
        assert "backend c: model m is asked otherwise from now on: " in caplog.text
        again = await heard(one, asked_with(fields))
        assert len(upstream.calls) == asked + 1, "the next request is right at once"
    assert first == again
    assert first[1] == ignored
    assert text_of(first[0]) or any(isinstance(delta, CallStart) for delta in first[0])


@pytest.mark.parametrize("in_stream", [False, True])
@pytest.mark.parametrize("stream", [True, False])
async def test_what_teaches_nothing_is_told(stream: bool, in_stream: bool) -> None:
    strict = refuses("the image is too blurred", lambda body: True)
    async with backend(strict, in_stream=in_stream) as (one, upstream):
        with pytest.raises(BackendError, match="the image is too blurred"):
            await heard(one, ask(stream=stream, temperature=0.5))
        assert (len(upstream.calls), one.learned) == (1, {})


async def test_a_lesson_that_does_not_help_is_forgotten() -> None:
    async with backend(refuses("temperature is not supported", lambda body: True)) as (one, upstream):
        with pytest.raises(BackendError, match="temperature is not supported"):
            await heard(one, ask(temperature=0.5))
        assert (len(upstream.calls), one.learned) == (2, {})


async def test_a_server_that_always_has_another_reason_is_left_alone() -> None:
    names = iter("temperature top_p user presence_penalty frequency_penalty".split() * 9)
    request = CreateResponse(model="m", input="x", user="u", presence_penalty=1, frequency_penalty=1, top_logprobs=2)
    async with backend(lambda body: (400, f"unknown parameter '{next(names)}'")) as (one, upstream):
        with pytest.raises(BackendError):
            await heard(one, ask(temperature=0.5, top_p=0.5, request=request))
        assert (len(upstream.calls), one.learned) == (6, {})


async def test_after_the_first_token_nothing_is_asked_again() -> None:
    async def speaks_first(call: Call) -> None:
        await call.start()
        await call.event({"choices": [{"index": 0, "delta": {"content": "Hel"}}]})
        await call.event({"error": {"message": "temperature is not supported", "code": 400}})
        await call.end()

    async with running(speaks_first) as upstream:
        one = ChatBackend("c", BackendConfig(url=upstream.url))
        with pytest.raises(BackendError, match="temperature"):
            await heard(one, ask(temperature=0.5))
        assert len(upstream.calls) == 1
        await one.close()


async def test_one_may_want_to_be_told_instead() -> None:
    strict = refuses("temperature is not supported", lambda body: "temperature" in body)
    model = ModelConfig(efforts=["low", "high"])
    async with backend(strict, model, learn=False) as (one, upstream):
        with pytest.raises(BackendError, match="temperature is not supported"):
            await heard(one, ask(temperature=0.5))
        with pytest.raises(InvalidRequest, match="Supported values are: low, high") as refused:
            await heard(one, ask(reasoning_effort="medium"))
        assert (refused.value.param, refused.value.code) == ("reasoning.effort", "unsupported_value")
        assert (await heard(one, ask(reasoning_effort="low")))[1] == []
        assert len(upstream.calls) == 2


async def test_lessons_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(adaptations, "monotonic", lambda: now)
    strict = refuses("temperature is not supported", lambda body: "temperature" in body)
    async with backend(strict) as (one, upstream):
        await heard(one, ask(temperature=0.5))
        now = adaptations.SECONDS - 1
        await heard(one, ask(temperature=0.5))
        assert len(upstream.calls) == 3
        now += 2
        assert one.learned == {}
        await heard(one, ask(temperature=0.5))
        assert len(upstream.calls) == 5, "the model is asked as configured again"


def test_lessons_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptations, "MOST_MODELS", 3)
    monkeypatch.setattr(adaptations, "MOST_OWN", 3)
    known = Adaptations("b")
    for n in range(5):
        known.learn(f"m{n}", Adaptation(drop=("temperature",)), "words")
        known.remark(f"m{n}", "odd")
    assert [*known.all()] == ["m2", "m3", "m4"]


def of_owner(fields: Json, owner: str) -> Turn:
    return msgspec.structs.replace(asked_with(fields), hints=Hints(owner=owner))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_one_owner_has_taught_is_not_done_to_others(kind: str) -> None:
    """A refusal may be about one client's value, or repeat its words: nobody can teach a model for other tenants."""
    fields, strict, learned, _ = KINDS[kind]
    async with backend(strict) as (one, upstream):
        for _ in range(3):
            await heard(one, of_owner(fields, "mallory"))
        taught = upstream.calls[0].json
        assert upstream.calls[-1].json != taught, "what mallory's requests have taught counts for mallory"
        assert [call.json == taught for call in upstream.calls].count(True) == 1, "and is not refused again"
        before = len(upstream.calls)
        await heard(one, of_owner(fields, "alice"))
        assert upstream.calls[before].json == taught, "alice is asked for as configured"
        before = len(upstream.calls)
        await heard(one, of_owner(fields, "bob"))
        assert len(upstream.calls) == before + 1, "what two owners were refused is known for all"
        assert one.learned == {"m": Adaptation(**learned)}


def test_a_window_that_one_owner_has_taught_is_not_listed() -> None:
    known, window = Adaptations("b"), Adaptation(context_length=256)
    known.learn("m", window, "the maximum context length is 256", "mallory")
    assert known.all() == {"m": window} and not known.shared()
    known.learn("m", window, "the maximum context length is 256", "alice")
    assert known.shared() == {"m": window}


@pytest.mark.parametrize("owner", adaptations.ONLY_OWNERS)
def test_a_server_of_one_owner_learns_at_once(owner: str) -> None:
    known, learned = Adaptations("b"), Adaptation(stream="never")
    known.learn("m", learned, "words", owner)
    assert known.shared() == {"m": learned} == known.all()


async def test_settings_say_the_same_beforehand() -> None:
    model = ModelConfig(drop=["tool_choice", "temperature"], efforts=["low", "high"], stream="always")
    async with backend(lambda body: called(), model) as (one, upstream):
        fields: Json = {"tools": [WEATHER], "tool_choice": "required", "temperature": 0.5}
        _, ignored = await heard(one, ask(**fields, reasoning_effort="minimal", stream=False))
        body = upstream.calls[0].json
        assert (body["stream"], body["reasoning_effort"]) == (True, "low")
        assert not {"tool_choice", "temperature"} & body.keys()
        assert set(ignored) == {"tool_choice", "temperature", "reasoning.effort"}
        none = ask(tools=[WEATHER], tool_choice="none")
        await heard(one, none)
        assert "tools" not in upstream.calls[1].json


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
        assert text_of(deltas) == ('{"name":"get_w' if learn else "It is often said")
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
