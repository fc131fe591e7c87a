"""CrewAI's LLM with `api="responses"` and with chat completions: calls, streams, a crew with tools, structured output, chains."""

from __future__ import annotations

from typing import Any

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from pydantic import BaseModel

from tests.apps.cases import TOOLS, case, run
from tests.clients.lib import API_KEY, BASE_URL, has, play, same


class Colour(BaseModel):
    """A colour."""

    colour: str


@tool("add")
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def model(api: str, **options: Any) -> LLM:
    return LLM(model="openai/gpt-5.4", base_url=BASE_URL, api_key=API_KEY, api=api, **options)


def crew(prompt: str, llm: LLM, tools: Any = (), **options: Any) -> Any:
    agent = Agent(role="r", goal="g", backstory="b", llm=llm, tools=list(tools), verbose=False)
    task = Task(description=prompt, expected_output="x", agent=agent, **options)
    return Crew(agents=[agent], tasks=[task], verbose=False, tracing=False).kickoff()


def each(api: str, name: str) -> None:
    @case(f"hello, {name}")
    def hello() -> None:
        same(model(api).call(play("Hi", {"think": "T", "say": "hello"})), "hello")

    @case(f"stream, {name}")
    def stream() -> None:
        same(
            model(api, stream=True).call(play("Hi", {"think": "T", "say": "hello there, friend"})),
            "hello there, friend",
        )

    @case(f"two tools, {name}")
    def tools() -> None:
        done = crew(play("Add", *TOOLS), model(api), [add])
        has(done.raw, "sum 5 9")
        assert done.token_usage.total_tokens > 10, done.token_usage

    @case(f"structured output, {name}")
    def structured() -> None:
        same(
            crew(play("Which?", {"json": {"colour": "red"}}), model(api), output_pydantic=Colour).pydantic,
            Colour(colour="red"),
        )


each("responses", "responses")
each("completions", "chat")


@case("conversation, responses")
def conversation() -> None:
    chain = model("responses", auto_chain=True)
    chain.call("NOTE colour=blue")
    has(chain.call(play("Which?", {"say": "{{note.colour}}"})), "blue")


run()
