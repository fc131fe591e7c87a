"""Leaked tool calls: each form whole and shattered into characters, offered and not offered, whole and cut off."""

from __future__ import annotations

from collections.abc import Sequence
from json import loads
from typing import Any

import pytest
from msgspec import Raw

from antiphon.core.deltas import ReasoningDelta, TextDelta
from antiphon.core.text.leaks import FILTERS, LeakedCall, open_filters

SCHEMA = Raw(
    b'{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},"tags":{"type":"array"}}}'
)
OFFERED = {"get_weather": SCHEMA, "get_time": SCHEMA}
PARIS = ("get_weather", {"city": "Paris"})
ROME = ("get_time", {"city": "Rome"})

Played = tuple[str, str, list[tuple[str, Any]]]

DEEPSEEK_OLD = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
    '{"city": "Paris"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n```json\n'
    '{"city": "Rome"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
)
DSML = (
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">Paris'
    '</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
    "</｜DSML｜function_calls>"
)
QWEN = (
    "<tool_call>\n<function=get_weather>\n<parameter=city>\n2024\n</parameter>\n<parameter=days>\n3\n</parameter>\n"
    '<parameter=tags>\n["a", "b"]\n</parameter>\n</function>\n</tool_call>'
)
QWEN_ARGUMENTS = {"city": "2024", "days": 3, "tags": ["a", "b"]}
HERMES = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
HERMES_ROME = '<tool_call>{"name": "get_time", "arguments": "{\\"city\\": \\"Rome\\"}"}</tool_call>'
HARMONY = (
    "<|channel|>analysis<|message|>Where? <b>Paris</b>.<|end|><|start|>assistant<|channel|>commentary"
    ' to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>'
)

CASES = [
    ("hermes", HERMES, ("", "", [PARIS])),
    ("hermes", "Let me look.\n" + HERMES, ("Let me look.\n", "", [PARIS])),
    ("hermes", f"\n{HERMES}\n{HERMES_ROME}\n", ("", "", [PARIS, ROME])),
    ("hermes", f"{HERMES} Done.", (" Done.", "", [PARIS])),
    ("hermes", HERMES.removesuffix("</tool_call>"), ("", "", [PARIS])),
    ("hermes", '<tool_call>{"name": "get_weather", "parameters": {"city": "Paris"}}</tool_call>', ("", "", [PARIS])),
    ("qwen_xml", QWEN, ("", "", [("get_weather", QWEN_ARGUMENTS)])),
    ("qwen_xml", "Hm.\n" + QWEN[len("<tool_call>\n") :], ("Hm.\n", "", [("get_weather", QWEN_ARGUMENTS)])),
    ("qwen_xml", "<function=get_time>\n</function>", ("", "", [("get_time", {})])),
    ("mistral", '[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}}]', ("", "", [PARIS])),
    (
        "mistral",
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}[TOOL_CALLS]get_time[CALL_ID]abc[ARGS]{"city": "Rome"}',
        ("", "", [PARIS, ROME]),
    ),
    ("mistral", 'Well.[TOOL_CALLS] get_weather{"city": "Paris"}', ("Well.", "", [PARIS])),
    ("llama", '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}<|eom_id|>', ("", "", [PARIS])),
    ("llama", '{"name": "get_weather", "parameters": {"city": "Paris"}}', ("", "", [PARIS])),
    ("llama", '\n{"type": "function", "name": "get_time", "parameters": {"city": "Rome"}}', ("", "", [ROME])),
    (
        "llama",
        '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}; '
        '{"name": "get_time", "parameters": {"city": "Rome"}}',
        ("", "", [PARIS, ROME]),
    ),
    ("deepseek", DEEPSEEK_OLD, ("", "", [PARIS, ROME])),
    (
        "deepseek",
        'Yes.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris"}<｜tool▁call▁end｜>'
        "<｜tool▁calls▁end｜>",
        ("Yes.", "", [PARIS]),
    ),
    ("deepseek", DSML, ("", "", [("get_weather", {"city": "Paris", "days": 2})])),
    ("harmony", HARMONY, ("", "Where? <b>Paris</b>.", [PARIS])),
    ("harmony", HARMONY.removesuffix("<|call|>"), ("", "Where? <b>Paris</b>.", [PARIS])),
    (
        "harmony",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello<|return|>",
        ("Hello", "Hm.", []),
    ),
    (
        "harmony",
        '<|start|>assistant to=functions.get_time<|channel|>commentary json<|message|>{"city": "Rome"}<|call|>',
        ("", "", [ROME]),
    ),
]

