"""Strands Agents with OpenAIResponsesModel and with OpenAIModel: answers, streams, tools, structured output, turns."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from strands import Agent, tool
from strands.models.openai import OpenAIModel
from strands.models.openai_responses import OpenAIResponsesModel

from tests.apps.cases import TOOLS, case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same


class Colour(BaseModel):
    """A colour."""

    colour: str


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def agent(kind: Any, **options: Any) -> Agent:
    model = kind(client_args={"api_key": API_KEY, "base_url": BASE_URL, "max_retries": 0}, model_id=MODEL)
    return Agent(model=model, callback_handler=None, **options)


def each(kind: Any, name: str) -> None:
    @case(f"hello, {name}")
    def hello() -> None:
        same(
            str(agent(kind, system_prompt="BE")(play("Hi", {"think": "T", "say": "hello {{system}}"}))).strip(),
            "hello BE",
        )

    @case(f"stream, {name}")
    async def stream() -> None:
        events = agent(kind).stream_async(play("Hi", {"say": "hello there, friend"}))
        pieces = [event["data"] async for event in events if "data" in event]
        same("".join(pieces), "hello there, friend")
        assert len(pieces) > 1, pieces

    @case(f"two tools, {name}")
    def tools() -> None:
        has(str(agent(kind, tools=[add])(play("Add", *TOOLS))), "sum 5 9")

    @case(f"structured output, {name}")
    def structured() -> None:
        prompt = play("Which?", {"call": [["Colour", {"colour": "red"}]]})
        same(agent(kind)(prompt, structured_output_model=Colour).structured_output, Colour(colour="red"))

    @case(f"conversation, {name}")
    def conversation() -> None:
        one = agent(kind)
        one("NOTE colour=blue")
        has(str(one(play("Which?", {"say": "{{note.colour}} {{assistants}}"}))), "blue 1")


each(OpenAIResponsesModel, "responses")
each(OpenAIModel, "chat")
run()
