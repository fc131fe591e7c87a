"""Semantic Kernel's OpenAIResponsesAgent: answers, streams, a plugin's functions, threads, structured output."""

from __future__ import annotations

from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel
from semantic_kernel.agents import OpenAIResponsesAgent
from semantic_kernel.functions import kernel_function

from tests.apps.cases import TOOLS, case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same


class Colour(BaseModel):
    """A colour."""

    colour: str


class Sums:
    """A plugin."""

    @kernel_function
    def add(self, a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b


def agent(**options: Any) -> OpenAIResponsesAgent:
    client = AsyncOpenAI(api_key=API_KEY, base_url=BASE_URL, max_retries=0)
    return OpenAIResponsesAgent(ai_model_id=MODEL, client=client, name="x", instructions="BE", **options)


async def streamed(given: OpenAIResponsesAgent, prompt: str) -> str:
    return "".join([str(piece.content or "") async for piece in given.invoke_stream(messages=prompt)])


@case("hello")
async def hello() -> None:
    answer = await agent().get_response(messages=play("Hi", {"think": "T", "say": "hello {{system}}"}))
    has(str(answer.content), "hello BE")


@case("stream")
async def stream() -> None:
    same(await streamed(agent(), play("Hi", {"think": "T", "say": "hello there, friend"})), "hello there, friend")


@case("two tools")
async def tools() -> None:
    for options in ({}, {"store_enabled": False}):
        answer = await agent(plugins=[Sums()], **options).get_response(messages=play("Add", *TOOLS))
        has(str(answer.content), "sum 5 9")


@case("two tools, streamed")
async def streamed_tools() -> None:
    has(await streamed(agent(plugins=[Sums()]), play("Add", *TOOLS)), "sum 5 9")


@case("structured output")
async def structured() -> None:
    asked = agent(text=OpenAIResponsesAgent.configure_response_format(Colour))
    answer = await asked.get_response(messages=play("Which?", {"json": {"colour": "red"}}))
    same(Colour.model_validate_json(str(answer.content)), Colour(colour="red"))


@case("conversation")
async def conversation() -> None:
    first = await agent().get_response(messages="NOTE colour=blue")
    asked = play("Which?", {"say": "{{note.colour}}"})
    has(str((await agent().get_response(messages=asked, thread=first.thread)).content), "blue")


run()
