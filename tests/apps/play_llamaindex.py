"""LlamaIndex's OpenAIResponses: completions, streams, an agent with tools, structured output, a chain of responses."""

from __future__ import annotations

from typing import Any

from llama_index.core import PromptTemplate
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI, OpenAIResponses
from pydantic import BaseModel

from tests.apps.cases import TOOLS, case, run
from tests.clients.lib import API_KEY, BASE_URL, has, play, same


class Colour(BaseModel):
    """A colour."""

    colour: str


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def model(**options: Any) -> OpenAIResponses:
    """It knows its models by their names; this one is an alias."""
    return OpenAIResponses(model="gpt-5.4", api_base=BASE_URL, api_key=API_KEY, max_retries=0, **options)


@case("hello")
def hello() -> None:
    same(model().complete(play("Hi", {"think": "T", "say": "hello"})).text, "hello")


@case("stream")
def stream() -> None:
    pieces = [
        piece.delta for piece in model().stream_complete(play("Hi", {"think": "T", "say": "hello there, friend"}))
    ]
    same("".join(filter(None, pieces)), "hello there, friend")
    assert len(pieces) > 2, pieces


@case("two tools, streamed")
async def tools() -> None:
    for options in ({}, {"store": False, "include": ["reasoning.encrypted_content"]}):
        agent = FunctionAgent(tools=[FunctionTool.from_defaults(add)], llm=model(**options), system_prompt="BE")
        has(str(await agent.run(play("Add", *TOOLS))), "sum 5 9")


@case("two tools")
async def whole_tools() -> None:
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(add)], llm=model(), system_prompt="BE", streaming=False)
    has(str(await agent.run(play("Add", *TOOLS))), "sum 5 9")


@case("structured output")
def structured() -> None:
    same(
        model().as_structured_llm(Colour).complete(play("Which?", {"json": {"colour": "red"}})).raw,
        Colour(colour="red"),
    )
    asked = play("Which?", {"json": {"colour": "red"}})
    same(model().structured_predict(Colour, PromptTemplate("{asked}"), asked=asked), Colour(colour="red"))


@case("conversation")
def conversation() -> None:
    chain = model(track_previous_responses=True)
    chain.complete("NOTE colour=blue")
    has(chain.complete(play("Which?", {"say": "{{note.colour}} {{users}}"})).text, "blue 2")
    said = [ChatMessage(role="user", content="NOTE colour=blue"), ChatMessage(role="assistant", content="Yes")]
    asked = ChatMessage(role="user", content=play("Which?", {"say": "{{note.colour}} {{assistants}}"}))
    has(str(model().chat([*said, asked])), "blue 1")


@case("chat completions")
def chat() -> None:
    llm = OpenAI(model="gpt-5.4", api_base=BASE_URL, api_key=API_KEY, max_retries=0)
    same(llm.complete(play("Hi", {"say": "hello"})).text, "hello")


run()
