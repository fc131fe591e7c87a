"""The demo model ends its JSON: what becomes of a schema, and what the real model answers under it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from antiphon.backends.llama.backend import LlamaCppBackend
from antiphon.backends.llama.demo_answers import LONGEST_TEXT, MOST_ITEMS, bounded, bounded_body
from antiphon.backends.llama.model import find_model
from antiphon.config import EngineConfig
from antiphon.core.request.decoding import resolve_text
from antiphon.types.request import TextConfig, TextFormat
from tests.backends.turns import read_all, text_of, turn


def an_object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
SHORT = {"type": "string", "maxLength": LONGEST_TEXT}


@pytest.mark.parametrize(
    ("schema", "narrow"),
    [
        (TEXT, SHORT),
        ({"type": ["string", "null"]}, {"type": ["string", "null"], "maxLength": LONGEST_TEXT}),
        ({"type": "string", "maxLength": 5}, {"type": "string", "maxLength": 5}),
        ({"type": "string", "minLength": 500}, {"type": "string", "minLength": 500, "maxLength": 500}),
        ({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        ({"type": "array", "items": TEXT}, {"type": "array", "items": SHORT, "maxItems": MOST_ITEMS}),
        ({"anyOf": [TEXT, {"type": "null"}]}, {"anyOf": [SHORT, {"type": "null"}]}),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": an_object(enum=TEXT)}},
            {"$ref": "#/$defs/a", "$defs": {"a": an_object(enum=SHORT)}},
        ),
        ({"type": "string", "maxLength": "x"}, {"type": "string", "maxLength": "x"}),
        (True, True),
        ({}, {}),
    ],
)
def test_what_becomes_of_a_schema(schema: Any, narrow: Any) -> None:
    assert bounded(schema) == narrow


@pytest.mark.parametrize("body", [b"", b"json_schema", b'{"response_format":"json_schema"}', b'["json_schema"]'])
def test_other_bodies_stay_as_they_are(body: bytes) -> None:
    assert bounded_body(body) == body


def test_a_relayed_body_is_bounded() -> None:
    body = {"model": "m", "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": TEXT}}}
    made = json.loads(bounded_body(json.dumps(body).encode()))
    assert made["response_format"] == {"type": "json_schema", "json_schema": {"name": "n", "schema": SHORT}}
    assert made["model"] == "m"


@pytest.mark.slow
@pytest.mark.parametrize(
    "schema",
    [
        an_object(name=TEXT, age={"type": "integer"}),
        an_object(items={"type": "array", "items": TEXT}, note=TEXT),
        an_object(steps={"type": "array", "items": an_object(explanation=TEXT, output=TEXT)}, answer=TEXT),
    ],
)
async def test_the_demo_model_ends_its_json(schema: dict[str, Any]) -> None:
    config = EngineConfig(threads=1, parallel=1)
    backend = LlamaCppBackend(config, find_model(config))
    format = TextFormat(type="json_schema", name="x", schema=msgspec.Raw(msgspec.json.encode(schema)), strict=True)
    try:
        for asked in ("Who is the king of France?", "Solve 8x+7=-23."):
            asking = turn(asked, temperature=0.0, text=resolve_text(TextConfig(format=format)))
            answer = json.loads(text_of(await read_all(await backend.open(asking))))
            assert jsonschema_rs.is_valid(schema, answer)
    finally:
        await backend.close()
