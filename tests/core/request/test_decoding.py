"""Requests in: what is refused and how, and what real clients send that must be taken."""

from __future__ import annotations

from contextlib import suppress
from json import dumps, loads
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import asdict

from antiphon.core.context import input_items, keep_input
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import (
    check_tool_choice,
    decode_item,
    decode_items,
    decode_request,
    decode_tools,
    resolve_text,
)
from antiphon.core.request.echo import Defaults, echo_response
from antiphon.core.request.json_text import check_json
from antiphon.errors import InvalidRequest
from antiphon.types.items import (
    CustomToolCall,
    FunctionCall,
    FunctionCallOutput,
    ItemReference,
    Message,
    OtherItem,
    OutputText,
    Reasoning,
)
from antiphon.types.request import CreateResponse
from antiphon.types.tools import FunctionTool, OtherTool
from tests.malformed import REFUSED, Refused

Json = dict[str, Any]


def _take(body: bytes, setting: Any = "forward") -> tuple[CreateResponse, Json]:
    """Decode all of a request, as the intake does, and return it with what its response echoes."""
    request, _ = decode_request(check_json(body), setting)
    tools = decode_tools(request.tools)
    check_tool_choice(request.tool_choice, tools)
    text = resolve_text(request.text)
    input_items(request.input)
    response = echo_response(request, id="resp_1", created_at=1, tools=tools, text=text, defaults=Defaults())
    return request, loads(to_json(response))


def _body(**fields: Any) -> bytes:
    return dumps({"model": "golden", "input": "Hello.", **fields}).encode()


def _echo(**fields: Any) -> Json:
    return _take(_body(**fields))[1]


def _item(item: Json) -> Any:
    return decode_item(dumps(item).encode(), "input[0]")


# Refused


def test_there_are_enough_rows_and_each_has_a_name_of_its_own() -> None:
    assert len(REFUSED) >= 100
    assert len({row.name for row in REFUSED}) == len(REFUSED)


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_a_malformed_request_is_refused_where_the_fault_is(row: Refused) -> None:
    with pytest.raises(InvalidRequest) as caught:
        _take(row.body, row.setting)
    error = caught.value
    assert (error.status, error.param, error.code) == (row.status, row.param, row.code)
    assert error.message
    assert error.body()["detail"] == error.message


def test_the_hint_names_the_right_field() -> None:
    with pytest.raises(InvalidRequest, match="max_output_tokens"):
        decode_request(_body(max_tokens=5))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_bytes_of_any_kind_are_refused_politely(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode_request(check_json(body))


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(CreateResponse.__struct_fields__), _json_values, max_size=5))
def test_a_request_is_taken_or_refused_never_a_bug(fields: Json) -> None:
    with suppress(InvalidRequest):
        _take(dumps({"model": "golden", "input": "Hi", **fields}).encode())


# Fields


def test_nulls_stand_for_defaults() -> None:
    nullable = [name for name in CreateResponse.__struct_fields__ if name not in ("model", "input")]
    request, echo = _take(_body(**dict.fromkeys(nullable)))
    assert request == _take(_body())[0]
    assert echo == _echo()
    assert (echo["temperature"], echo["top_p"], echo["presence_penalty"], echo["frequency_penalty"]) == (1, 1, 0, 0)
    assert echo["parallel_tool_calls"] is True
    assert echo["store"] is True
    assert echo["tool_choice"] == "auto"
    assert echo["truncation"] == "disabled"


def test_the_limits_themselves_are_taken() -> None:
    echo = _echo(
        model="m" * 255,
        temperature=2,
        top_p=0,
        top_logprobs=20,
        presence_penalty=-2,
        frequency_penalty=2,
        max_output_tokens=1,
        metadata={f"{n:064}": "v" * 512 for n in range(16)},
    )
    assert (echo["temperature"], echo["top_p"], echo["top_logprobs"], echo["max_output_tokens"]) == (2, 0, 20, 1)
    assert len(echo["metadata"]) == 16


@pytest.mark.parametrize(
    "history", [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}, {"prompt": {"id": "p"}}]
)
def test_input_may_be_absent_or_empty_beside_a_history(history: Json) -> None:
    without = {"model": "golden", **history}
    assert input_items(decode_request(dumps(without).encode())[0].input) == []
    assert input_items(decode_request(dumps({**without, "input": []}).encode())[0].input) == []


def test_an_empty_string_is_an_input() -> None:
    """Codex asks so whether a model is there."""
    request, _ = _take(_body(input="", max_output_tokens=1))
    assert input_items(request.input) == [Message(role="user", content="")]


@pytest.mark.parametrize(("setting", "kept"), [("forward", {"seed": b"1", "min_p": b"[0.5]"}), ("ignore", {})])
def test_unknown_fields_follow_the_setting(setting: Any, kept: Json) -> None:
    request, extra = decode_request(_body(seed=1, min_p=[0.5], top_p=0.5), setting)
    assert request.top_p == 0.5
    assert {name: bytes(value) for name, value in extra.items()} == kept


