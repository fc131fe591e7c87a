"""openai-agents sessions: conversations on the server, compaction of a local session by response and by input."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import Agent, ModelSettings, OpenAIConversationsSession, Runner, SQLiteSession, function_tool
from agents.memory import OpenAIResponsesCompactionSession

from tests.clients.agents_sdk import streamed, use_server
from tests.clients.lib import MODEL, has, play, same, scenario


@function_tool
def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"sun over {city}"


def agent(**settings: Any) -> Agent[Any]:
    return Agent(name="s", instructions="I", model=MODEL, tools=[get_weather], model_settings=ModelSettings(**settings))


LOOK = {
    "think": "HM",
    "say": "Looking.",
    "call": [["get_weather", {"city": "Rome"}], ["get_weather", {"city": "Oslo"}]],
}


async def conversations() -> None:
    session = OpenAIConversationsSession()
    await Runner.run(agent(), play("NOTE pet=cat", LOOK, {"say": "ok"}), session=session)
    second, _, _ = await streamed(agent(), play("pet?", {"say": "{{note.pet}} {{users}}"}), session=session)
    same(second.final_output, "cat 2")
    kinds = [str(item.get("type", "message")) for item in await session.get_items()]
    calls = ["function_call", "function_call", "function_call_output", "function_call_output"]
    same(kinds, ["message", "reasoning", "message", *calls, "message", "message", "message"])
    same([item.get("role") for item in await session.get_items(limit=2)], ["user", "assistant"])
    popped = await session.pop_item()
    assert popped is not None and popped.get("role") == "assistant", popped
    await session.pop_item()
    same((await Runner.run(agent(), play("again", {"say": "{{users}}"}), session=session)).final_output, "2")
    await session.add_items([{"role": "user", "content": f"NOTE n{n}={n}"} for n in range(45)])
    same(
        (await Runner.run(agent(), play("n?", {"say": "{{note.n7}} {{note.n44}}"}), session=session)).final_output,
        "7 44",
    )
    await session.clear_session()
    same(await session.get_items(), [])
    chained = Agent(name="c", model=MODEL)
    client = use_server()
    conversation = await client.conversations.create()
    await Runner.run(chained, play("NOTE pet=dog", {"say": "ok"}), conversation_id=conversation.id)
    same(
        (await Runner.run(chained, play("?", {"say": "{{note.pet}}"}), conversation_id=conversation.id)).final_output,
        "dog",
    )
    called = agent()
    looked = await Runner.run(
        called, play("look", LOOK, {"say": "{{tool.1}} {{note.pet}}"}), conversation_id=conversation.id
    )
    same(looked.final_output, "sun over Oslo dog")


async def compaction() -> None:
    for mode, store in (("previous_response_id", True), ("input", True), ("auto", False)):
        kept = SQLiteSession(f"{mode}-{store}")
        session = OpenAIResponsesCompactionSession(
            "s",
            kept,
            model=f"gpt-{MODEL}",
            compaction_mode=mode,
            should_trigger_compaction=lambda seen: len(seen["compaction_candidate_items"]) >= 6,
        )
        settings: dict[str, Any] = {"store": store}
        if not store:
            settings["response_include"] = ["reasoning.encrypted_content"]
        await Runner.run(agent(**settings), play("NOTE pet=cat", LOOK, {"say": "ok"}), session=session)
        await Runner.run(agent(**settings), play("x", {"say": "NOTE colour=red"}), session=session)
        kinds = [str(item.get("type", "message")) for item in await kept.get_items()]
        assert "compaction" in kinds and "function_call" not in kinds, (mode, kinds)
        again = await Runner.run(agent(**settings), play("?", {"say": "{{note.pet}}"}), session=session)
        same(again.final_output, "cat")
        await session.run_compaction({"force": True})
        has(
            (await Runner.run(agent(**settings), play("?", {"say": "{{note.pet}}"}), session=session)).final_output,
            "cat",
        )


async def everything() -> None:
    use_server()
    await conversations()
    await compaction()


scenario(lambda: asyncio.run(everything()))
