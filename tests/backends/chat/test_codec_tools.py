"""Tool choices, grammars and schemas in chat completions: what is sent, what is refused and by whose fault."""

from __future__ import annotations

from json import dumps
from typing import Any

import msgspec
import pytest

from antiphon.core.request.text_format import resolve_text
from antiphon.core.tools.offers import Offer, Target
from antiphon.errors import APIError, InvalidRequest
from antiphon.types.request import TextConfig
from antiphon.types.tools import ToolChoice
from tests.backends.chat.chats import PATCH, WEATHER, ask, sent
from tests.backends.chat.codec_requests import Json


@pytest.mark.parametrize(
    ("choice", "expected", "offered"),
    [
        ("none", "none", ["get_weather", "apply_patch"]),
        ("required", "required", ["get_weather", "apply_patch"]),
        (
            ToolChoice(type="function", name="get_weather"),
            {"type": "function", "function": {"name": "get_weather"}},
            ["get_weather", "apply_patch"],
        ),
        (
            ToolChoice(type="custom", name="apply_patch"),
            {"type": "function", "function": {"name": "apply_patch"}},
            ["get_weather", "apply_patch"],
        ),
        (
            ToolChoice(type="allowed_tools", mode="auto", tools=[{"type": msgspec.Raw(b'"custom"')}]),
            None,
            ["apply_patch"],
        ),
        (
            ToolChoice(
                type="allowed_tools",
                mode="required",
                tools=[{"type": msgspec.Raw(b'"function"'), "name": msgspec.Raw(b'"get_weather"')}],
            ),
            "required",
            ["get_weather"],
        ),
    ],
)
def test_tool_choice(choice: Any, expected: Any, offered: list[str]) -> None:
    body = sent(ask(tools=[WEATHER, PATCH, {"type": "web_search"}], tool_choice=choice))
    assert body.get("tool_choice") == expected
    assert [tool["function"]["name"] for tool in body["tools"]] == offered


def test_a_choice_of_a_server() -> None:
    remote = [Offer(target=Target("mcp", "t", label)) for label in ("a", "b")]
    choice = ToolChoice(type="mcp", server_label="b")
    body = sent(ask(tools=[WEATHER], server_tools=remote, tool_choice=choice))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["b__t"] and body["tool_choice"] == "required"


def test_a_choice_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(ask(tools=[WEATHER], tool_choice=ToolChoice(type="function", name="x")))
    assert caught.value.param == "tool_choice"


def test_without_tools_there_is_no_choice() -> None:
    assert "tool_choice" not in sent(ask(tools=[{"type": "web_search"}], tool_choice="auto"))
    assert "tools" not in sent(ask(tools=[WEATHER], tool_choice="none"), "ollama")


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        (ToolChoice(type="web_search"), "web_search"),
        ("required", "web_search"),
        (
            ToolChoice(type="allowed_tools", mode="required", tools=[{"type": msgspec.Raw(b'"web_search"')}]),
            "web_search",
        ),
    ],
)
def test_a_forced_tool_that_nobody_runs_is_refused(choice: Any, named: str) -> None:
    with pytest.raises(InvalidRequest, match=f"does not run the tool '{named}'") as refused:
        sent(ask(tools=[{"type": "web_search"}], tool_choice=choice))
    assert refused.value.param == "tool_choice"


def test_a_forced_call_where_the_server_does_not_obey() -> None:
    recursive = {
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/N"}},
        "$defs": {"N": {"anyOf": [{"$ref": "#/$defs/N"}]}},
    }
    tools = [WEATHER, {"type": "function", "name": "tree", "parameters": recursive}]
    body = sent(ask(tools=tools, tool_choice="required"), "llama_cpp")
    schema = body["response_format"]["json_schema"]["schema"]
    assert body["tool_choice"] == "none" and len(body["tools"]) == 2
    assert [form["properties"]["name"]["const"] for form in schema["anyOf"]] == ["get_weather", "tree"]
    assert schema["anyOf"][1]["properties"]["arguments"]["properties"] == {"n": {"$ref": "#/$defs/t1_N"}}
    assert schema["$defs"] == {"t1_N": {"anyOf": [{"$ref": "#/$defs/t1_N"}]}}
    named = sent(ask(tools=tools, tool_choice=ToolChoice(type="function", name="get_weather")), "llama_cpp")
    assert named["response_format"]["json_schema"]["schema"]["properties"]["name"] == {"const": "get_weather"}


@pytest.mark.parametrize(
    ("profile", "syntax", "definition", "fields"),
    [
        ("llama_cpp", "regex", "a|b", {"grammar": 'root ::= "a" | "b"\n'}),
        ("llama_cpp", "lark", 'start: "a"', {"grammar": 'root ::= l-start\nl-start ::= "a"\n'}),
        ("vllm", "regex", "a|b", {"structured_outputs": {"regex": "a|b"}}),
        ("vllm", "lark", 'start: "a"', {"structured_outputs": {"grammar": 'root ::= l-start\nl-start ::= "a"\n'}}),
        ("sglang", "regex", "a|b", {"regex": "a|b"}),
        ("sglang", "lark", 'start: "a"', {"ebnf": 'root ::= l-start\nl-start ::= "a"\n'}),
    ],
)
def test_a_forced_custom_tool_is_held_to_its_grammar(profile: str, syntax: str, definition: str, fields: Json) -> None:
    tool = {**PATCH, "format": {"type": "grammar", "syntax": syntax, "definition": definition}}
    body = sent(ask(tools=[tool], tool_choice=ToolChoice(type="custom", name="apply_patch")), profile)
    assert {name: body[name] for name in fields} == fields and body["tool_choice"] == "none"
    assert definition in body["tools"][0]["function"]["description"]


