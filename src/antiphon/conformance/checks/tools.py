"""Tools that the client runs, and who is to call them."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from antiphon.conformance.base import Area
from antiphon.conformance.checks.responses import created
from antiphon.conformance.grammar import calls_of, text_of
from antiphon.conformance.talk import CheckTalk
from antiphon.conformance.wire import Json, decoded

AREA = Area("tools")
SECTION = "API guides, Function calling"
CHOICE = "API reference, Responses, Create a response, tool_choice"
PARIS = "What is the weather in Paris?"
PLACE: Json = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
    "additionalProperties": False,
}
WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a place.",
    "parameters": PLACE,
    "strict": True,
}
TIME: Json = {**WEATHER, "name": "get_time", "description": "Get the time of day at a place."}
FORCED: Json = {"type": "function", "name": "get_weather"}
_PLACE = jsonschema_rs.validator_for(PLACE)


async def called(talk: CheckTalk, **fields: Any) -> tuple[Json, Json]:
    """Create a response that must call get_weather; return it and its first call. Raises NonConforming, NotOffered."""
    response = await created(talk, **{"input": PARIS, "tools": [WEATHER], "tool_choice": FORCED, **fields})
    calls = calls_of(response)
    talk.need(calls, "the model called no function")
    talk.need(calls[0]["name"] == "get_weather", f"it called {calls[0]['name'][:60]}")
    arguments = decoded(calls[0]["arguments"].encode())
    talk.need(isinstance(arguments, dict), "the arguments are no JSON object")
    talk.want(_PLACE.is_valid(arguments), "the arguments of a strict function do not follow its schema")
    return response, calls[0]


def result(call: Json, text: str = "18 degrees, sunny") -> Json:
    """Return the output of a call."""
    return {"type": "function_call_output", "call_id": call["call_id"], "output": text}


@AREA.check("forced call", "a function that `tool_choice` names is called, with arguments by its schema", CHOICE)
async def _forced(talk: CheckTalk) -> None:
    await called(talk)


@AREA.check("required call", "with `required` a function is called", CHOICE)
async def _required(talk: CheckTalk) -> None:
    await called(talk, tool_choice="required")


@AREA.check("no call", "with `none` no function is called", CHOICE)
async def _none(talk: CheckTalk) -> None:
    response = await created(talk, input=PARIS, tools=[WEATHER], tool_choice="none")
    talk.need(not calls_of(response), "it called a function")
    talk.need(text_of(response).strip(), "the response says nothing")


@AREA.check("allowed tools", "only those functions are called that `allowed_tools` lists", CHOICE)
async def _allowed(talk: CheckTalk) -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [FORCED]}
    await called(talk, input="What time is it in Paris?", tools=[TIME, WEATHER], tool_choice=allowed)


@AREA.check("output", "the output of a call, sent with the call, is answered", SECTION)
async def _output(talk: CheckTalk) -> None:
    first, call = await called(talk)
    said = [{"role": "user", "content": PARIS}, *first["output"], result(call)]
    response = await created(talk, input=said, tools=[WEATHER])
    talk.need(text_of(response).strip() or calls_of(response), "the response says nothing")


@AREA.check("output by id", "the output of a call is answered with `previous_response_id`", SECTION)
async def _output_by_id(talk: CheckTalk) -> None:
    first, call = await called(talk)
    response = await created(talk, input=[result(call)], tools=[WEATHER], previous_response_id=first["id"])
    talk.need(text_of(response).strip() or calls_of(response), "the response says nothing")


@AREA.check("output without a call", "an output of a call that nobody made is a 400", SECTION)
async def _stray(talk: CheckTalk) -> None:
    await talk.refused("POST", "/responses", {"model": talk.model, "input": [result({"call_id": "call_nobody_made"})]})


@AREA.check(
    "one at a time", "without `parallel_tool_calls` at most one call is made", f"{SECTION}, Parallel function calling"
)
async def _one(talk: CheckTalk) -> None:
    asked = "What is the weather in Paris, in Rome and in Oslo?"
    response = await created(talk, input=asked, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False)
    talk.need(len(calls_of(response)) == 1, f"{len(calls_of(response))} calls were made")
    talk.want(response.get("parallel_tool_calls") is False, "response.parallel_tool_calls is not the request's")


@AREA.check("custom tool", "a custom tool is called with a text", f"{SECTION}, Custom tools")
async def _custom(talk: CheckTalk) -> None:
    tool = {"type": "custom", "name": "run_code", "description": "Run a line of Python."}
    choice = {"type": "custom", "name": "run_code"}
    response = await created(talk, input="Print 2 + 2 in Python.", tools=[tool], tool_choice=choice)
    calls = calls_of(response, "custom_tool_call")
    talk.need(calls, "the model did not call the custom tool")
    talk.need(calls[0]["name"] == "run_code", f"it called {calls[0]['name'][:60]}")


@AREA.check("required without tools", "`required` without a tool is a 400", CHOICE)
async def _without(talk: CheckTalk) -> None:
    await talk.refused("POST", "/responses", {"model": talk.model, "input": "Hi", "tool_choice": "required"})
