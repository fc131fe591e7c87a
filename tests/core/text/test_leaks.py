# ruff: noqa: E501 (a table reads best with one case per line)
"""Leaked tool calls: each form whole and shattered into characters, offered and not offered, whole and cut off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from antiphon.core.deltas import TextDelta
from antiphon.core.text.leaks import CHANNELS, FAMILIES, NAMES, open_filters
from tests.core.text.leaked_calls import (
    BARE,
    GLM,
    HERMES,
    KIMI,
    KIMI_K3,
    MINIMAX,
    OFFERED,
    PARIS,
    QWEN,
    Played,
    cuts,
    played,
)

ROME = ("get_time", {"city": "Rome"})

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
QWEN_ARGUMENTS = {"city": "2024", "days": 3, "tags": ["a", "b"]}
HERMES_ROME = '<tool_call>{"name": "get_time", "arguments": "{\\"city\\": \\"Rome\\"}"}</tool_call>'
HARMONY = (
    "<|channel|>analysis<|message|>Where? <b>Paris</b>.<|end|><|start|>assistant<|channel|>commentary"
    ' to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>'
)
DSML_MARKS = ("｜｜DSML｜｜", "||DSML||", "‖DSML‖", " | DSML | ", "DSML ")
CLAUDE = "antml:"
STEP = (
    "<｜tool_calls_begin｜>"
    + "".join(
        f'<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="{name}"><steptml:parameter name="city">{city}'
        "</steptml:parameter></steptml:invoke><｜tool_call_end｜>"
        for name, city in (("get_weather", "Paris"), ("get_time", "Rome"))
    )
    + "<｜tool_calls_end｜>"
)
WEATHER_2 = ("get_weather", {"city": "Paris", "days": 2})

# Forms of models that came later than the filters' first ones.
LATER = [
    ("minimax", MINIMAX, ("", "", [PARIS, ROME])),
    ("minimax", MINIMAX.removeprefix("<minimax:tool_call>\n"), ("", "", [PARIS, ROME])),
    ("minimax", "Let me look.\n" + MINIMAX.replace("minimax:tool_call", "function_calls"), ("Let me look.\n", "", [PARIS, ROME])),
    ("minimax", '<invoke name="get_time">\n</invoke>', ("", "", [("get_time", {})])),
    (
        "minimax",
        '<invoke name="get_time"><parameter name="city">a</parameter> b</invoke></parameter></invoke>',
        ("", "", [("get_time", {"city": "a</parameter> b</invoke>"})]),
    ),
    ("kimi", KIMI, ("", "", [PARIS, ROME])),
    ("kimi", "Well.\n" + KIMI.replace("calls_section", "call_section"), ("Well.\n", "", [PARIS, ROME])),
    ("kimi", '<|tool_call_begin|>get_weather<|tool_call_argument_begin|>{"city": "Paris"}', ("", "", [PARIS])),
    ("kimi", "<|tool_call_begin|>functions.get_time:3<|tool_call_end|>", ("", "", [("get_time", {})])),
    ("kimi_k3", KIMI_K3, ("", "", [WEATHER_2])),
    ("kimi_k3", "<|open|>response<|sep|>Hm.<|close|>response<|sep|>" + KIMI_K3, ("Hm.", "", [WEATHER_2])),
    ("glm", GLM, ("", "", [WEATHER_2])),
    ("glm", GLM.replace("\n", ""), ("", "", [WEATHER_2])),
    ("glm", f"Hm.\n{GLM}\n{GLM}", ("Hm.\n", "", [WEATHER_2, WEATHER_2])),
    ("glm", "<tool_call>get_time</tool_call>", ("", "", [("get_time", {})])),
    ("glm", "<tool_call>get_time</arg_value></tool_call>", ("", "", [("get_time", {})])),
    ("glm", GLM.replace("city</arg_key>", "city</arg_key></arg_key>"), ("", "", [WEATHER_2])),
    ("glm", GLM.replace("<arg_key>city", "<arg_key><arg_key>city"), ("", "", [WEATHER_2])),
    ("glm", GLM.removesuffix("</tool_call>"), ("", "", [WEATHER_2])),
    (
        "glm",
        GLM.replace("Paris", "</tool_call>\n</arg_value> x"),
        ("", "", [("get_weather", {"city": "</tool_call>\n</arg_value> x", "days": 2})]),
    ),
    ("hermes", HERMES.replace("Paris", "</tool_call>"), ("", "", [("get_weather", {"city": "</tool_call>"})])),
    ("hermes", HERMES.replace('"', "'"), ("", "", [PARIS])),
    ("hermes", f"<tools>\n{BARE}\n{BARE}\n</tools>", ("", "", [PARIS, PARIS])),
    ("qwen_xml", QWEN.replace("\n</parameter>", ""), ("", "", [("get_weather", QWEN_ARGUMENTS)])),
    ("deepseek", DSML.replace("function_calls", "tool_calls"), ("", "", [WEATHER_2])),
    ("deepseek", DSML.replace("｜", "|"), ("", "", [WEATHER_2])),
    ("llama", '<function=get_weather>{"city": "Paris"}</function>', ("", "", [PARIS])),
    ("llama", '<function=get_weather={"city": "Paris"}</function>', ("", "", [PARIS])),
    ("llama", 'Well. <function=get_weather{"city": "Paris"}</function>', ("Well. ", "", [PARIS])),
    ("llama", '<|python_tag|>get_weather.call(city="Paris")<|eom_id|>', ("", "", [PARIS])),
    ("pythonic", '[get_weather(city="Paris"), get_time(city=\'Rome\')]', ("", "", [PARIS, ROME])),
    ("pythonic", '<|python_start|>[get_weather(city="Paris", days=2)]<|python_end|>', ("", "", [WEATHER_2])),
    ("pythonic", "<|python_start|>get_time('Rome')<|python_end|>", ("", "", [ROME])),
    (
        "pythonic",
        '[get_weather(city="a\\"b\\n", days=-1, tags=["x", {"y": None}, True])]',
        ("", "", [("get_weather", {"city": 'a"b\n', "days": -1, "tags": ["x", {"y": None}, True]})]),
    ),
    ("bare", BARE, ("", "", [PARIS])),
    ("bare", f'{BARE}\n\n{{"name": "get_time"}}', ("", "", [PARIS, ("get_time", {})])),
    ("bare", f"```json\n{BARE}\n```", ("", "", [PARIS])),
    ("bare", f"[{BARE}]", ("", "", [PARIS])),
    ("bare", BARE.replace("arguments", "parameters"), ("", "", [PARIS])),
    ("bare", f'{{"type": "function", "function": {BARE}}}', ("", "", [PARIS])),
    ("granite", f"<|tool_call|>[{BARE}]<|/tool_call|>", ("", "", [PARIS])),
    ("granite", f"<|tool_call|>[{BARE}]", ("", "", [PARIS])),
    ("nemotron", f"<TOOLCALL>[{BARE}]</TOOLCALL>", ("", "", [PARIS])),
    *(("deepseek", DSML.replace("｜DSML｜", mark), ("", "", [WEATHER_2])) for mark in DSML_MARKS),
    ("deepseek", "Hm.\n" + DSML.replace("function_calls", "tool_use"), ("Hm.\n", "", [WEATHER_2])),
    ("claude", MINIMAX.replace("minimax:tool_call", "function_calls").replace("<", f"<{CLAUDE}").replace(f"<{CLAUDE}/", f"</{CLAUDE}"), ("", "", [PARIS, ROME])),
    ("glm", f"<tool_calls>{GLM.replace('get_weather', 'get_weather<tool_sep>')}</tool_calls>", ("", "", [WEATHER_2])),
    ("step", STEP, ("", "", [PARIS, ROME])),
    ("longcat", f"Well. <longcat_tool_call>{BARE}</longcat_tool_call>", ("Well. ", "", [PARIS])),
    ("internlm", f"Well. <|action_start|><|plugin|>\n{BARE}<|action_end|>", ("Well. ", "", [PARIS])),
    ("internlm", f"<|action_start|> <|plugin|>{BARE.replace('arguments', 'parameters')}<|action_end|>", ("", "", [PARIS])),
    ("lfm", '<|tool_call_start|>[get_weather(city="Paris"), get_time(city="Rome")]<|tool_call_end|>', ("", "", [PARIS, ROME])),
    ("olmo", '<function_calls>get_weather(city="Paris")\nget_time(city="Rome")</function_calls>', ("", "", [PARIS, ROME])),
    ("gemma", '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>,days:2}<tool_call|>', ("", "", [WEATHER_2])),
    ("gemma", 'Hm. <|tool_call>call:get_weather{city:<|"|>a{b}"c\n<|"|>, tags:[<|"|>x<|"|>,{y:null}, true]}<tool_call|>', ("Hm. ", "", [("get_weather", {"city": 'a{b}"c\n', "tags": ["x", {"y": None}, True]})])),
    ("gemma", '<|tool_call>call:get_time{}<tool_call|><|tool_call>call:get_time{city:<|"|>Rome<|"|>}', ("", "", [("get_time", {}), ROME])),
    ("gemma", "<start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>", ("", "", [PARIS])),
    ("gemma_code", '```tool_code\nget_weather(city="Paris")\n```', ("", "", [PARIS])),
    ("gemma_code", '```tool_code\n[get_weather(city="Paris"), get_time(city="Rome")]\n```', ("", "", [PARIS, ROME])),
    ("gemma_code", '```tool_code\nget_weather(city="Paris")\n```\nDone.', ("\nDone.", "", [PARIS])),
    ("phi", f"functools[{BARE}]", ("", "", [PARIS])),
    ("bare", f'{{"tool_calls": [{BARE}, {BARE}]}}', ("", "", [PARIS, PARIS])),
    ("gpt_oss", HARMONY.partition("<|end|>")[2], ("", "", [PARIS])),
    ("gpt_oss", 'Well. <|start|>assistant to=functions.get_time<|channel|>commentary json<|message|>{"city": "Rome"}', ("Well. ", "", [ROME])),
    ("gpt_oss", '<|channel|>commentary to=get_weather<|message|>{"city": "Paris"}<|call|>', ("", "", [PARIS])),
]  # fmt: skip

CASES = [
    *LATER,
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
    ("minimax", '<invoke name="delete_all"><parameter name="x">1</parameter></invoke>'),
    ("minimax", "<invoke the gods> and <function_calls> too"),
    ("kimi", KIMI.replace("get_", "drop_")),
    ("kimi", "<|tool_calls_section_begin|> is a marker, <|tool_call_begin|> too"),
    ("kimi_k3", KIMI_K3.replace("get_weather", "delete_all").partition("<|close|>message")[0]),
    ("glm", GLM.replace("get_weather", "delete_all")),
    ("glm", "<tool_call>get_weather is what it says</tool_call>"),
    ("glm", "<tool_call>get_weather\n<arg_key>city</arg_key> and no value"),
    ("hermes", "<tool_call>{'name': open('x')}</tool_call> and more"),
    ("pythonic", "[get_weather](https://example.com) is a link"),
    ("pythonic", "[1, 2]"),
    ("pythonic", '[get_weather(city="Paris")] is how it is called'),
    ("pythonic", "[get_weather(city=open('x'))]"),
    ("pythonic", "<|python_start|>print(1)<|python_end|>"),
    ("bare", '{"name": "Ada", "arguments": {}}'),
    ("bare", '{"name": "get_weather", "age": 36}'),
    ("bare", f"```json\n{BARE}\n```\nThis is how it is called."),
    ("bare", "```python\nprint(1)\n```"),
    ("bare", '{"type": "object", "properties": {}}'),
    ("bare", '{"name": "get_'),
    ("bare", "[]"),
    ("bare", "``"),
    ("gemma", '<|tool_call>call:delete_all{a:<|"|>b<|"|>}<tool_call|>'),
    ("gemma", '<|tool_call>call:get_weather{city:<|"|>Paris and no end'),
    ("gemma", "<|tool_call>call:get_weather is its name"),
    ("gemma", "<|tool_call>call:get_weather{city:[}<tool_call|>"),
    ("gemma_code", "```tool_code\nprint(1)\n```"),
    ("gemma_code", "```tools"),
    ("phi", "functools.partial is a function"),
    ("phi", "func"),
    ("phi", "functools[1, 2]"),
    ("lfm", "<|tool_call_start|>nothing<|tool_call_end|>"),
    ("olmo", "<function_calls>print(1)</function_calls>"),
    ("gpt_oss", '<|channel|>commentary to=functions.delete_all<|message|>{"a": 1}<|call|>'),
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


def play(leaks: str | Sequence[str], pieces: Sequence[str]) -> Played:
    found: list[Any] = [TextDelta(piece) for piece in pieces]
    for filter in open_filters([leaks] if isinstance(leaks, str) else leaks, OFFERED):
        found = [*(one for first in found for one in through(filter, first)), *filter.close()]
    return played(found)


def through(filter: Any, found: Any) -> list[Any]:
    return filter.feed(found.text) if isinstance(found, TextDelta) else [found]


@pytest.mark.parametrize(("leak", "text", "expected"), CASES)
def test_a_leaked_call_is_found(leak: str, text: str, expected: Played) -> None:
    for pieces in cuts(text):
        assert play(leak, pieces) == expected, pieces


@pytest.mark.parametrize(("leak", "text"), UNCHANGED)
def test_other_text_passes_unchanged(leak: str, text: str) -> None:
    for pieces in cuts(text):
        assert play(leak, pieces) == (text, "", []), pieces


@pytest.mark.parametrize("leak", NAMES)
def test_plain_text_streams(leak: str) -> None:
    (filter,) = open_filters([leak], OFFERED)
    assert [filter.feed(piece) for piece in ("Hello", " there", "!")] == [
        [TextDelta("Hello")],
        [TextDelta(" there")],
        [TextDelta("!")],
    ]


@pytest.mark.parametrize(("leak", "text", "expected"), CASES)
def test_it_is_found_among_all_families(leak: str, text: str, expected: Played) -> None:
    names = [name for name in NAMES if name != CHANNELS or leak == CHANNELS]
    for pieces in cuts(text):
        assert play(names, pieces) == expected, pieces


@pytest.mark.parametrize("text", [text for leak, text in UNCHANGED if leak not in (CHANNELS, "qwen_xml")])
def test_other_text_passes_all_families(text: str) -> None:
    for pieces in cuts(text):
        assert play(list(FAMILIES), pieces) == (text, "", []), pieces


def test_text_without_a_mark_need_not_be_looked_at() -> None:
    (reader,) = open_filters(list(FAMILIES), OFFERED)
    assert reader.marks is None
    reader.feed("Hello")
    assert reader.marks == {"<", "["}
    reader.feed(" <tool")
    assert reader.marks is None
    reader.feed("s of iron>")
    assert reader.marks == {"<", "["}


@pytest.mark.parametrize(
    "begin",
    [
        '{"city": "Par',
        '{"id": 5',
        '{"name": "Ada"',
        '{"type": "obj',
        '[{"x',
        "[1",
        "[See b",
        "```py",
        '```json\n{"b',
        "<b>",
        "{{",
        "Hi",
    ],
)
def test_an_answer_that_is_no_call_streams_from_its_beginning(begin: str) -> None:
    (reader,) = open_filters(list(FAMILIES), OFFERED)
    said = [one.text for piece in begin for one in reader.feed(piece) if isinstance(one, TextDelta)]
    assert "".join(said) == begin
