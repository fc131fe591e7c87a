"""openai-python: asynchronous tools with late outputs, and prompt cache diagnostics, whole, streamed and in background."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from typing import Any

from openai import OpenAI

from tests.clients.lib import API_KEY, BASE_URL, MODEL, play, same, scenario

client = OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
create: Any = client.responses.create
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Read the weather of a city.",
    "async": True,
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def whole(**request: Any) -> Any:
    return create(model=MODEL, tools=[WEATHER], **request)


def streamed(**request: Any) -> Any:
    with client.responses.stream(model=MODEL, tools=[WEATHER], **request) as stream:
        return stream.get_final_response()


def background(**request: Any) -> Any:
    made = whole(background=True, **request)
    while made.status in ("queued", "in_progress"):
        time.sleep(0.05)
        made = client.responses.retrieve(made.id)
    return made


def goes_on() -> None:
    for number, ask in enumerate((whole, streamed, background)):
        steps = [{"call": [["get_weather", {"city": "Paris"}]]}, {"say": "Pack a coat."}]
        first = ask(input=play(f"MARK-async-{number} The weather, and what to pack?", *steps))
        call, message = first.output
        same((call.type, call.async_, json.loads(call.arguments)), ("function_call", True, {"city": "Paris"}))
        same(message.content[0].text, "Pack a coat.")
        later = ask(input=play("Shoes?", {"say": "Boots {{note.weather}}"}), previous_response_id=first.id)
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "NOTE weather=rain"}
        options = {"comparison_response_id": later.id}
        last = ask(input=[output], previous_response_id=later.id, prompt_cache_options=options)
        same(last.output_text, "Boots rain")
        same(last.prompt_cache_diagnostics.type, "cache_hit")
        with urllib.request.urlopen(f"{os.environ['UPSTREAM_URL']}/kept/MARK-async-{number}") as answer:
            kept = json.load(answer)["kept"]
        assert len(kept) == 3 and min(kept) >= 0.99, kept


def tells_why() -> None:
    first = whole(input=play("Hello.", {"say": "Hi."}), instructions="Be brief.")
    other: Any = {**WEATHER, "name": "get_time"}
    options: Any = {"comparison_response_id": first.id}
    request = {"model": MODEL, "input": play("Hello.", {"say": "Hi."}), "instructions": "Be brief."}
    told = create(**request, tools=[other], prompt_cache_options=options).prompt_cache_diagnostics
    same((told.type, told.reason), ("cache_miss", "tools_changed"))
    options["comparison_response_id"] = "resp_nobody"
    told = create(**request, tools=[WEATHER], prompt_cache_options=options).prompt_cache_diagnostics
    same(told.type, "comparison_response_not_found")


def prewarms() -> None:
    made = create(model=MODEL, input="Hello.", prompt_cache_options={"prewarm": True})
    same((made.status, made.output), ("completed", []))


def main() -> None:
    goes_on()
    tells_why()
    prewarms()


scenario(main)
