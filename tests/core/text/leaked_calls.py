"""Leaked calls of all families, as data."""

from __future__ import annotations

from collections.abc import Sequence
from json import loads
from typing import Any

from msgspec import Raw

from antiphon.core.deltas import ReasoningDelta, TextDelta
from antiphon.core.text.leaks import LeakedCall

SCHEMA = Raw(
    b'{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"tags":{"type":"array"}}}'
)
OFFERED = {"get_weather": SCHEMA, "get_time": SCHEMA}
PARIS = ("get_weather", {"city": "Paris"})

Played = tuple[str, str, list[tuple[str, Any]]]
QWEN = (
    "<tool_call>\n<function=get_weather>\n<parameter=city>\n2024\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
    '<parameter=tags>\n["a", "b"]\n</parameter>\n</function>\n</tool_call>'
)
HERMES = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'

MINIMAX = (
    '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n</invoke>\n'
    '<invoke name="get_time">\n<parameter name="city">Rome</parameter>\n</invoke>\n</minimax:tool_call>'
)
KIMI = (
    '<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"city": "Paris"}'
    '<|tool_call_end|><|tool_call_begin|>functions.get_time:1<|tool_call_argument_begin|>{"city": "Rome"}<|tool_call_end|>'
    "<|tool_calls_section_end|>"
)
KIMI_K3 = (
    '<|open|>tools<|sep|><|open|>call tool="get_weather" index="0"<|sep|><|open|>argument key="city" type="string"<|sep|>'
    'Paris<|close|>argument<|sep|><|open|>argument key="days" type="number"<|sep|>2<|close|>argument<|sep|><|close|>call<|sep|>'
    "<|close|>tools<|sep|><|close|>message<|sep|><|end_of_msg|>"
)
GLM = (
    "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n<arg_key>days</arg_key>\n"
    "<arg_value>2</arg_value>\n</tool_call>"
)
BARE = '{"name": "get_weather", "arguments": {"city": "Paris"}}'


def played(found: Sequence[Any]) -> Played:
    text = "".join(one.text for one in found if isinstance(one, TextDelta))
    reasoning = "".join(one.text for one in found if isinstance(one, ReasoningDelta))
    calls = [(one.name, loads(one.arguments)) for one in found if isinstance(one, LeakedCall)]
    return text, reasoning, calls


def cuts(text: str) -> list[list[str]]:
    """Return the text whole, in characters, and in pairs of every cut."""
    return [[text], list(text), *([text[:place], text[place:]] for place in range(1, len(text)))]