UNCHANGED = [
    ("hermes", "a < b, <tool and <tool_call without an end"),
    ("hermes", '<tool_call>{"name": "delete_all", "arguments": {}}</tool_call>'),
    ("hermes", "<tool_call>not JSON</tool_call> and more"),
    ("qwen_xml", "if x <function of y> then"),
    ("qwen_xml", "<function=delete_all>\n<parameter=x>\n1\n</parameter>\n</function>"),
    ("qwen_xml", '<tool_call>{"name": "get_weather", "arguments": {}}</tool_call>'),
    ("mistral", '[TOOL_CALLS][{"name": "delete_all", "arguments": {}}]'),
    ("mistral", "[TOOL_CALLS] is a marker. [TOOL"),
    ("llama", '{"name": "Ada", "age": 36} is a person'),
    ("llama", '{"answer": 42}'),
    ("llama", "{"),
    ("llama", '<|python_tag|>search.call(query="x")'),
    ("deepseek", "<｜tool▁calls▁begin｜>nothing<｜tool▁calls▁end｜>"),
    ("deepseek", "fullwidth ｜ and <｜ signs"),
    ("harmony", "1 <|2 and <|chan"),
    ("harmony", '<|channel|>commentary to=functions.delete_all<|message|>{"a": 1}<|call|>'),
    ("harmony", "<|start|>assistant without a message"),
]


def play(leak: str, pieces: Sequence[str]) -> Played:
    (filter,) = open_filters([leak], OFFERED)
    found = [one for piece in pieces for one in filter.feed(piece)] + filter.close()
    text = "".join(one.text for one in found if isinstance(one, TextDelta))
    reasoning = "".join(one.text for one in found if isinstance(one, ReasoningDelta))
    calls = [(one.name, loads(one.arguments)) for one in found if isinstance(one, LeakedCall)]
    return text, reasoning, calls


def cuts(text: str) -> list[list[str]]:
    """Return the text whole, in characters, and in pairs of every cut."""
    return [[text], list(text), *([text[:place], text[place:]] for place in range(1, len(text)))]


@pytest.mark.parametrize(("leak", "text", "expected"), CASES)
def test_a_leaked_call_is_found(leak: str, text: str, expected: Played) -> None:
    for pieces in cuts(text):
        assert play(leak, pieces) == expected, pieces


@pytest.mark.parametrize(("leak", "text"), UNCHANGED)
def test_other_text_passes_unchanged(leak: str, text: str) -> None:
    for pieces in cuts(text):
        assert play(leak, pieces) == (text, "", []), pieces


@pytest.mark.parametrize("leak", FILTERS)
def test_plain_text_streams(leak: str) -> None:
    (filter,) = open_filters([leak], OFFERED)
    assert [filter.feed(piece) for piece in ("Hello", " there", "!")] == [
        [TextDelta("Hello")],
        [TextDelta(" there")],
        [TextDelta("!")],
    ]


def test_a_filter_passes_on_what_another_knows() -> None:
    filters = open_filters(["hermes", "qwen_xml"], OFFERED)
    found = [one for first in [*filters[0].feed(QWEN), *filters[0].close()] for one in _into(filters[1], first)]
    assert [one for one in found if isinstance(one, LeakedCall)] == [
        LeakedCall("get_weather", '{"city":"2024","days":3,"tags":["a","b"]}')
    ]


def _into(filter: Any, found: Any) -> list[Any]:
    return filter.feed(found.text) + filter.close() if isinstance(found, TextDelta) else [found]