@pytest.mark.parametrize("setting", ["forward", "ignore", "reject"])
def test_an_unknown_field_that_is_null_says_nothing(setting: Any) -> None:
    request, extra = decode_request(_body(seed=None, max_tokens=None), setting)
    assert asdict(request) == asdict(decode_request(_body())[0])
    assert extra == {}


def test_a_conversation_is_named_by_string_or_object() -> None:
    assert _echo(conversation="conv_1")["conversation"] == _echo(conversation={"id": "conv_1"})["conversation"]


def test_the_whole_echo_stands_on_one_line_however_the_request_was_printed() -> None:
    body = dumps({"model": "golden", "input": "Hi", "tools": [_LOOK], "prompt": {"id": "p", "variables": {}}}, indent=2)
    for text in (body, body.replace("\n", "\r\n")):
        request, extra = decode_request(text.replace('"model"', '"seed": [\n1\n], "model"').encode())
        echo = echo_response(
            request,
            id="resp_1",
            created_at=1,
            tools=decode_tools(request.tools),
            text=resolve_text(request.text),
            defaults=Defaults(),
        )
        encoded = to_json(echo)
        assert b"\n" not in encoded and b"\r" not in encoded
        assert bytes(extra["seed"]) == b"[1]"


# Text

_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
_FORMAT = {"type": "json_schema", "name": "answer", "schema": _SCHEMA, "strict": True}


@pytest.mark.parametrize(
    ("text", "echoed"),
    [
        ({}, {"format": {"type": "text"}}),
        ({"format": None}, {"format": {"type": "text"}}),
        ({"verbosity": "low"}, {"format": {"type": "text"}, "verbosity": "low"}),
        ({"format": {"type": "json_object"}}, {"format": {"type": "json_object"}}),
        ({"type": "text"}, {"format": {"type": "text"}, "type": "text"}),
        ({"format": _FORMAT}, {"format": {**_FORMAT, "description": None}}),
        (_FORMAT, {"format": {**_FORMAT, "description": None}, "type": "json_schema"}),
        (
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": _SCHEMA, "strict": True}},
            {"format": {**_FORMAT, "description": None}, "type": "json_schema"},
        ),
        (
            {"type": "json_schema", "schema": _SCHEMA},
            {"format": {**_FORMAT, "name": "response", "strict": False, "description": None}, "type": "json_schema"},
        ),
    ],
)
def test_text_is_echoed_nested(text: Json, echoed: Json) -> None:
    assert _echo(text=text)["text"] == echoed


# Tools

_LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}


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


# Items that real clients send


def test_a_message_needs_no_type() -> None:
    assert _item({"role": "developer", "content": "Be brief."}) == Message(role="developer", content="Be brief.")
    assert _item({"type": None, "role": "user", "content": "Hi"}) == Message(role="user", content="Hi")
    assert decode_item(b' {  "role":"user","content":"Hi"} ') == Message(role="user", content="Hi")


@pytest.mark.parametrize("type", [{"type": "item_reference"}, {"type": None}, {}])
def test_a_reference_may_lack_its_type(type: Json) -> None:
    assert _item({**type, "id": "msg_1"}) == ItemReference(id="msg_1")


def test_an_answer_is_taken_back_as_it_was_sent() -> None:
    part = {"type": "output_text", "text": "Hi", "annotations": [{"type": "url_citation", "url": "x"}], "logprobs": []}
    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}
    assert loads(to_json(_item(item))) == item


@pytest.mark.parametrize(
    "extra", [{}, {"annotations": None}, {"annotations": None, "logprobs": None, "parsed": {"a": 1}}]
)
def test_output_text_may_lack_annotations(extra: Json) -> None:
    item = _item({"role": "assistant", "content": [{"type": "output_text", "text": "Hi", **extra}]})
    (part,) = item.content
    assert isinstance(part, OutputText)
    assert (bytes(part.annotations), bytes(part.logprobs)) == (b"[]", b"[]")


@pytest.mark.parametrize("kind", ["input_text", "output_text", "text"])
@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
def test_any_role_may_use_any_text_part(role: str, kind: str) -> None:
    item = _item({"role": role, "content": [{"type": kind, "text": "Hi"}]})
    assert item.content[0].text == "Hi"


def test_what_clients_add_to_calls_is_passed_over() -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
    added = {
        "id": None,
        "status": "completed",
        "parsed_arguments": {"a": 1},
        "namespace": None,
        "caller": {"type": "direct"},
    }
    assert isinstance(_item({**call, **added}), FunctionCall)
    output = {"type": "function_call_output", "call_id": "call_1", "status": "completed", "id": "fco_client_made"}
    assert _item({**output, "output": "done", "name": "look"}) == FunctionCallOutput(
        call_id="call_1", id="fco_client_made", output="done", status="completed"
    )
    custom = {"type": "custom_tool_call", "call_id": "call_1", "name": "apply_patch", "input": "x", "status": None}
    assert isinstance(_item(custom), CustomToolCall)


