"""Google's Agent Development Kit through its LiteLLM model, over chat completions and LiteLLM's bridge to the Responses API."""

from __future__ import annotations

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.genai import types
from pydantic import BaseModel

from tests.apps.cases import case, run
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same

TOOLS = (
    {"think": "FIRST", "call": [["add", {"a": 2, "b": 3}], ["add", {"a": 4, "b": 5}]]},
    {"say": "sum {{tool.0}} {{tool.1}}"},
)


class Colour(BaseModel):
    """A colour."""

    colour: str


def add(a: int, b: int) -> dict[str, int]:
    """Adds two numbers."""
    return {"sum": a + b}


async def asked(name: str, *prompts: str, stream: bool = False, **options: Any) -> list[Any]:
    """Run an agent through a session; return its events of the last prompt."""
    model = LiteLlm(model=name, api_base=BASE_URL, api_key=API_KEY)
    runner = InMemoryRunner(agent=LlmAgent(name="ours", model=model, instruction="BE", **options), app_name="app")
    session = await runner.session_service.create_session(app_name="app", user_id="u")
    config = RunConfig(streaming_mode=StreamingMode.SSE if stream else StreamingMode.NONE)
    found: list[Any] = []
    for prompt in prompts:
        message = types.Content(role="user", parts=[types.Part(text=prompt)])
        events = runner.run_async(user_id="u", session_id=session.id, new_message=message, run_config=config)
        found = [event async for event in events]
    return found


def text(events: list[Any]) -> str:
    """Return the words of the last whole answer."""
    parts = [part for event in events if event.content and not event.partial for part in event.content.parts or []]
    return "".join(part.text or "" for part in parts if not part.thought)


def each(name: str, kind: str) -> None:
    @case(f"hello, {kind}")
    async def hello() -> None:
        events = await asked(name, play("Hi", {"think": "T", "say": "hello", "usage": [5, 6]}))
        same(text(events), "hello")
        same(events[-1].usage_metadata.total_token_count, 11)

    @case(f"stream, {kind}")
    async def stream() -> None:
        events = await asked(name, play("Hi", {"think": "T", "say": "hello there, friend"}), stream=True)
        same(text(events), "hello there, friend")
        assert sum(bool(event.partial) for event in events) > 1, events

    for stream, way in ((False, "whole"), (True, "streamed")):

        @case(f"two tools, {way}, {kind}")
        async def tools(stream: bool = stream) -> None:
            said = text(await asked(name, play("Add", *TOOLS), stream=stream, tools=[add]))
            has(said, '{"sum": 5}')
            has(said, '{"sum": 9}')

    @case(f"structured output, {kind}")
    async def structured() -> None:
        events = await asked(name, play("Which?", {"json": {"colour": "red"}}), output_schema=Colour)
        same(Colour.model_validate_json(text(events)), Colour(colour="red"))

    @case(f"session, {kind}")
    async def session() -> None:
        said = text(await asked(name, "NOTE colour=blue", play("Which?", {"say": "{{note.colour}} {{assistants}}"})))
        has(said, "blue 1")


each(f"openai/{MODEL}", "chat")
each(f"openai/responses/{MODEL}", "responses")
run()
