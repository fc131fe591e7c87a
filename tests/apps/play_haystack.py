"""Haystack's OpenAIResponsesChatGenerator, alone and in its Agent."""

from __future__ import annotations

from typing import Any

from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import tool
from haystack.utils import Secret
from pydantic import BaseModel

from tests.apps.cases import TOOLS, case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same


class Colour(BaseModel):
    """A colour."""

    colour: str


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def model(**options: Any) -> OpenAIResponsesChatGenerator:
    return OpenAIResponsesChatGenerator(
        model=MODEL, api_base_url=BASE_URL, api_key=Secret.from_token(API_KEY), max_retries=0, **options
    )


def asked(*said: ChatMessage | str, **options: Any) -> ChatMessage:
    messages = [ChatMessage.from_user(one) if isinstance(one, str) else one for one in said]
    return model(**options).run(messages)["replies"][0]


@case("hello")
def hello() -> None:
    options = {"reasoning": {"effort": "low", "summary": "auto"}}
    answer = asked(play("Hi", {"think": "THOUGHT", "say": "hello", "usage": [5, 6]}), generation_kwargs=options)
    same((answer.text, answer.reasoning.reasoning_text), ("hello", "THOUGHT"))
    same(answer.meta["usage"]["total_tokens"], 11)


@case("stream")
def stream() -> None:
    pieces: list[str] = []
    prompt = play("Hi", {"think": "T", "say": "hello there, friend", "usage": [5, 6]})
    answer = asked(prompt, streaming_callback=lambda piece: pieces.append(piece.content))
    same((answer.text, "".join(pieces)), ("hello there, friend", "hello there, friend"))
    same(answer.meta["usage"]["total_tokens"], 11)


@case("two tools")
def tools() -> None:
    done = Agent(chat_generator=model(), tools=[add]).run(messages=[ChatMessage.from_user(play("Add", *TOOLS))])
    same(done["messages"][-1].text, "sum 5 9 FIRST")


@case("two tools, streamed")
def streamed_tools() -> None:
    agent = Agent(chat_generator=model(streaming_callback=lambda piece: None), tools=[add])
    same(agent.run(messages=[ChatMessage.from_user(play("Add", *TOOLS))])["messages"][-1].text, "sum 5 9 FIRST")


@case("structured output")
def structured() -> None:
    answer = asked(play("Which?", {"json": {"colour": "red"}}), generation_kwargs={"text_format": Colour})
    same(Colour.model_validate_json(answer.text), Colour(colour="red"))


@case("conversation")
def conversation() -> None:
    first = asked("NOTE colour=blue")
    answer = asked(
        ChatMessage.from_user("NOTE colour=blue"), first, play("Which?", {"say": "{{note.colour}} {{assistants}}"})
    )
    has(answer.text, "blue 1")


run()
