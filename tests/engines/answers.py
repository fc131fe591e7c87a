"""What every engine is tried with: one function per feature, by the name of its row. Each raises what is not right.

The prompts are those that the demo model knows: its answers at temperature 0 are always the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.engines.asking import Asking, Json, expect, items, text, thoughts

Feature = Callable[[Asking], None]
FEATURES: dict[str, Feature] = {}
ROOM = 80  # tokens for an answer
WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
        "additionalProperties": False,
    },
    "strict": True,
}
EVENT: Json = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "date": {"type": "string"},
        "participants": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "date", "participants"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HELLO = "Say hello in five words."
PARIS = "What is the weather in Paris?"
BOTH = "What is the weather in Paris and in Rome?"


def feature(run: Feature) -> Feature:
    """Put a feature into the table, by its name."""
    FEATURES[run.__name__.removeprefix("_").replace("_", " ")] = run
    return run


def calls(response: Json) -> list[tuple[str, Json]]:
    """Return the calls of functions: names and arguments."""
    return [(call["name"], json.loads(call["arguments"])) for call in items(response, "function_call")]


def results(response: Json, *outputs: str) -> list[Json]:
    """Return an output for each call."""
    made = items(response, "function_call")
    return [
        {"type": "function_call_output", "call_id": call["call_id"], "output": output}
        for call, output in zip(made, outputs, strict=True)
    ]


def ignored(response: Json) -> str:
    """Return what was ignored of the request, in words; background and WebSocket have no header for it."""
    return f"{response['status']}, ignored: {response.get('ignored') or 'nothing told'}"


def untagged(response: Json) -> None:
    """Make sure that no mark of thoughts or calls is left in the text."""
    found = [mark for mark in ("think>", "tool_call>", "<|im_") if mark in text(response)]
    expect(not found, f"{found} in the text {text(response)!r}")


@feature
def _text(ask: Asking) -> None:
    made = ask(input=HELLO, max_output_tokens=ROOM)
    expect(made["status"] == "completed", made["status"])
    expect(len(text(made).split()) == 5, text(made))
    untagged(made)


@feature
def _usage(ask: Asking) -> None:
    usage = ask(input=HELLO, max_output_tokens=ROOM)["usage"]
    expect(usage is not None, "usage is null")
    expect(usage["input_tokens"] > 10 and usage["output_tokens"] > 5, usage)
    expect(usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], usage)


@feature
def _thoughts(ask: Asking) -> None:
    made = ask(input="What is 2 + 2?", reasoning={"effort": "high"}, max_output_tokens=ROOM)
    untagged(made)
    expect(thoughts(made).strip(), f"no thoughts; text {text(made)!r}; {ignored(made)}")
    expect("4" in text(made), f"text {text(made)!r}, thoughts {thoughts(made)!r}")


@feature
def _no_thoughts(ask: Asking) -> None:
    made = ask(input="What is 2 + 2?", reasoning={"effort": "none"}, max_output_tokens=ROOM)
    untagged(made)
    expect("4" in text(made), text(made))
    expect(not thoughts(made), f"thoughts {thoughts(made)!r}; {ignored(made)}")


@feature
def _call(ask: Asking) -> None:
    asked = {"tools": [WEATHER], "max_output_tokens": ROOM}
    made = ask(input=PARIS, **asked)
    expect(calls(made) == [("get_weather", {"location": "Paris"})], made["output"])
    untagged(made)
    after = ask(input=results(made, "18 degrees, sunny"), previous_response_id=made["id"], **asked)
    expect("18" in text(after), after["output"])


@feature
def _parallel_calls(ask: Asking) -> None:
    asked = {"tools": [WEATHER], "max_output_tokens": 160}
    made = ask(input=BOTH, **asked)
    expect([arguments["location"] for _, arguments in calls(made)] == ["Paris", "Rome"], made["output"])
    ids = [call["call_id"] for call in items(made, "function_call")]
    expect(len(set(ids)) == 2, ids)
    after = ask(input=results(made, "18 degrees", "25 degrees"), previous_response_id=made["id"], **asked)
    expect(after["status"] == "completed" and text(after), after["output"])


@feature
def _one_call_at_a_time(ask: Asking) -> None:
    made = ask(input=BOTH, tools=[WEATHER], parallel_tool_calls=False, max_output_tokens=160)
    expect(len(calls(made)) == 1, made["output"])


@feature
def _forced_call(ask: Asking) -> None:
    made = ask(
        input="Hello",
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "get_weather"},
        max_output_tokens=ROOM,
    )
    expect([name for name, _ in calls(made)] == ["get_weather"], f"no call; {ignored(made)}; {text(made)!r}")


@feature
def _required_call(ask: Asking) -> None:
    made = ask(input="Hello", tools=[WEATHER], tool_choice="required", max_output_tokens=ROOM)
    expect([name for name, _ in calls(made)] == ["get_weather"], f"no call; {ignored(made)}; {text(made)!r}")


@feature
def _tool_choice_none(ask: Asking) -> None:
    made = ask(input=PARIS, tools=[WEATHER], tool_choice="none", max_output_tokens=ROOM)
    expect(not calls(made) and text(made), made["output"])


@feature
def _custom_tool(ask: Asking) -> None:
    made = ask(
        input="Write a line of shell that lists files.",
        tools=[{"type": "custom", "name": "shell", "description": "Runs shell"}],
        tool_choice={"type": "custom", "name": "shell"},
        max_output_tokens=ROOM,
    )
    made_calls = items(made, "custom_tool_call")
    right = made["status"] == "incomplete" or (made_calls and made_calls[0]["name"] == "shell")
    expect(right, f"no call; {ignored(made)}; {text(made)!r}")


@feature
def _json_schema(ask: Asking) -> None:
    made = ask(
        instructions="Extract the event information.",
        input="Alice and Bob are going to a science fair on Friday.",
        text={"format": {"type": "json_schema", "name": "event", "schema": EVENT, "strict": True}},
        max_output_tokens=160,
    )
    expect(sorted(json.loads(text(made))) == ["date", "name", "participants"], text(made))


@feature
def _json_object(ask: Asking) -> None:
    made = ask(
        input="Give JSON for Alice, 7 years old.", text={"format": {"type": "json_object"}}, max_output_tokens=160
    )
    expect(isinstance(json.loads(text(made)), dict), text(made))


@feature
def _cut_off(ask: Asking) -> None:
    made = ask(input="Count from 1 to 20.", max_output_tokens=16)
    expect(made["status"] == "incomplete", (made["status"], made["output"]))
    expect(made["incomplete_details"] == {"reason": "max_output_tokens"}, made["incomplete_details"])


@feature
def _more_than_the_window(ask: Asking) -> None:
    made = ask(input="Hi", max_output_tokens=100_000)
    expect(made["status"] == "completed" and text(made), made)


@feature
def _overflow(ask: Asking) -> None:
    try:
        made = ask(input="word " * 5_000, max_output_tokens=ROOM)
    except Exception as error:
        if "context_length_exceeded" in str(error):
            return
        raise
    expect(False, f"{made['status']}: {text(made)[:80]!r}")


@feature
def _truncation(ask: Asking) -> None:
    said = [{"role": "user", "content": "word " * 1500}] * 6
    made = ask(input=[*said, {"role": "user", "content": HELLO}], truncation="auto", max_output_tokens=ROOM)
    expect(text(made), made)


@feature
def _chained(ask: Asking) -> None:
    first = ask(input="My name is Ada.", max_output_tokens=ROOM)
    made = ask(input="What is my name?", previous_response_id=first["id"], max_output_tokens=ROOM)
    expect("Ada" in text(made), text(made))


@feature
def _conversation(ask: Asking) -> None:
    conversation = ask.client.conversations.create().id
    ask(input="My name is Bob.", conversation=conversation, max_output_tokens=ROOM)
    made = ask(input="What is my name?", conversation=conversation, max_output_tokens=ROOM)
    expect("Bob" in text(made), text(made))


@feature
def _replayed(ask: Asking) -> None:
    said: Json = {"role": "user", "content": PARIS}
    asked: dict[str, Any] = {
        "tools": [WEATHER],
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "high"},
        "max_output_tokens": 160,
    }
    made = ask(input=[said], **asked)
    expect(calls(made), f"no call; {ignored(made)}; {text(made)!r}")
    after = ask(input=[said, *made["output"], *results(made, "18 degrees, sunny")], **asked)
    expect("18" in text(after), after["output"])


@feature
def _logprobs(ask: Asking) -> None:
    made = ask(input=HELLO, include=["message.output_text.logprobs"], top_logprobs=2, max_output_tokens=ROOM)
    part = items(made, "message")[-1]["content"][0]
    tokens = [one["token"] for one in part.get("logprobs") or ()]
    expect(tokens, "no logprobs")
    expect("".join(tokens) == part["text"], tokens)


@feature
def _unicode(ask: Asking) -> None:
    said = "Grüße 你好 🙂🙃 नमस्ते"
    schema = {"type": "object", "properties": {"a": {"const": said}}, "required": ["a"], "additionalProperties": False}
    wanted = {"type": "json_schema", "name": "said", "schema": schema, "strict": True}
    made = ask(input=f"Repeat after me: {said}", text={"format": wanted}, max_output_tokens=200)
    expect(json.loads(text(made)) == {"a": said}, text(made))


@feature
def _image_refused(ask: Asking) -> None:
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
    content = [{"type": "input_text", "text": "What is it?"}, picture]
    try:
        made = ask(input=[{"role": "user", "content": content}], max_output_tokens=ROOM)
    except Exception as error:
        if "image" in str(error).lower():
            return
        raise
    expect(False, f"it answered without a word on the picture: {text(made)!r}")