# Names of fields


@pytest.mark.parametrize("quote", ['"', '\\"', "\\u0022", "\n", "\x7f", "é😀"])
def test_the_name_of_a_field_stays_a_name(quote: str) -> None:
    name = f'z{quote}:0,"model":"other","messages":[],{quote}y'
    body = sent(ask(extra={name: msgspec.Raw(b"0"), "model": msgspec.Raw(b'"other"')}))
    assert (body["model"], body[name]) == ("m", 0)
    assert body["messages"]


@pytest.mark.parametrize("given", ["5", "[1]", '"x"', "[" * 5000 + "]" * 5000, '{"a":1}'])
def test_template_arguments_that_are_no_object_are_the_clients_fault(given: str) -> None:
    turn = ask(extra={"chat_template_kwargs": msgspec.Raw(given.encode())}, reasoning_effort="high")
    if given.startswith("{"):
        assert sent(turn, "vllm")["chat_template_kwargs"]["enable_thinking"] is True
        return
    with pytest.raises(InvalidRequest) as caught:
        sent(turn, "vllm")
    assert (caught.value.status, caught.value.param) == (400, "chat_template_kwargs")


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000 + "]" * 5000])
def test_allowed_tools_that_cannot_be_read_are_the_clients_fault(value: str) -> None:
    choice = ToolChoice(type="allowed_tools", mode="auto", tools=[{"type": msgspec.Raw(value.encode())}])
    with pytest.raises(InvalidRequest):
        sent(ask(tools=[WEATHER], tool_choice=choice))


# What a client's declarations may not be


LARK = ['start: "\\x"', 'start: "\\N{foo}"..x', 'start: "a"..foo', 'start: "\0"', "", "start:" + " (" * 5000]


@pytest.mark.parametrize("profile", ["llama_cpp", "vllm", "sglang"])
@pytest.mark.parametrize("definition", LARK)
def test_a_wrong_grammar_names_its_tool(profile: str, definition: str) -> None:
    tool = {**PATCH, "format": {"type": "grammar", "syntax": "lark", "definition": definition}}
    space = {"type": "namespace", "name": "n", "description": "", "tools": [tool]}
    choice = ToolChoice(type="custom", name="apply_patch")
    for tools, where in (([WEATHER, tool], "tools[1]"), ([space], "tools[0].tools[0]")):
        with pytest.raises(InvalidRequest) as refused:
            sent(ask(tools=tools, tool_choice=choice), profile)
        assert refused.value.param == f"{where}.format.definition"


def test_a_wrong_expression_names_its_tool() -> None:
    tool = {**PATCH, "format": {"type": "grammar", "syntax": "regex", "definition": "(" * 5000}}
    with pytest.raises(InvalidRequest) as refused:
        sent(ask(tools=[tool], tool_choice=ToolChoice(type="custom", name="apply_patch")), "llama_cpp")
    assert refused.value.param == "tools[0].format.definition"


def test_a_grammar_that_cannot_be_carried_over_stays_in_the_description() -> None:
    tool = {**PATCH, "format": {"type": "grammar", "syntax": "regex", "definition": "(?=a)b"}}
    body = sent(ask(tools=[tool], tool_choice=ToolChoice(type="custom", name="apply_patch")), "llama_cpp")
    assert "grammar" not in body and "(?=a)b" in body["tools"][0]["function"]["description"]


def nested(depth: int) -> Json:
    schema: Json = {"$ref": "#/$defs/x"}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "$ref": "#/$defs/x", "$defs": [1]},
        {"type": "object", "$ref": "#/$defs/x", "$defs": 5},
        {"type": "object", "$ref": "#/definitions/x", "definitions": "x"},
        {"type": "object", "$ref": "#/$defs/x", "$defs": None},
        {"type": "object", "properties": {"a": nested(300)}},
        {"type": "object", "$defs": {"x": nested(300)}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/x", "enum": ["x" * 2**20]}}},
    ],
)
def test_a_schema_that_cannot_be_put_into_another_names_its_tool(parameters: Json) -> None:
    tool = {"type": "function", "name": "f", "parameters": parameters}
    with pytest.raises(InvalidRequest) as refused:
        sent(ask(tools=[WEATHER, tool], tool_choice=ToolChoice(type="function", name="f")), "llama_cpp")
    assert refused.value.param == "tools[1].parameters"


def test_a_format_that_cannot_be_put_into_another_is_named() -> None:
    for schema in ({"$ref": "#/$defs/x", "$defs": [1]}, nested(300)):
        config = dumps({"format": {"type": "json_schema", "name": "n", "schema": schema}})
        text = resolve_text(msgspec.json.decode(config, type=TextConfig))
        with pytest.raises(InvalidRequest) as refused:
            sent(ask(text=text, tools=[WEATHER]), "llama_cpp")
        assert refused.value.param == "text.format.schema"


def test_what_an_mcp_server_declares_wrongly_is_its_fault() -> None:
    remote = [Offer(target=Target("mcp", "t", "s"), parameters=msgspec.Raw(b'{"$ref":"#/$defs/x","$defs":[1]}'))]
    turn = msgspec.structs.replace(ask(tools=[WEATHER], tool_choice="required"), server_tools=remote)
    with pytest.raises(APIError) as refused:
        sent(turn, "llama_cpp")
    assert (refused.value.status, refused.value.code) == (424, "mcp_server_error")
