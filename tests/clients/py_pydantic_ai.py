"""pydantic-ai over the Responses API: streams, tools, typed output, thoughts, chains, hosted MCP, pictures, sockets."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelHTTPError, NativeOutput, PromptedOutput, ToolOutput, ToolReturn
from pydantic_ai.capabilities import NativeTool
from pydantic_ai.messages import ModelResponse, NativeToolReturnPart, ThinkingPart
from pydantic_ai.models.openai import OpenAICompaction, OpenAIResponsesModel
from pydantic_ai.native_tools import CodeExecutionTool, MCPServerTool, WebSearchTool
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.lib import API_KEY, BASE_URL, MCP_URL, MODEL, has, play, same, scenario

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6364f8cf500f00038601805a34"
    "7d6b0000000049454e44ae426082"
)


class Point(BaseModel):
    """A point."""

    x: int
    label: str


def look(city: str) -> str:
    """Look at a city."""
    return f"seen {city}"


def model() -> OpenAIResponsesModel:
    return OpenAIResponsesModel(MODEL, provider=OpenAIProvider(base_url=BASE_URL, api_key=API_KEY))


def agent(**options: Any) -> Agent[None, Any]:
    return Agent(model(), **options)


async def streamed(one: Agent[None, Any], prompt: Any, **options: Any) -> tuple[Any, Any]:
    """Run an agent with streamed requests: its output and its messages."""
    kinds = set()

    async def watch(context: Any, events: Any) -> None:
        async for event in events:
            kinds.add(type(event).__name__)

    result = await one.run(prompt, event_stream_handler=watch, **options)
    assert "PartDeltaEvent" in kinds, kinds
    return result.output, result.all_messages()


LOOK = {"think": "HM", "say": "Looking.", "call": [["look", {"city": "Rome"}], ["look", {"city": "Oslo"}]]}
STEPS: list[dict[str, Any]] = [
    LOOK,
    {"think": "MORE", "call": [["look", {"city": "Bern"}]]},
    {"say": "{{tool.0}} {{tool.1}} {{tool.2}} {{thoughts}}"},
]
SEEN = "seen Rome seen Oslo seen Bern HM | MORE"
SETTINGS: list[dict[str, Any]] = [
    {},
    {"openai_store": False},
    {"openai_send_reasoning_ids": False},
    {"openai_reasoning_summary": "detailed", "openai_reasoning_effort": "low"},
    {"openai_previous_response_id": "auto"},
    {"openai_conversation_id": "auto"},
    {"openai_background": True},
    {"openai_transport": "websocket"},
    {
        "parallel_tool_calls": True,
        "temperature": 0.2,
        "openai_text_verbosity": "low",
        "openai_truncation": "auto",
        "openai_user": "u",
        "openai_service_tier": "auto",
    },
]


async def runs() -> None:
    for settings in SETTINGS:
        one = agent(instructions="BE", tools=[look], model_settings=settings)
        result = await one.run(play("go", *STEPS))
        same((settings, result.output), (settings, SEEN))
        assert result.usage.output_tokens
        output, messages = await streamed(one, play("go", *STEPS))
        same((settings, output), (settings, SEEN))
        again = await one.run(play("?", {"say": "{{users}} {{systems}}"}), message_history=messages)
        same((settings, again.output), (settings, "2 1"))
    thoughts = [
        part
        for message in messages
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, ThinkingPart)
    ]
    same(len(thoughts), 2)
    async with agent(instructions="BE").run_stream(play("x", {"think": "HM", "say": "one two three"})) as run:
        same([text async for text in run.stream_text(delta=True, debounce_by=None)], ["one two", " three"])
    kinds = []
    async with agent(tools=[look]).iter(play("go", *STEPS)) as run:
        async for node in run:
            kinds.append(type(node).__name__)
    same(kinds.count("CallToolsNode"), 3)


async def typed() -> None:
    point = Point(x=4, label="p")
    answer = {"json": {"x": 4, "label": "p"}}
    for wanted, step in (
        (NativeOutput(Point), answer),
        (ToolOutput(Point), {"call": [["final_result", {"x": 4, "label": "p"}]]}),
        (Point, {"call": [["final_result", {"x": 4, "label": "p"}]]}),
        (PromptedOutput(Point), answer),
    ):
        one = agent(output_type=wanted)
        same((await one.run(play("x", step))).output, point)
        same((await streamed(one, play("x", step)))[0], point)
    both = agent(output_type=NativeOutput(Point), tools=[look])
    same((await both.run(play("x", LOOK, answer))).output, point)


async def remote() -> None:
    calc = MCPServerTool(id="calc", url=MCP_URL)
    step = {"think": "HM", "call": [["add", {"a": 2, "b": 3}]]}
    for settings in ({}, {"openai_store": False}):
        one = agent(capabilities=[NativeTool(calc)], model_settings=settings)
        result = await one.run(play("x", step, {"say": "={{tool.0}}"}))
        same(result.output, "=5")
        returned = [
            part
            for message in result.all_messages()
            if isinstance(message, ModelResponse)
            for part in message.parts
            if isinstance(part, NativeToolReturnPart)
        ]
        assert len(returned) == 2, returned
        again = await one.run(
            play("y", {"call": [["secret", {"name": "x"}]]}, {"say": "{{tool.0}} {{users}}"}),
            message_history=result.all_messages(),
        )
        same(again.output, "secret-of-x 2")
        output, messages = await streamed(one, play("x", step, {"say": "={{tool.0}}"}))
        same(output, "=5")
        same((await one.run(play("y", {"say": "{{users}}"}), message_history=messages)).output, "2")
        ignored = agent(capabilities=[NativeTool(WebSearchTool()), NativeTool(CodeExecutionTool())], tools=[look])
        same((await ignored.run(play("go", LOOK, {"say": "{{tool.0}}"}))).output, "seen Rome")


async def media() -> None:
    picture = BinaryContent(PIXEL, media_type="image/png")
    same((await agent().run([play("x", {"say": "{{images}}"}), picture])).output, "1")
    note = BinaryContent(b"NOTE pet=cat", media_type="text/plain")
    same((await agent().run([play("x", {"say": "{{note.pet}}"}), note])).output, "cat")

    def draw() -> ToolReturn:
        """Draw."""
        return ToolReturn("drawn", content=["see", picture])

    def photo() -> BinaryContent:
        """Take a photo."""
        return picture

    one = agent(tools=[draw, photo])
    drawn = await one.run(play("x", {"call": [["draw", {}]]}, {"say": "{{tool.0}} {{images}}"}))
    same(drawn.output, "drawn 1")
    same((await one.run(play("x", {"call": [["photo", {}]]}, {"say": "{{images}}"}))).output, "1")


async def compaction() -> None:
    for capability, settings in (
        (OpenAICompaction(token_threshold=1000), {}),
        (OpenAICompaction(token_threshold=1000), {"openai_store": False}),
        (OpenAICompaction(token_threshold=1000), {"openai_previous_response_id": "auto"}),
        (OpenAICompaction(message_count_threshold=4), {"openai_store": False}),
    ):
        one = agent(capabilities=[capability], tools=[look], model_settings=settings)
        first = await one.run(
            "NOTE sky=blue " + "blah " * 3000 + play("x", {"call": [["look", {"city": "Rome"}]]}, {"say": "{{tool.0}}"})
        )
        same(first.output, "seen Rome")
        second = await one.run(play("?", {"say": "{{note.sky}}"}), message_history=first.all_messages())
        same((settings, second.output), (settings, "blue"))
        third = await one.run(play("?", {"say": "{{note.sky}}"}), message_history=second.all_messages())
        same((settings, third.output), (settings, "blue"))
        parts = [type(part).__name__ for message in third.all_messages() for part in message.parts]
        assert "CompactionPart" in parts, (settings, parts)


async def errors() -> None:
    for settings in ({}, {"openai_transport": "websocket"}):
        one = agent(model_settings=settings)
        for status in (400, 429):
            try:
                await one.run(play("x", {"error": {"status": status, "message": "WRONG", "code": "some_code"}}))
                raise AssertionError("no error")
            except ModelHTTPError as error:
                same(error.status_code, status)
                has(str(error), "WRONG")


async def everything() -> None:
    for part in (runs, typed, remote, media, compaction, errors):
        await part()


scenario(lambda: asyncio.run(everything()))
