"""Microsoft Agent Framework's OpenAIChatClient, which speaks the Responses API: answers, streams, tools, sessions, structured output."""

from __future__ import annotations

from typing import Any

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient
from pydantic import BaseModel

from tests.apps.cases import TOOLS, case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same


class Colour(BaseModel):
    """A colour."""

    colour: str


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def agent(**options: Any) -> Agent:
    client = OpenAIChatClient(model=MODEL, api_key=API_KEY, base_url=BASE_URL)
    return Agent(client=client, instructions="BE", **options)


@case("hello")
async def hello() -> None:
    same((await agent().run(play("Hi", {"think": "T", "say": "hello {{system}}"}))).text, "hello BE")


@case("stream")
async def stream() -> None:
    answer = agent().run(play("Hi", {"think": "T", "say": "hello there, friend"}), stream=True)
    pieces = [piece async for piece in answer]
    assert len(pieces) > 3, pieces
    same((await answer.get_final_response()).text, "hello there, friend")


@case("two tools")
async def tools() -> None:
    answer = await agent(tools=[add]).run(play("Add", *TOOLS))
    same(answer.text, "sum 5 9 FIRST")
    assert answer.usage_details["total_token_count"] > 10, answer.usage_details
    options = {"store": False, "include": ["reasoning.encrypted_content"]}
    same((await agent(tools=[add], default_options=options).run(play("Add", *TOOLS))).text, "sum 5 9 FIRST")


@case("two tools, streamed")
async def streamed_tools() -> None:
    answer = agent(tools=[add]).run(play("Add", *TOOLS), stream=True)
    async for _ in answer:
        pass
    same((await answer.get_final_response()).text, "sum 5 9 FIRST")


@case("structured output")
async def structured() -> None:
    answer = await agent().run(play("Which?", {"json": {"colour": "red"}}), options={"response_format": Colour})
    same(answer.value, Colour(colour="red"))


@case("conversation")
async def conversation() -> None:
    one = agent()
    session = one.create_session()
    await one.run("NOTE colour=blue", session=session)
    has((await one.run(play("Which?", {"say": "{{note.colour}}"}), session=session)).text, "blue")


run()
