"""Requests in: what is refused and how, and what real clients send that must be taken."""

from __future__ import annotations

from contextlib import suppress
from json import dumps, loads
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from antiphon.core.context import input_items
from antiphon.core.json_encoding import to_json
from antiphon.core.request.decoding import (
    decode_request,
    decode_tools,
    resolve_text,
)
from antiphon.core.request.echo import Defaults, echo_response
from antiphon.core.request.json_text import check_json
from antiphon.errors import InvalidRequest
from antiphon.types.items import (
    Message,
)
from antiphon.types.request import CreateResponse
from tests.core.request.decoding_setup import _LOOK, Json, _body, _echo, _take
from tests.malformed import REFUSED, Refused

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


@pytest.mark.parametrize("fields", [{"n": 1}, {"modalities": ["text"]}, {"modalities": []}, {"stop": ["."], "seed": 1}])
def test_what_a_chat_model_can_do_in_one_text_is_passed_on(fields: Json) -> None:
    _, extra = decode_request(_body(**fields))
    assert {name: loads(bytes(value)) for name, value in extra.items()} == fields


@pytest.mark.slow
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
