"""What refusals of a Messages backend teach: the request is asked again in another form, and that is remembered."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from msgspec import Raw

from antiphon.core.request.decoding import ResolvedText
from antiphon.errors import BackendError
from antiphon.types.request import TextFormat
from tests.backends.anthropic.backend_setup import TOOL, Json, pair, play
from tests.backends.turns import read_all, text_of, turn
from tests.net.upstream import Call, Handler


def refusing(refuses: Callable[[Json], str | None], status: int = 400) -> Handler:
    """Return a server that refuses requests with the words that it is given for them, and answers others."""

    async def handle(call: Call) -> None:
        words = refuses(call.json)
        if words is None:
            await play(call)
        else:
            error = {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
            await call.answer(error, status)

    return handle


class Lesson:
    """What a model refuses, and how it is asked then."""

    def __init__(self, asked: Json, refuses: Callable[[Json], str | None], settings: Json, ignored: list[str]) -> None:
        self.asked = asked
        self.refuses = refuses
        self.settings = settings
        self.ignored = ignored


def thinks(kind: str, words: str) -> Callable[[Json], str | None]:
    return lambda body: words if body.get("thinking", {}).get("type") == kind else None


def has(name: str, words: str) -> Callable[[Json], str | None]:
    return lambda body: words if f'"{name}"' in json.dumps(body) else None


HIGH: Json = {"reasoning_effort": "high", "model": "claude-opus-5-5"}
FORMAT = ResolvedText(format=TextFormat(type="json_schema", name="n", schema=Raw(b'{"type":"object"}')), verbosity=None)
ONLY_ADAPTIVE = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" to'
    " control thinking behavior."
)
LESSONS = {
    "adaptive thoughts are not known": Lesson(
        HIGH,
        thinks("adaptive", "thinking: Input tag 'adaptive' found using 'type' does not match any of the expected tags"),
        {"thinking": "budget"},
        [],
    ),
    "a budget is not known": Lesson(
        {"reasoning_effort": "high", "model": "claude-x"},
        thinks("enabled", ONLY_ADAPTIVE),
        {"thinking": "adaptive"},
        [],
    ),
    "thoughts are not known": Lesson(
        {"reasoning_effort": "high", "model": "x"},
        has("thinking", "thinking: Extra inputs are not permitted"),
        {"thinking": "off"},
        ["reasoning.effort"],
    ),
    "the model always thinks": Lesson(
        {"reasoning_effort": "none", "model": "claude-opus-5-5"},
        thinks("disabled", "thinking.type: 'disabled' is not supported for this model"),
        {"drop": ("thinking.disabled",)},
        [],
    ),
    "display is not known": Lesson(
        HIGH,
        has("display", "thinking.adaptive.display: Extra inputs are not permitted"),
        {"drop": ("thinking.display",)},
        [],
    ),
    "an effort is not known": Lesson(
        {**HIGH, "reasoning_effort": "xhigh"},
        has("xhigh", "output_config.effort: Input should be 'low', 'medium' or 'high'"),
        {"efforts": ("low", "medium", "high")},
        ["reasoning.effort"],
    ),
    "efforts are not known": Lesson(
        HIGH,
        has("effort", "This model does not support the effort parameter."),
        {"drop": ("output_config.effort",)},
        [],
    ),
    "formats are not known": Lesson(
        {"text": FORMAT},
        has("output_config", "output_config: Extra inputs are not permitted"),
        {"response_format": "none"},
        [],
    ),
    "strict tools are not known": Lesson(
        {"tools": [TOOL]},
        has("strict", "tools.0.custom.strict: Extra inputs are not permitted"),
        {"drop": ("strict",)},
        [],
    ),
    "prompt caching is not known": Lesson(
        {"instructions": "Be kind."},
        has("cache_control", "system.0.cache_control: Extra inputs are not permitted"),
        {"drop": ("cache_control",)},
        [],
    ),
    "temperature is not known": Lesson(
        {"temperature": 0.5},
        has("temperature", "`temperature` is deprecated for this model."),
        {"drop": ("temperature",)},
        ["temperature"],
    ),
    "either temperature or top_p": Lesson(
        {"temperature": 0.5, "top_p": 0.5},
        has("top_p", "`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
        {"drop": ("top_p",)},
        ["top_p"],
    ),
    "a forced call is not known": Lesson(
        {"tools": [TOOL], "tool_choice": "required", "model": "x"},
        has("any", "tool_choice.type: 'any' is not supported"),
        {"drop": ("tool_choice",)},
        ["tool_choice"],
    ),
    "a shorter answer": Lesson(
        {"model": "x"},
        lambda body: (
            "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for x"
            if body["max_tokens"] > 4096
            else None
        ),
        {"max_output_tokens": 4096},
        [],
    ),
}


@pytest.mark.parametrize("name", LESSONS)
async def test_a_refusal_teaches_how_a_model_is_asked(name: str) -> None:
    lesson = LESSONS[name]
    async with pair(refusing(lesson.refuses)) as (backend, upstream):
        for calls in (2, 3):  # the second time it is known
            stream = await backend.open(turn("a", **lesson.asked))
            assert text_of(await read_all(stream)) == "Hello"
            assert len(upstream.calls) == calls
            assert list(stream.ignored) == lesson.ignored
        (learned,) = backend.learned.values()
        assert learned.settings() == lesson.settings


@pytest.mark.parametrize("name", LESSONS)
async def test_without_learning_a_refusal_is_the_clients(name: str) -> None:
    lesson = LESSONS[name]
    async with pair(refusing(lesson.refuses), learn=False) as (backend, upstream):
        with pytest.raises(BackendError) as raised:
            await backend.open(turn("a", **lesson.asked))
        assert raised.value.status == 400
        assert len(upstream.calls) == 1


async def test_an_answer_is_shortened_where_the_window_is_full() -> None:
    def refuses(body: Json) -> str | None:
        if body["max_tokens"] + 190_000 <= 200_000:
            return None
        return f"input length and `max_tokens` exceed context limit: 190000 + {body['max_tokens']} > 200000, decrease input"

    async with pair(refusing(refuses)) as (backend, upstream):
        await read_all(await backend.open(turn("a", max_output_tokens=32_000)))
        assert [call.json["max_tokens"] for call in upstream.calls] == [32_000, 9_936]


async def test_a_signature_that_is_refused_is_left_out_of_that_request() -> None:
    from tests.backends.anthropic.test_codec_thinking import kept
    from tests.backends.anthropic.test_codec_thinking import thoughts as said

    def refuses(body: Json) -> str | None:
        return "messages.1.content.0: Invalid `signature` in `thinking` block" if "s+/=" in json.dumps(body) else None

    items = [
        {"type": "message", "role": "user", "content": "a"},
        said(),
        {"type": "message", "role": "assistant", "content": "b"},
        {"type": "message", "role": "user", "content": "c"},
    ]
    async with pair(refusing(refuses)) as (backend, upstream):
        asked = turn(items=items, model="claude-opus-4-5", opaque={"rs_1": (kept(),)})
        assert text_of(await read_all(await backend.open(asked))) == "Hello"
        assert len(upstream.calls) == 2
        assert not backend.learned


async def test_a_refusal_that_teaches_nothing_is_asked_once() -> None:
    async with pair(refusing(lambda body: "messages.0: nonsense")) as (backend, upstream):
        with pytest.raises(BackendError, match="nonsense"):
            await backend.open(turn("a", temperature=0.1, reasoning_effort="low"))
        assert len(upstream.calls) == 1