def test_an_output_may_be_a_list_of_parts() -> None:
    parts = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:x"},
        {"type": "input_file"},
    ]
    item = _item({"type": "function_call_output", "call_id": "call_1", "output": parts})
    assert [type(part).__name__ for part in item.output] == ["InputText", "InputImage", "InputFile"]


@pytest.mark.parametrize(
    "fields",
    [
        {"summary": []},
        {"summary": None, "content": None, "encrypted_content": None, "id": None, "status": None},
        {"content": None, "encrypted_content": "x", "summary": [{"type": "summary_text", "text": "s"}]},
        {"content": [{"type": "reasoning_text", "text": "t"}], "encrypted_content": "x"},
        {"content": [{"type": "text", "text": "t"}]},
    ],
)
def test_reasoning_comes_back_in_many_shapes(fields: Json) -> None:
    assert isinstance(_item({"type": "reasoning", **fields}), Reasoning)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "tool_search_call", "execution": "client", "call_id": "c", "arguments": {"query": "x"}},
        {"type": "additional_tools", "role": "developer", "tools": []},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
        {"type": "compaction_trigger"},
        {"type": "compaction", "id": None, "encrypted_content": "x"},
    ],
)
def test_items_that_are_not_understood_stay_as_they_came(item: Json) -> None:
    decoded = _item(item)
    assert isinstance(decoded, OtherItem)
    assert loads(bytes(decoded.raw)) == item


PNG = "data:image/png;base64,AA=="
# What clients of chat completions send, and how it is taken: echoed, kept and sent on.
PARTS: list[tuple[Json, Json]] = [
    ({"type": "image_url", "image_url": PNG}, {"type": "input_image", "image_url": PNG, "detail": "auto"}),
    (
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
    ),
    (
        {"type": "image_url", "image_url": {"url": PNG, "detail": None}, "detail": "high", "cache_control": None},
        {"type": "input_image", "image_url": PNG, "detail": "high"},
    ),
    ({"type": "input_image", "image_url": {"url": PNG}}, {"type": "input_image", "image_url": PNG, "detail": "auto"}),
    (
        {"type": "file", "file": {"file_data": "QQ==", "filename": "a.txt", "file_id": None}},
        {"type": "input_file", "filename": "a.txt", "file_data": "QQ=="},
    ),
    ({"type": "text", "text": "a"}, {"type": "input_text", "text": "a"}),
]


def _stored(item: Json) -> Json:
    stored: Json = loads(keep_input([_item(item)], "0" * 48).array)[0]
    return {name: value for name, value in stored.items() if name not in ("id", "status")}


@pytest.mark.parametrize(("given", "own"), PARTS)
def test_a_part_in_chat_completions_spelling(given: Json, own: Json) -> None:
    other = {"type": "input_text", "text": "Look."}
    message = {"role": "user", "content": [other, given]}
    assert _stored(message) == {"type": "message", "role": "user", "content": [other, own]}
    assert _stored({"type": "message", "id": None, "status": None, **message}) == _stored(message)
    for kind in ("function_call_output", "custom_tool_call_output"):
        output = {"type": kind, "call_id": "c", "output": [other, given]}
        assert _stored(output) == {**output, "output": [other, own]}


@pytest.mark.parametrize(
    ("given", "text"), [({"path": "a", "n": None}, '{"path": "a", "n": null}'), ({}, "{}"), ('{"a":1}', '{"a":1}')]
)
def test_arguments_may_be_the_object_that_they_stand_for(given: object, text: str) -> None:
    call = {"type": "function_call", "id": None, "call_id": "c", "name": "f", "arguments": given, "status": None}
    assert _stored(call) == {"type": "function_call", "call_id": "c", "name": "f", "arguments": text}


def test_a_large_number_in_arguments_stays_as_it_is() -> None:
    raw = b'{"type":"function_call","call_id":"c","name":"f","arguments":{"a":1%b,"b":1.50}}' % (b"0" * 5000)
    item = decode_item(raw)
    assert isinstance(item, FunctionCall) and item.arguments == '{"a":1%s,"b":1.50}' % ("0" * 5000)


def test_half_a_character_becomes_a_replacement_character() -> None:
    """JavaScript's slice cuts emoji in two, and its JSON then holds a lone `\\ud83d`."""
    body = _body(input="cut \ud83d, whole 😀, odd \ude00\ud83d", instructions="a \\ud83d written out")
    request, _ = _take(body)
    assert request.input == "cut \ufffd, whole 😀, odd \ufffd\ufffd"
    assert request.instructions == "a \\ud83d written out"


def test_an_error_of_a_later_item_names_its_place() -> None:
    items = [dumps({"role": "user", "content": "Hi"}).encode()] * 30 + [b'{"role":"user","content":1}']
    with pytest.raises(InvalidRequest) as caught:
        decode_items(items, "items")  # type: ignore[arg-type]  # Raw or bytes
    assert caught.value.param == "items[30].content"


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


def test_a_request_of_another_api_is_told_as_one() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(b'{"model":"m","messages":[]}')
    assert caught.value.param == "input" and "'messages' is a parameter of /v1/chat/completions" in caught.value.message
