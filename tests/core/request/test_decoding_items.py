"""Items that real clients send."""

from __future__ import annotations

from json import dumps, loads
from typing import Any

import pytest

from antiphon.core.context import keep_input
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import (
    decode_item,
    decode_items,
)
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
from tests.core.request.decoding_setup import Json, _body, _take


def _item(item: Json) -> Any:
    return decode_item(dumps(item).encode(), "input[0]")


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
