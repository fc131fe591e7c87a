"""Inspect's OpenAI provider over the Responses API: answers, tools, thoughts, structured output, turns, background runs."""

from __future__ import annotations

from typing import Any

from inspect_ai.model import ChatMessageUser, GenerateConfig, Model, ResponseSchema, get_model
from inspect_ai.tool import Tool, tool
from inspect_ai.util import json_schema
from pydantic import BaseModel

from tests.apps.cases import TOOLS, case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same


class Colour(BaseModel):
    """A colour."""

    colour: str


@tool
def add() -> Tool:
    async def execute(a: int, b: int) -> int:
        """Adds two numbers.

        Args:
            a: The first.
            b: The second.
        """
        return a + b

    return execute


def model(**options: Any) -> Model:
    return get_model(
        f"openai/{MODEL}", base_url=BASE_URL, api_key=API_KEY, responses_api=True, memoize=False, **options
    )


@case("hello")
async def hello() -> None:
    answer = await model().generate(play("Hi", {"think": "THOUGHT", "say": "hello", "usage": [5, 6]}))
    same((answer.completion, answer.usage.total_tokens), ("hello", 11))


@case("two tools")
async def tools() -> None:
    messages, answer = await model().generate_loop([ChatMessageUser(content=play("Add", *TOOLS))], tools=[add()])
    same((len(messages), answer.completion), (4, "sum 5 9 FIRST"))


@case("structured output")
async def structured() -> None:
    schema = ResponseSchema(name="colour", json_schema=json_schema(Colour), strict=True)
    answer = await model().generate(
        play("Which?", {"json": {"colour": "red"}}), config=GenerateConfig(response_schema=schema)
    )
    same(Colour.model_validate_json(answer.completion), Colour(colour="red"))


@case("conversation")
async def conversation() -> None:
    first = ChatMessageUser(content="NOTE colour=blue")
    said = (await model().generate([first])).message
    asked = ChatMessageUser(content=play("Which?", {"say": "{{note.colour}} {{assistants}}"}))
    has((await model().generate([first, said, asked])).completion, "blue 1")


@case("background, stored")
async def background() -> None:
    one = model(background=True, responses_store=True)
    same((await one.generate(play("Hi", {"think": "T", "say": "hello"}))).completion, "hello")


@case("background, its default", limit="background can only be used when `store` is true")
async def unstored() -> None:
    await model(background=True).generate(play("Hi", {"say": "hello"}))


run()
