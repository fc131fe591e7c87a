"""What looks through a model's text costs as much as the text is long, whatever is in it and however it is cut."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from json import dumps

import pytest
from msgspec import Raw

from antiphon.core.text.leaks import NAMES, LeakedCall, open_filters
from antiphon.core.text.thoughts import ThinkSplitter
from antiphon.core.tools.input_unwrapper import Unwrapper
from tests.growth import assert_linear, cpu_time

pytestmark = pytest.mark.slow

OFFERED = {"f": Raw(b'{"type":"object","properties":{"a":{"type":"string"}}}')}
ALL = "all families"
LEAKS: list[str] = [*NAMES, ALL]
DSML = "<｜DSML｜function_calls>"

OPENERS = [
    "", "<tool_call>", "<tool_call>{", "<function=f>", "<tool_call><function=f>", "<|channel|>", "<|start|>",
    "[TOOL_CALLS]", "[TOOL_CALLS][", '{"name":', '{"name":"f","arguments":{"a":"', "<|python_tag|>{",
    "<｜tool▁calls▁begin｜>", DSML, "<think>", '{"input":"', '{"x":"', " ", "<|channel|>final to=f<|message|>",
    "<tool_call>f<arg_key>a</arg_key><arg_value>", "[f(", "[f(a=", "<|python_start|>f(", '<invoke name="f">',
    "<|tool_call_begin|>f<|tool_call_argument_begin|>{", '<|open|>call tool="f"<|sep|>', "```json\n{",
    '[{"name":"f","arguments":{}},', "<tool_call>{'a':",
]  # fmt: skip
FILLERS = [
    "}", "{", "[", "]", ">", "<", " ", "\n", "x", "\\", "\\d", '"', "`", "```", "<tool_call>", "</tool_call>",
    "<function=", "<parameter=", "</function>", "<parameter=a>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>",
    "to=f", "[TOOL_CALLS]", "[TOOL_CALLS]f{}", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
    '<｜DSML｜invoke name="', "<|python_tag|>", '<｜DSML｜invoke name="f">', '<｜DSML｜parameter name="', "<think>",
    "</think>", "<tool_call>x</tool_call>", "\\ud800", "<arg_key>", "</arg_value>",
    "<arg_key>a</arg_key><arg_value>x</arg_value>", "<parameter=a>x", '<parameter name="a">x</parameter>',
    "</parameter>", "f(a=1)", "a=1,", "'", "1,", ")", "(", "<invoke", "f:", "<|tool_calls_section_begin|>",
    "<|tool_call_begin|>f:0", "<|open|>", '{"name":"f","arguments":{}}', "<tool_call>f",
]  # fmt: skip


def run(leak: str, pieces: Iterable[str]) -> None:
    reader = open_filters(NAMES if leak == ALL else [leak], OFFERED)[-1]
    for piece in pieces:
        reader.feed(piece)
    reader.close()


def think(pieces: Iterable[str], *, opened: bool) -> None:
    splitter = ThinkSplitter(opened=opened)
    for piece in pieces:
        splitter.feed(piece)
    splitter.close()


def unwrap(pieces: Iterable[str]) -> None:
    unwrapper = Unwrapper()
    for piece in pieces:
        unwrapper.feed(piece)
    unwrapper.close()


READERS: dict[str, Callable[[Iterable[str]], None]] = {
    **{leak: lambda pieces, leak=leak: run(leak, pieces) for leak in LEAKS},
    "think": lambda pieces: think(pieces, opened=False),
    "opened": lambda pieces: think(pieces, opened=True),
    "unwrap": unwrap,
}


# Each of these once cost the square of its length.
SQUARES = [
    ("hermes", "<tool_call>", "}"),
    ("hermes", "", "<tool_call>x</tool_call>"),
    ("qwen_xml", "<tool_call><function=f>", "<parameter="),
    ("qwen_xml", "<tool_call><function=f>", "}"),
    ("deepseek", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"),
    ("deepseek", DSML, '<｜DSML｜invoke name="'),
    ("glm", "<tool_call>f<arg_key>a</arg_key><arg_value>", "</arg_value>"),
    ("glm", "<tool_call>f", "<arg_key>a</arg_key><arg_value>x</arg_value>"),
    ("glm", "", "<tool_call>f"),
    ("minimax", '<invoke name="f">', '<parameter name="a">x</parameter>'),
    ("pythonic", "[f(a=[", "1,"),
    ("pythonic", "<|python_start|>f(", "a=1,"),
    ("pythonic", "[f(a='", ")"),
    ("bare", '[{"name":"f","arguments":{}},', '{"name":"f","arguments":{}}'),
    ("all families", "<tool_call>{'a':", "'"),
    ("all families", "", "<tool_call>"),
    ("all families", "", "<"),
    ("qwen_xml", "<function=f>" + "<parameter=a>x" * 900, "</parameter>x"),
    ("minimax", '<invoke name="f">' + '<parameter name="a">x' * 900, "</parameter>x"),
    ("glm", "<tool_call>f" + "<arg_key>a</arg_key><arg_value>x" * 900, "</arg_value>x"),
    ("mistral", "[TOOL_CALLS]", " "),
    ("mistral", "[TOOL_CALLS]", ","),
    ("harmony", "<|channel|>", "x"),
    ("mistral", "[TOOL_CALLS][", "}"),
    ("llama", '{"name":', "}"),
    ("llama", "", " "),
    ("think", "", " "),
    ("unwrap", '{"x":"', "x"),
    ("unwrap", "", " "),
    ("unwrap", '{"input":"', "\\d"),
]
CHANCE = random.Random(5)
SOME = [(reader, CHANCE.choice(OPENERS), CHANCE.choice(FILLERS)) for reader in READERS for _ in range(8)]


@pytest.mark.parametrize(("reader", "opener", "filler"), [*SQUARES, *SOME])
def test_the_cost_is_linear(reader: str, opener: str, filler: str) -> None:
    read = READERS[reader]
    assert_linear(lambda size: cpu_time(lambda: read([opener, *[filler] * size])), 2000)
    assert_linear(lambda size: cpu_time(lambda: read([opener + filler * size])), 2000)


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize(
    "text", ['{"a":' + "9" * 5000 + "}", "[" * 100_000, '{"a":' * 50_000, '{"a":1e999}', '{"a":NaN}']
)
def test_text_that_no_parser_takes_is_text(leak: str, text: str) -> None:
    for opener in OPENERS:
        run(leak, [opener + text])
        run(leak, [opener, f'{{"name":"f","arguments":{text}}}', "</tool_call>"])


@pytest.mark.parametrize("schema", ["5", "[]", '{"properties":[1]}', '{"properties":5}', "[" * 5000, "9" * 5000])
def test_a_schema_of_another_shape_does_no_harm(schema: str) -> None:
    (reader,) = open_filters(["qwen_xml"], {"f": Raw(schema.encode())})
    reader.feed("<tool_call><function=f><parameter=a>1</parameter></function></tool_call>")
    reader.close()


@pytest.mark.parametrize("leak", ["hermes", "qwen_xml", "mistral", "llama", "glm", "minimax", "kimi", "bare"])
def test_a_long_call_in_small_pieces_is_still_found(leak: str) -> None:
    arguments = {"a": "x }" * 20_000}
    text = {
        "hermes": "<tool_call>{}</tool_call>".format(dumps({"name": "f", "arguments": arguments})),
        "qwen_xml": "<tool_call><function=f><parameter=a>{}</parameter></function></tool_call>".format(arguments["a"]),
        "mistral": "[TOOL_CALLS][{}]".format(dumps({"name": "f", "arguments": arguments})),
        "llama": dumps({"name": "f", "parameters": arguments}),
        "bare": dumps({"name": "f", "parameters": arguments}),
        "glm": f"<tool_call>f<arg_key>a</arg_key><arg_value>{arguments['a']}</arg_value></tool_call>",
        "minimax": f'<invoke name="f"><parameter name="a">{arguments["a"]}</parameter></invoke>',
        "kimi": f"<|tool_call_begin|>f:0<|tool_call_argument_begin|>{dumps(arguments)}<|tool_call_end|>",
    }[leak]
    (reader,) = open_filters([leak], OFFERED)
    found = [one for place in range(0, len(text), 7) for one in reader.feed(text[place : place + 7])] + reader.close()
    (call,) = found
    assert isinstance(call, LeakedCall) and call.name == "f"
