"""openai-agents over WebSocket: a pinned session, streamed, tools, chained, sealed thoughts, errors."""

from __future__ import annotations

import asyncio

from agents import Agent, ModelSettings, function_tool, responses_websocket_session

from tests.clients.agents_sdk import followed, use_server
from tests.clients.lib import API_KEY, BASE_URL, MODEL, has, play, same, scenario


@function_tool
def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"sun over {city}"


async def everything() -> None:
    use_server()
    look = play(
        "look",
        {
            "think": "HM",
            "say": "Looking.",
            "call": [["get_weather", {"city": "Rome"}], ["get_weather", {"city": "Oslo"}]],
        },
        {"say": "{{tool.0}} {{tool.1}}"},
    )
    wanted = "sun over Rome sun over Oslo"
    async with responses_websocket_session(
        api_key=API_KEY, base_url=BASE_URL, unknown_prefix_mode="model_id"
    ) as session:
        for settings in (ModelSettings(), ModelSettings(store=False, response_include=["reasoning.encrypted_content"])):
            agent = Agent(name="w", instructions="I", model=MODEL, tools=[get_weather], model_settings=settings)
            same((await session.run(agent, look)).final_output, wanted)
            result = session.run_streamed(agent, look)
            text, _ = await followed(result)
            has(text, wanted)
            chained = await session.run(agent, look, auto_previous_response_id=True)
            same(chained.final_output, wanted)
            after = await session.run(
                agent, play("?", {"say": "{{users}}"}), previous_response_id=chained.last_response_id
            )
            same(after.final_output, "2")
            for wrong in (
                {"error": {"status": 429, "message": "slow down", "code": "rate_limit_exceeded"}},
                {"say": "cut off here", "cut": 3},
            ):
                try:
                    await session.run(agent, play("x", wrong))
                    raise AssertionError("no error")
                except AssertionError:
                    raise
                except Exception as error:
                    if "error" in wrong:
                        has(str(error), "slow down")
            same((await session.run(agent, play("x", {"say": "alive"}))).final_output, "alive")


scenario(lambda: asyncio.run(everything()))
