"""Requests of `/v1/decisions` and `/v1/systemone` to be mutated."""

from __future__ import annotations

from random import Random
from typing import Any

Json = dict[str, Any]
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
PARTS: list[Json] = [
    {"type": "input_text", "text": "It rains.", "prompt_cache_breakpoint": {"mode": "explicit"}},
    {"type": "input_json", "data": {"a": [1, None, {"b": "c"}]}},
    {"type": "input_json", "data": [{"a": 1e308}, {}]},
    {"type": "input_image", "image_url": PIXEL, "detail": "original"},
]
INPUTS: list[Any] = [
    "A text.",
    [{"role": "user", "content": PARTS}],
    [
        {"role": "system", "content": "Rules."},
        {"role": "assistant", "content": [{"type": "output_text", "text": "x"}, {"type": "refusal", "refusal": "y"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [PARTS[0]]},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": ""},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "z"},
    ],
]
SAID = (
    "Yes",
    "A",
    "0",
    '{"A": 0.5, "Yes": 1, "0": "3 %"}',
    "/error 502 kaputt",
    "/finish content_filter",
    "/think hm\nB",
    "I",
)


def decision(random: Random) -> Json:
    """Return a request whose questions the scripted model answers in many ways."""
    said = random.choice(SAID)
    questions: list[Json] = [
        {"type": "predicate", "name": "p", "instructions": f"x\n{said}"},
        {
            "type": "choice",
            "instructions": [*PARTS, {"type": "input_text", "text": said}],
            "choices": _options(random, "value"),
        },
        {"type": "score", "name": None, "instructions": said, "levels": _options(random, "label", 10)},
    ]
    return {
        "model": "scripted",
        "input": random.choice(INPUTS),
        "questions": random.choices(questions, k=random.choice((1, 1, 3, 20))),
        "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
        "safety_identifier": "s",
    }


def _options(random: Random, name: str, most: int = 255) -> list[Json]:
    count = random.choice((2, 3, min(21, most), most))
    return [{name: f"o{index}", "description": random.choice(("", "d", "a\nB: b", "\x00"))} for index in range(count)]


def systemone(random: Random) -> Json:
    """Return the same in the words of the other API."""
    criteria = {f"o{index}": random.choice((None, "d", {"x": 1})) for index in range(random.choice((2, 3, 30)))}
    questions = {
        "n": {"type": "noul", "instructions": random.choice(SAID), "criteria": {"true": "x", "false": None}},
        "c": {"type": "choice", "instructions": {"q": ["x"]}, "criteria": random.choice((criteria, list(criteria)))},
        "s": {"type": "score", "instructions": "x", "criteria": ["a", "b", {"c": 1}]},
    }
    return {
        "model": "scripted",
        "state": random.choice(("x", {"a": 1}, [1, "y"], None)),
        "questions": questions,
        "instructions": "Be strict.",
        "images": random.choice(([], [PIXEL.partition(",")[2]], ["?"])),
        "keep_alive": "5m",
    }
