"""Leaked tool calls: each form whole and shattered into characters, offered and not offered, whole and cut off."""

from __future__ import annotations

from collections.abc import Sequence
from json import loads
from typing import Any

import pytest
from msgspec import Raw

from antiphon.core.deltas import ReasoningDelta, TextDelta
from antiphon.core.text.leaks import CHANNELS, FAMILIES, NAMES, LeakedCall, Row, open_filters
from antiphon.core.text.leaks.base import LONGEST
from antiphon.core.text.leaks.reader import MOST_CALLS
from tests.growth import cpu_time

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
WEATHER_2 = ("get_weather", {"city": "Paris", "days": 2})
BARE = '{"name": "get_weather", "arguments": {"city": "Paris"}}'

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


def played(found: Sequence[Any]) -> Played:
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


OWN = {
    "json": Row(shape="json", opener="<<call>>", closer="<</call>>", around=("<<calls>>", "<</calls>>")),
    "named": Row(shape="named", opener="CALL:", separators=("->",)),
    "markup": Row(
        shape="markup", opener="@call ", closer="@end", head_end=";", parameter="@set ", key_end="=", value_end=";"
    ),
    "pythonic": Row(shape="pythonic", opener="<py>", closer="</py>"),
}
SAID = {
    "json": '<<calls>><<call>>{"name": "get_weather", "arguments": {"city": "Paris"}}<</call>><</calls>>',
    "named": 'CALL:get_weather -> {"city": "Paris"}',
    "markup": "@call get_weather; @set city=Paris; @end",
    "pythonic": "<py>get_weather(city='Paris')</py>",
}


@pytest.mark.parametrize("shape", OWN)
def test_a_family_of_the_users_own(shape: str) -> None:
    for pieces in cuts("Well. " + SAID[shape]):
        (reader,) = open_filters(["mine"], OFFERED, own={"mine": (OWN[shape],)})
        found = [one for piece in pieces for one in reader.feed(piece)] + reader.close()
        assert played(found) == ("Well. ", "", [PARIS])


@pytest.mark.parametrize("name", ["GetWeather", "functions.GetWeather:0", "tools.get-weather"])
@pytest.mark.parametrize(
    "form", [HERMES, GLM, MINIMAX, KIMI, KIMI_K3, QWEN, BARE, '[TOOL_CALLS]get_weather{"city": "Paris"}']
)
def test_names_that_mean_an_offered_function(form: str, name: str) -> None:
    text = form.replace("functions.get_weather:0", "get_weather").replace("get_weather", name)
    for pieces in ([text], list(text)):
        (reader,) = open_filters(list(FAMILIES), OFFERED, lambda said: "get_weather" if "eather" in said else None)
        found = [one for piece in pieces for one in reader.feed(piece)] + reader.close()
        said, _, calls = played(found)
        assert (said, calls[0][0]) == ("", "get_weather")


def test_what_is_looked_at_in_vain_ends() -> None:
    text = '<tool_call>{"name": "x", "arguments": {"a": "' + "x" * 3000
    (reader,) = open_filters(["hermes"], OFFERED)
    found = [one for _ in range(3000) for one in reader.feed(text + '"}}</tool_call>')] + reader.close()
    assert len("".join(one.text for one in found if isinstance(one, TextDelta))) == 3000 * len(text + '"}}</tool_call>')
    assert played(reader.feed(HERMES) + reader.close())[2] == []


def found_in(family: str, text: str) -> list[Any]:
    """Return what is found in a text that comes whole, by a reader for one family."""
    (reader,) = open_filters([family], OFFERED)
    return [*reader.feed(text), *reader.close()]


MANY = [
    ("kimi_k3", "<|end_of_msg|>a", 20_000),
    ("kimi_k3", "<|close|>message<|sep|>", 40_000),
    ("llama", "<|eot_id|>", 60_000),
    ("glm", "<tool_call>", 80_000),
    (CHANNELS, "<|channel|>analysis<|message|>a<|end|>", 25_000),
    (CHANNELS, "<|channel|>final<|message|>", 35_000),
]


@pytest.mark.parametrize(("family", "marker", "times"), MANY)
def test_of_very_many_markers_the_rest_is_text(family: str, marker: str, times: int) -> None:
    few = cpu_time(lambda: found_in(family, marker * (times // 10)))
    assert cpu_time(lambda: found_in(family, marker * times)) < max(0.02, few) * 4  # 10 times as much without a bound
    assert marker in "".join(one.text for one in found_in(family, marker * times) if not isinstance(one, LeakedCall))


@pytest.mark.parametrize(
    ("family", "call"), [("hermes", HERMES), ("pythonic", "<|python_start|>[get_time()]<|python_end|>")]
)
def test_no_more_calls_are_looked_for_than_an_answer_may_have(family: str, call: str) -> None:
    calls = [one for one in found_in(family, call * 3000) if isinstance(one, LeakedCall)]
    assert MOST_CALLS < len(calls) < 2 * MOST_CALLS


ENDLESS = [
    '<tool_call>{"name": "get_weather", "arguments": {"city": "',
    '{"name": "get_weather", "arguments": {"city": "',
    "<|channel|>commentary to=get_weather<|message|>",
    "<tool_call>get_weather<arg_key>city</arg_key><arg_value>",
]


@pytest.mark.parametrize("text", ENDLESS)
def test_a_call_that_is_too_long_is_text_and_is_not_kept(text: str) -> None:
    filters = open_filters(list(NAMES), OFFERED)
    said = 0
    for piece in (text, *["x" * 65536] * 17):
        for found in (one for first in filters[0].feed(piece) for one in filters[1].feed(first.text)):  # type: ignore[union-attr]
            assert isinstance(found, TextDelta)
            said += len(found.text)
    assert said > LONGEST
