"""What the scenarios with the Agents SDK share."""

from __future__ import annotations

from typing import Any

import agents
from agents import Agent, Runner, RunResultStreaming
from openai import AsyncOpenAI

from tests.clients.lib import API_KEY, BASE_URL


def use_server() -> AsyncOpenAI:
    """Send the SDK's calls to the server under test."""
    client = AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
    agents.set_tracing_disabled(True)
    agents.set_default_openai_client(client, use_for_tracing=False)
    return client


async def streamed(agent: Agent[Any], given: Any, **options: Any) -> tuple[RunResultStreaming, str, list[str]]:
    """Run an agent streamed. Returns the result, the text in deltas and the names of the items' events."""
    result = Runner.run_streamed(agent, given, **options)
    return (result, *await followed(result))


async def followed(result: RunResultStreaming) -> tuple[str, list[str]]:
    """Read a streamed run to its end. Returns the text in deltas and the names of the items' events."""
    text, names = "", []
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta
        elif event.type == "run_item_stream_event":
            names.append(event.name)
    return text, names
