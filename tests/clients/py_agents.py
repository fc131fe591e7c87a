"""openai-agents: handoffs, guardrails, parallel tools, typed output, thoughts sent back, chained responses, background."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    ModelSettings,
    OutputGuardrailTripwireTriggered,
    Runner,
    function_tool,
    handoff,
    input_guardrail,
    output_guardrail,
)
from pydantic import BaseModel

from tests.clients.agents_sdk import streamed, use_server
from tests.clients.lib import MODEL, has, play, same, scenario


class Forecast(BaseModel):
    city: str
    degrees: float


@function_tool
def get_weather(city: str) -> str:
    """Weather of a city."""
    return f"sun over {city}"


@function_tool
def fails() -> str:
    """Never works."""
    raise ValueError("no luck")


async def handoffs() -> None:
    french = Agent(name="French", instructions="SPEAK-FRENCH", model=MODEL, handoff_description="speaks French")
    triage = Agent(name="Triage", instructions="TRIAGE", model=MODEL, handoffs=[handoff(french)], tools=[get_weather])
    prompt = play("Bonjour", {"call": [["transfer_to_french", {}]]}, {"say": "Salut, {{system}}, {{users}}"})
    result = await Runner.run(triage, prompt)
    same((result.final_output, result.last_agent.name), ("Salut, SPEAK-FRENCH, 1", "French"))
    result, _, names = await streamed(triage, prompt)
    same((result.final_output, result.last_agent.name), ("Salut, SPEAK-FRENCH, 1", "French"))
    assert "handoff_requested" in names, names
    pair = Agent(name="Boss", model=MODEL, tools=[french.as_tool("ask_french", "Asks the French one")])
    result = await Runner.run(pair, play("ask", {"call": [["ask_french", {"input": "oui"}]]}, {"say": "r={{tool.0}}"}))
    same(result.final_output, "r=You said: oui")


async def guardrails() -> None:
    @input_guardrail
    async def no_maths(context: Any, agent: Any, given: Any) -> GuardrailFunctionOutput:
        checker = Agent(name="check", model=MODEL, output_type=Forecast)
        seen = await Runner.run(checker, play("check", {"json": {"city": "X", "degrees": 41}}))
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=seen.final_output.degrees > 40)

    @output_guardrail
    async def no_secrets(context: Any, agent: Any, output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered="secret" in str(output))

    try:
        await Runner.run(Agent(name="a", model=MODEL, input_guardrails=[no_maths]), play("2+2", {"say": "4"}))
        raise AssertionError("the input guardrail did not stop it")
    except InputGuardrailTripwireTriggered:
        pass
    try:
        await Runner.run(Agent(name="a", model=MODEL, output_guardrails=[no_secrets]), play("x", {"say": "a secret"}))
        raise AssertionError("the output guardrail did not stop it")
    except OutputGuardrailTripwireTriggered:
        pass


async def tools_and_types() -> None:
    agent = Agent(name="w", model=MODEL, tools=[get_weather, fails], output_type=Forecast, instructions="BE-BRIEF")
    steps: list[dict[str, Any]] = [
        {
            "think": "hm",
            "say": "Looking.",
            "call": [["get_weather", {"city": "Rome"}], ["get_weather", {"city": "Oslo"}]],
        },
        {"think": "again", "call": [["fails", {}]]},
        {"json": {"city": "Rome", "degrees": 21.5}},
    ]
    for result in (await Runner.run(agent, play("W?", *steps)), (await streamed(agent, play("W?", *steps)))[0]):
        same(result.final_output, Forecast(city="Rome", degrees=21.5))
        same([len(r.usage.__dict__) > 0 for r in result.raw_responses], [True] * 3)
        outputs = [str(item.output) for item in result.new_items if item.type == "tool_call_output_item"]
        same(outputs[:2], ["sun over Rome", "sun over Oslo"])
        has(outputs[2], "error occurred")
        more = play("more", {"json": {"city": "u", "degrees": 2}})
        again = await Runner.run(agent, [*result.to_input_list(), {"role": "user", "content": more}])
        same(again.final_output.city, "u")
    thoughts = play(
        "t", {"think": "DEEP", "call": [["get_weather", {"city": "Rome"}]]}, {"say": "{{thoughts}}|{{tool.0}}"}
    )
    plain = Agent(name="t", model=MODEL, tools=[get_weather])
    same((await Runner.run(plain, thoughts)).final_output, "DEEP|sun over Rome")
    sealed = ModelSettings(store=False, response_include=["reasoning.encrypted_content"])
    same(
        (
            await Runner.run(Agent(name="t", model=MODEL, tools=[get_weather], model_settings=sealed), thoughts)
        ).final_output,
        "DEEP|sun over Rome",
    )
    forced = Agent(
        name="f",
        model=MODEL,
        tools=[get_weather],
        model_settings=ModelSettings(tool_choice="get_weather", parallel_tool_calls=False),
    )
    forced_prompt = play(
        "f", {"call": [["get_weather", {"city": "Bern"}]]}, {"say": "{{tool.0}} {{param.parallel_tool_calls}}"}
    )
    same((await Runner.run(forced, forced_prompt)).final_output, "sun over Bern false")


async def chained() -> None:
    agent = Agent(name="c", instructions="I", model=MODEL, tools=[get_weather])
    first = await Runner.run(
        agent,
        play("NOTE pet=cat", {"call": [["get_weather", {"city": "Rome"}]]}, {"say": "ok"}),
        auto_previous_response_id=True,
    )
    assert first.last_response_id
    second, _, _ = await streamed(
        agent, play("pet?", {"say": "{{note.pet}} {{users}} {{systems}}"}), previous_response_id=first.last_response_id
    )
    same(second.final_output, "cat 2 1")
    settings = ModelSettings(
        extra_args={"background": True}, metadata={"k": "v"}, top_logprobs=2, truncation="auto", verbosity="low"
    )
    tuned = Agent(name="b", model=MODEL, model_settings=settings)
    same((await streamed(tuned, play("b", {"say": "in the background"})))[0].final_output, "in the background")


async def everything() -> None:
    use_server()
    for part in (handoffs, guardrails, tools_and_types, chained):
        await part()


scenario(lambda: asyncio.run(everything()))
