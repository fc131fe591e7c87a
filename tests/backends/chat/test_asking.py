"""What a ChatBackend does with refusals: it asks otherwise before the first token, and remembers what has helped."""

from __future__ import annotations

import json
import logging

import msgspec
import pytest

from antiphon.backends.chat.backend import ChatBackend
from antiphon.backends.learning import adaptations
from antiphon.backends.learning.adaptations import Adaptation, Adaptations
from antiphon.config import BackendConfig, ModelConfig
from antiphon.core.deltas import CallStart
from antiphon.core.request.text_format import ResolvedText
from antiphon.core.turn import Hints, Turn
from antiphon.errors import BackendError, InvalidRequest
from antiphon.types.request import CreateResponse, TextFormat
from tests.backends.chat.asking_setup import Json, Strict, backend, called, heard, message, refuses
from tests.backends.chat.chats import USER, WEATHER, ask
from tests.backends.turns import text_of
from tests.net.upstream import Call, running

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
        assert "backend c: requests to model m are adapted from now on: " in caplog.text
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
