"""What a ResponsesBackend does with refusals of wishes, and with forced calls that are not made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from antiphon.backends.learning.adaptations import Adaptation
from antiphon.backends.open import made_of
from antiphon.backends.responses.backend import ResponsesBackend
from antiphon.config import BackendConfig, Config, ModelConfig
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.turn import Turn
from antiphon.errors import BackendError
from antiphon.types.request import CreateResponse
from tests.backends.chat.chats import LONG_INPUT, WEATHER, raws
from tests.backends.turns import read_all, turn
from tests.net.upstream import Call, Upstream, running, until

Json = dict[str, Any]
MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hi.", "annotations": []}],
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "get_weather", "arguments": "{}"}
REFUSAL = {**MESSAGE, "content": [{"type": "refusal", "refusal": "No."}]}


@asynccontextmanager
async def backend(
    says: Callable[[Json], tuple[int, str] | Json],
    *,
    status: str = "completed",
    whole: bool = False,
    learn: bool = True,
    models: Mapping[str, ModelConfig] | None = None,
) -> AsyncIterator[tuple[ResponsesBackend, Upstream]]:
    async def handle(call: Call) -> None:
        if call.path.endswith("/models"):
            await call.answer({"data": [{"id": "m"}]})
            return
        said = says(call.json)
        if isinstance(said, tuple):
            await call.answer({"error": {"message": said[1]}}, said[0])
            return
        response = {"id": "r", "object": "response", "status": status, "output": [said], "usage": None}
        if whole:
            await call.answer(response)
            return
        await call.start()
        for event in (
            {"type": "response.output_item.added", "output_index": 0, "item": said},
            {"type": "response.output_item.done", "output_index": 0, "item": said},
            {"type": f"response.{status}", "response": response},
        ):
            await call.event(event)
        await call.end()

    async with running(handle) as upstream:
        one = ResponsesBackend("r", BackendConfig(url=upstream.url, api="responses"), models, learn=learn)
        try:
            yield one, upstream
        finally:
            await one.close()
            await until(lambda: not upstream.open)


def wish(**fields: Any) -> Turn:
    tools = decode_tools(raws(fields.pop("tools", ())))
    return turn("Hi", tools=tools, **fields)


async def heard(one: ResponsesBackend, asked: Turn) -> list[str]:
    stream = await one.open(asked)
    await read_all(stream)
    return list(stream.ignored)


METADATA = CreateResponse(model="m", input="x", metadata={"a": "b"}, parallel_tool_calls=False)


@pytest.mark.parametrize(
    ("fields", "words", "refused", "learned", "ignored"),
    [
        (
            {"reasoning_effort": "high"},
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            lambda body: "reasoning" in body,
            Adaptation(drop=("reasoning_effort",)),
            ["reasoning.effort"],
        ),
        (
            {"reasoning_effort": "minimal"},
            "reasoning.effort: Supported values are: 'low', 'high'.",
            lambda body: body.get("reasoning", {"effort": "low"})["effort"] not in ("low", "high"),
            Adaptation(efforts=("low", "high")),
            ["reasoning.effort"],
        ),
        (
            {"temperature": 0.5},
            "'temperature' is not supported with this model.",
            lambda body: "temperature" in body,
            Adaptation(drop=("temperature",)),
            ["temperature"],
        ),
        (
            {"request": METADATA},
            "Unknown parameter: 'metadata'",
            lambda body: "metadata" in body,
            Adaptation(drop=("metadata",)),
            ["metadata"],
        ),
        (
            {"tools": [WEATHER], "tool_choice": "required"},
            "tool_choice is not supported in thinking mode",
            lambda body: body.get("tool_choice") == "required",
            Adaptation(drop=("tool_choice",)),
            ["tool_choice"],
        ),
        (
            {"stream": False},
            "Stream must be set to true",
            lambda body: not body["stream"],
            Adaptation(stream="always"),
            [],
        ),
        (
            {},
            "Streaming is not supported for this model.",
            lambda body: body["stream"],
            Adaptation(stream="never"),
            [],
        ),
    ],
)
@pytest.mark.parametrize("status", [400, 422, 500])
async def test_a_refused_wish_is_left_out_and_that_is_remembered(
    status: int, fields: Json, words: str, refused: Callable[[Json], bool], learned: Adaptation, ignored: list[str]
) -> None:
    async with backend(lambda body: (status, words) if refused(body) else MESSAGE) as (one, upstream):
        assert await heard(one, wish(**fields)) == ignored
        assert one.learned == {"m": learned}
        assert await heard(one, wish(**fields)) == ignored
        assert len(upstream.calls) == 3
        assert await heard(one, wish()) == []


@pytest.mark.parametrize(
    ("policy", "asked"), [("as_asked", [True, False]), ("always", [True] * 2), ("never", [False] * 2)]
)
@pytest.mark.parametrize("whole", [True, False])
async def test_a_model_is_asked_for_a_stream_as_the_client_or_its_setting_says(
    policy: Literal["as_asked", "always", "never"], asked: list[bool], whole: bool
) -> None:
    models = {"m": ModelConfig(stream=policy)}
    async with backend(lambda body: MESSAGE, whole=whole, models=models) as (one, upstream):
        said = [await read_all(await one.open(wish(stream=stream))) for stream in (True, False)]
        assert [call.json["stream"] for call in upstream.calls] == asked
        assert said[0] == said[1], "what came counts, not what was asked for"


@pytest.mark.parametrize(("policy", "same"), [("as_asked", True), ("always", False)])
def test_a_reload_keeps_a_backend_that_is_asked_as_before(policy: Literal["as_asked", "always"], same: bool) -> None:
    backends = {"r": BackendConfig(url="https://example.org", api="responses")}
    before = Config(backends=backends, models={"m": ModelConfig(backends=["r"])})
    after = Config(backends=backends, models={"m": ModelConfig(backends=["r"], stream=policy)})
    assert (made_of("r", before) == made_of("r", after)) is same


async def test_one_may_want_to_be_told_instead() -> None:
    async with backend(lambda body: (400, "'temperature' is not supported"), learn=False) as (one, upstream):
        with pytest.raises(BackendError, match="temperature"):
            await heard(one, wish(temperature=0.5))
        assert len(upstream.calls) == 1


async def test_the_oldest_items_are_left_out_where_the_client_allows_it() -> None:
    def small(body: Json) -> tuple[int, str] | Json:
        size = len(body["input"]) * 10
        words = f"request ({size * 10} tokens) exceeds the available context size (1000 tokens)"
        return (400, words) if size > 100 else MESSAGE

    cut = CreateResponse(model="m", input="x", truncation="auto")
    async with backend(small) as (one, upstream):
        await heard(one, turn(items=LONG_INPUT, request=cut))
        assert 0 < len(upstream.calls[-1].json["input"]) <= 10
        assert [model.context_length for model in await one.models()] == [1000]
        with pytest.raises(BackendError) as failed:
            await heard(one, turn(items=LONG_INPUT))
        assert failed.value.code == "context_length_exceeded"


FORCED = {"tools": [WEATHER], "tool_choice": "required"}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("item", "status", "told"),
    [
        (MESSAGE, "completed", True),
        (CALL, "completed", False),
        (REFUSAL, "completed", False),
        (MESSAGE, "incomplete", False),
    ],
)
async def test_a_forced_call_that_is_not_made_is_told(item: Json, status: str, told: bool, whole: bool) -> None:
    async with backend(lambda body: item, status=status, whole=whole) as (one, _):
        assert await heard(one, wish(tools=[WEATHER])) == []
        assert await heard(one, wish(**FORCED)) == (["tool_choice"] if told else [])


@pytest.mark.parametrize(("owner", "count"), [("vllm", 41), ("someone", None)])
async def test_the_server_counts_where_it_can(owner: str, count: int | None) -> None:
    async def handle(call: Call) -> None:
        if call.path == "/v1/models":
            await call.answer({"data": [{"id": "m", "owned_by": owner}]})
        else:
            assert call.path == "/tokenize" and call.json["messages"][0]["content"] == "Hi"
            await call.answer({"count": 41, "tokens": []})

    async with running(handle) as upstream:
        one = ResponsesBackend("r", BackendConfig(url=upstream.url, api="responses"))
        assert await one.count_tokens(wish()) is None, "what it is is not known yet"
        await one.models()
        assert await one.count_tokens(wish()) == count
        await one.close()


async def test_settings_of_a_model_are_kept_to_without_a_refusal() -> None:
    models = {"m": ModelConfig(drop=["temperature", "include"], efforts=["low"])}
    async with backend(lambda body: MESSAGE, models=models) as (asked, upstream):
        stream = await asked.open(turn("x", temperature=0.5, reasoning_effort="high"))
        await read_all(stream)
        body = upstream.calls[-1].json
        assert not {"temperature", "include"} & body.keys()
        assert body["reasoning"]["effort"] == "low"
        assert {"temperature", "reasoning.effort"} <= set(stream.ignored)
