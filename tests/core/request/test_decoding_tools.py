"""Tools and tool choices in requests: lenient spellings, and their bounds."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

import pytest
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request import tool_decoding
from antiphon.core.request.decoding import (
    decode_request,
    decode_tools,
)
from antiphon.core.request.echo import echo_tools
from antiphon.core.request.tool_decoding import MOST_LISTS
from antiphon.errors import InvalidRequest
from antiphon.types.tools import FunctionTool, OtherTool
from tests.core.request.decoding_setup import _LOOK, Json, _echo


def _tool(tool: Json) -> Any:
    return decode_tools([dumps(tool).encode()])[0]  # type: ignore[list-item]  # Raw or bytes


def _parameters(parameters: Json) -> Json:
    tool = _tool({"type": "function", "name": "look", "parameters": parameters})
    assert isinstance(tool, FunctionTool) and tool.parameters is not None
    result: Json = loads(bytes(tool.parameters))
    return result


def test_a_string_as_required_is_a_list_of_one() -> None:
    assert _parameters({"required": "location"}) == {"required": ["location"]}
    nested = {"type": "object", "properties": {"at": {"type": "object", "required": "x"}}}
    assert _parameters(nested)["properties"]["at"]["required"] == ["x"]


def test_a_property_that_is_called_required_stays() -> None:
    schema = {"properties": {"required": {"type": "string", "default": {"required": "no"}}}, "required": "required"}
    assert _parameters(schema) == {**schema, "required": ["required"]}


def test_chat_completions_nested_function_is_taken() -> None:
    nested = {key: value for key, value in _LOOK.items() if key != "type"}
    assert to_json(_tool({"type": "function", "function": nested})) == to_json(_tool(_LOOK))


@pytest.mark.parametrize("kind", ["function", "custom", "namespace"])
def test_nulls_in_a_tool_stand_for_nothing(kind: str) -> None:
    optional = {"description": None, "parameters": None, "strict": None, "format": None, "defer_loading": None}
    assert to_json(_tool({"type": kind, "name": "a", **optional})) == to_json(_tool({"type": kind, "name": "a"}))


def test_tools_that_nobody_runs_here_are_echoed_as_they_came() -> None:
    picture = {"type": "image_generation", "quality": "high"}
    assert isinstance(_tool(picture), OtherTool)
    assert _echo(tools=[picture, _LOOK])["tools"][0] == picture


def test_hosted_tools_are_echoed_with_their_defaults() -> None:
    search = {"type": "web_search", "external_web_access": True, "filters": {"allowed_domains": ["a.org"]}}
    echoed = _echo(tools=[search, _LOOK])["tools"][0]
    assert echoed == {**search, "search_context_size": "medium", "user_location": echoed["user_location"]}
    assert echoed["user_location"]["type"] == "approximate"


@pytest.mark.parametrize(
    "choice",
    [
        "none",
        "auto",
        "required",
        {"type": "function", "name": "look"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "mcp", "server_label": "x"}]},
        {"type": "web_search_preview"},
        {"type": "mcp", "server_label": "x", "name": "y"},
    ],
)
def test_every_form_of_tool_choice_is_echoed(choice: Any) -> None:
    assert _echo(tools=[_LOOK], tool_choice=choice)["tool_choice"] == choice


def test_a_choice_may_name_a_tool_of_a_namespace() -> None:
    space = {"type": "namespace", "name": "n", "description": "", "tools": [_LOOK]}
    assert _echo(tools=[space], tool_choice={"type": "function", "name": "look"})["tool_choice"]["name"] == "look"


def _levels(depth: int) -> bytes:
    return b'{"items":' * depth + b"{}" + b"}" * depth


@pytest.mark.parametrize("depth", [150, 700, 900, 20_000])
def test_a_string_as_required_beside_deep_schemas_is_refused(depth: int) -> None:
    tool = b'{"type":"function","name":"f","parameters":{"required":"a","properties":{"a":%b}}}' % _levels(depth)
    with pytest.raises(InvalidRequest) as refused:
        decode_tools([Raw(tool)])
    assert refused.value.param.startswith("tools[0]")


@pytest.mark.parametrize("filler", [b'"%b"' % (b"x" * 600_000), b"1" * 5000, b'"\xff"'])
def test_a_string_as_required_beside_what_cannot_be_rewritten(filler: bytes) -> None:
    tool = b'{"type":"function","name":"f","parameters":{"required":"a","default":%b}}' % filler
    with pytest.raises(InvalidRequest) as refused:
        decode_tools([Raw(tool)])
    assert refused.value.param.startswith("tools[0]")


def test_what_is_rewritten_in_one_request_has_a_bound() -> None:
    tool = b'{"type":"function","name":"f","parameters":{"required":"a","description":"%b"}}' % (b"x" * 5000)
    assert len(decode_tools([Raw(tool)] * 80)) == 80
    with pytest.raises(InvalidRequest, match="must be a list of strings"):
        decode_tools([Raw(tool)] * 200)
    plain = tool.replace(b'"required":"a"', b'"required":["a"]')
    assert len(decode_tools([Raw(plain)] * 200)) == 200


def _list(*names: str, **fields: Any) -> list[Raw]:
    return [Raw(to_json({"type": "function", "name": name, **fields})) for name in names]


def test_a_list_that_is_declared_again_is_the_same_one() -> None:
    first = decode_tools(_list("look", "wait"))
    assert decode_tools(_list("look", "wait")) is first and isinstance(first, tuple)
    assert echo_tools(first) is echo_tools(first)
    assert loads(bytes(echo_tools(first))) == loads(bytes(echo_tools(list(first))))


def test_lists_of_as_many_bytes_are_told_apart() -> None:
    first, other = decode_tools(_list("look", "wait")), decode_tools(_list("look", "walk"))
    assert [tool.name for tool in other if isinstance(tool, FunctionTool)] == ["look", "walk"]
    assert decode_tools(_list("look", "wait")) == first
    with pytest.raises(InvalidRequest):
        decode_tools([Raw(bytes(raw).replace(b'"wait"', b"null  ")) for raw in _list("look", "wait")])


@pytest.mark.parametrize(
    "tools",
    [
        [
            *_list("look"),
            Raw(to_json({"type": "mcp", "server_label": "s", "server_url": "https://a.b", "authorization": "x"})),
        ],
        _list("look", description="x" * 70_000),
    ],
    ids=["with a secret", "large"],
)
def test_some_lists_are_not_kept(tools: list[Raw]) -> None:
    assert decode_tools(tools) is not decode_tools(tools) and decode_tools(tools) == decode_tools(tools)


def test_few_lists_are_kept() -> None:
    for number in range(3 * MOST_LISTS):
        decode_tools(_list("look", description="x" * number))
    assert len(tool_decoding._known_lists) <= MOST_LISTS


def test_a_request_of_another_api_is_told_as_one() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(b'{"model":"m","messages":[]}')
    assert caught.value.param == "input" and "'messages' is a parameter of /v1/chat/completions" in caught.value.message
