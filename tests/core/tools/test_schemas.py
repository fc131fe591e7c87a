"""JSON Schemas in the subset that a provider takes: held to what each refuses, on schemas as people and SDKs write them."""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps, loads
from typing import Any

import pytest
from msgspec import Raw

from antiphon.core.tools import schemas
from antiphon.core.tools.schema_subsets import SUBSETS, Subset
from antiphon.core.tools.schemas import format_schema, parameters
from tests.growth import assert_linear, cpu_time

Json = dict[str, Any]
NODE: Json = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "value": {"type": ["string", "null"]}}}
DECLARED: dict[str, Json] = {
    "nothing": {},
    "no properties": {"type": "object"},
    "properties that are null": {"type": "object", "properties": None, "required": None},
    "no type": {"properties": {"a": {"type": "string"}}},
    "a type that is null": {"type": None, "properties": {}},
    "what an SDK writes": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "tool",
        "type": "object",
        "properties": {"a": {"$schema": "x", "$comment": "y", "type": "integer", "exclusiveMinimum": 0}},
        "required": ["a"],
        "additionalProperties": False,
    },
    "a property of that name": {"type": "object", "properties": {"$schema": {"type": "string"}, "$id": {"const": 1}}},
    "an array among other types": {"type": "object", "properties": {"a": {"type": ["string", "array", "null"]}}},
    "an array of anything": {"type": "object", "properties": {"a": {"type": "array"}}},
    "a tuple": {
        "type": "object",
        "properties": {"a": {"type": "array", "items": [{"type": "string"}, {"type": "number"}]}},
    },
    "a choice at the root": {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "choices without a type at the root": {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": "x"}, "a": {}}, "required": ["kind", "a"]},
            {"type": "object", "properties": {"kind": {"const": "y"}}, "required": ["kind"]},
        ]
    },
    "a reference at the root": {
        "$ref": "#/definitions/T",
        "definitions": {"T": {"type": "object", "properties": {"a": {"type": "string"}}}},
    },
    "a reference in a circle at the root": {"$ref": "#/$defs/T", "$defs": {"T": {"$ref": "#/$defs/T"}}},
    "parts at the root": {
        "allOf": [
            {"properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}},
        ]
    },
    "a choice beside a type": {
        "type": "object",
        "properties": {
            "a": {"type": "object", "properties": {"x": {}}, "anyOf": [{"required": ["x"]}, {"type": "null"}]}
        },
    },
    "a null among the types": {"type": "object", "properties": {"a": {"type": ["string", "null"], "default": None}}},
    "a null among the choices": {
        "type": "object",
        "properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    },
    "several types": {"type": "object", "properties": {"a": {"type": ["string", "number"], "description": "Either."}}},
    "values": {
        "type": "object",
        "properties": {
            "a": {"const": "x"},
            "b": {"enum": [1, 2]},
            "c": {"enum": ["x", "", None]},
            "d": {"const": True},
        },
    },
    "sample values that look like schemas": {
        "type": "object",
        "properties": {"a": {"default": {"$schema": "kept", "type": "array"}, "examples": [{"$ref": "#"}]}},
    },
    "references": {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/Node", "description": "The first."}},
        "$defs": {"Node": NODE},
    },
    "older references": {
        "type": "object",
        "properties": {"a": {"$ref": "#/definitions/X"}},
        "definitions": {"X": {"enum": ["x"]}},
    },
    "a reference to nothing": {"type": "object", "properties": {"a": {"$ref": "#/$defs/gone"}}},
    "open schemas": {"type": "object", "properties": {"a": True, "b": {"type": "array", "items": True}}},
    "a map": {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}}},
    "formats": {
        "type": "object",
        "properties": {"a": {"type": "string", "format": "uri"}, "b": {"type": "string", "format": "date-time"}},
    },
    "a property that is not there": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "z"]},
}


def fitted(schema: Any, subset: Subset) -> Json:
    found: Json = loads(parameters(Raw(dumps(schema).encode()), subset))
    return found


def nodes(schema: Any) -> Iterator[Json]:
    """Yield each schema in a schema."""
    if not isinstance(schema, dict):
        return
    yield schema
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions", "patternProperties"):
            for inner in value.values():
                yield from nodes(inner)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            for inner in value:
                yield from nodes(inner)
        elif key in ("items", "additionalProperties", "not"):
            for inner in value if isinstance(value, list) else (value,):
                yield from nodes(inner)


def hold_tidy(schema: Json) -> None:
    """Refuse what OpenAI and others refuse anywhere."""
    assert schema.get("type") == "object" or any(key in schema for key in ("$ref", "anyOf", "oneOf", "allOf"))
    assert schema.get("type") != "object" or isinstance(schema["properties"], dict)
    for node in nodes(schema):
        assert not {"$schema", "$comment"} & {key for key, value in node.items() if isinstance(value, str)}
        assert "array" not in node.get("type", ()) or "items" in node or "prefixItems" in node


def hold_openai(schema: Json) -> None:
    """Refuse what OpenAI's and Anthropic's validators refuse at the root."""
    hold_tidy(schema)
    assert schema["type"] == "object" and not schema.keys() & {"anyOf", "oneOf", "allOf", "enum", "not"}


def hold_gemini(schema: Json) -> None:
    """Refuse what Google's Schema does not have, as its API does."""
    known = set("type format title description nullable enum items minItems maxItems properties required".split())
    known |= set(
        "minProperties maxProperties minLength maxLength pattern minimum maximum anyOf default example".split()
    )
    assert schema["type"] == "object" and isinstance(schema["properties"], dict)
    for node in nodes(schema):
        assert node.keys() <= known, node
        assert node.keys() == {"anyOf"} or isinstance(node["type"], str)
        assert node.get("type") != "array" or isinstance(node["items"], dict)
        assert "enum" not in node or (node["type"] == "string" and node["enum"] and all(node["enum"]))
        assert set(node.get("required", ())) <= node.get("properties", {}).keys()
        assert node.get("format", "enum") in ("enum", "date-time", "float", "double", "int32", "int64")


def hold_moonshot(schema: Json) -> None:
    """Refuse what Moonshot's validator refuses."""
    hold_openai(schema)
    for node in nodes(schema):
        if "$ref" in node:
            assert node.keys() == {"$ref"} and not node["$ref"].startswith("#/definitions/")
        if "anyOf" in node or "oneOf" in node:
            assert "type" not in node
        assert not isinstance(node.get("items"), list) and "definitions" not in node
        assert all(isinstance(inner, dict) for inner in node.get("properties", {}).values())
        assert "enum" not in node or "type" in node or len({type(value) for value in node["enum"]}) > 1


def hold_anthropic(schema: Json) -> None:
    """Refuse what Anthropic's constrained decoding does not know."""
    for node in nodes(schema):
        assert not {
            "oneOf",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "multipleOf",
            "pattern",
        } & node.keys() - _names(node)
        assert node.get("type") != "object" or node["additionalProperties"] is False
        assert node.get("minItems", 0) in (0, 1)


def _names(node: Json) -> set[str]:
    return set() if "type" in node or "anyOf" in node else set(node)


HOLD = {
    "auto": hold_tidy,
    "tidy": hold_tidy,
    "openai": hold_openai,
    "anthropic": hold_anthropic,
    "gemini": hold_gemini,
    "moonshot": hold_moonshot,
}


@pytest.mark.parametrize("subset", HOLD)
@pytest.mark.parametrize("schema", DECLARED.values(), ids=DECLARED)
def test_a_schema_passes_the_provider_that_it_is_for(schema: Json, subset: Subset) -> None:
    found = fitted(schema, subset)
    HOLD[subset](found)
    assert fitted(found, subset) == found, "what has been fitted stays as it is"
    assert found["properties"].keys() >= (schema.get("properties") or {}).keys() if "properties" in found else True


def test_every_subset_is_held_to_something() -> None:
    assert SUBSETS.keys() - HOLD.keys() == {"keep"}


def test_the_rules_refuse_something() -> None:
    for subset, hold in HOLD.items():
        refused = 0
        for schema in DECLARED.values():
            try:
                hold(schema)
            except (AssertionError, KeyError):
                refused += 1
        assert refused >= 5, subset


def test_what_is_fine_keeps_its_bytes() -> None:
    schema = b'{ "type":"object", "properties":{"b":{"type":"string"},"a":{}}, "additionalProperties":false }'
    assert parameters(Raw(schema), "tidy") == schema
    assert parameters(Raw(b'{"type":"object"}'), "keep") == b'{"type":"object"}'
    assert parameters(Raw(b'{"properties":{"b":{},"a":{}},"$schema":"x"}'), "tidy") == (
        b'{"properties":{"b":{},"a":{}},"type":"object"}'
    ), "what stays keeps its order"


def test_what_is_meant_stays() -> None:
    found = fitted(DECLARED["choices without a type at the root"], "openai")
    assert list(found["properties"]) == ["kind", "a"] and found["required"] == ["kind"]
    assert fitted(DECLARED["parts at the root"], "openai")["required"] == ["a"]
    values = fitted(DECLARED["values"], "gemini")["properties"]
    assert values["a"] == {"type": "string", "enum": ["x"]}
    assert values["b"] == {"type": "integer", "description": "One of: 1, 2."}
    assert values["c"] == {"type": "string", "enum": ["x"]}
    node = fitted(DECLARED["references"], "gemini")["properties"]["a"]
    assert node["description"] == "The first." and node["properties"]["next"] == {"type": "object"}
    assert node["properties"]["value"] == {"type": "string", "nullable": True}
    kept = fitted(DECLARED["sample values that look like schemas"], "tidy")["properties"]["a"]
    assert kept == DECLARED["sample values that look like schemas"]["properties"]["a"]
    related = {"$id": "http://h/a", "type": "object", "properties": {"x": {"$ref": "http://h/b"}}}
    assert fitted(related, "tidy") == related, "a reference may be relative to an id"


def test_an_answers_schema_gets_nothing_that_it_has_not() -> None:
    def answer(schema: Any, subset: Subset) -> Any:
        return loads(format_schema(Raw(dumps(schema).encode()), subset))

    assert answer({"$schema": "x", "type": "object"}, "tidy") == {"type": "object"}
    assert answer({"type": "array", "items": {"type": "string"}}, "openai") == {
        "type": "array",
        "items": {"type": "string"},
    }
    assert answer({"type": "object", "additionalProperties": False}, "gemini") == {"type": "object"}


@pytest.mark.parametrize("data", [b"[1]", b"true", b"null", b"{", b"{}x", b'"x"', b"[" * 2000, b'{"items":' * 500])
@pytest.mark.parametrize("subset", SUBSETS)
def test_what_is_no_schema_is_passed_on_or_becomes_an_object(data: bytes, subset: Subset) -> None:
    found = parameters(Raw(data), subset)
    empty = {"type": "object", "properties": {}}
    assert found == data or loads(found) in (empty, {**empty, "additionalProperties": False})


def test_what_is_remembered_is_bounded() -> None:
    for number in range(schemas.MOST_REMEMBERED + 5):
        fitted({"properties": {str(number): {}}}, "tidy")
    assert schemas._remembered.cache_info().currsize <= schemas.MOST_REMEMBERED
    size = schemas._remembered.cache_info().currsize
    fitted({"properties": {"x" * schemas.LONGEST_REMEMBERED: {}}}, "tidy")
    assert schemas._remembered.cache_info().currsize == size


def referring(size: int) -> Json:
    """Return a schema in which each definition refers to the next one twice."""
    pairs = {f"n{at}": {"properties": {side: {"$ref": f"#/$defs/n{at + 1}"} for side in "xy"}} for at in range(size)}
    return {"properties": {"a": {"$ref": "#/$defs/n0"}}, "$defs": pairs}


SHAPES: dict[str, Any] = {
    "references that double": referring,
    "many properties": lambda size: {"properties": {f"a{at}": {"type": "array"} for at in range(size)}},
    "one large definition": lambda size: {
        "properties": {f"a{at}": {"$ref": "#/$defs/n"} for at in range(size)},
        "$defs": {"n": {"properties": {f"b{at}": {} for at in range(size)}}},
    },
    "a chain of choices": lambda size: {
        "anyOf": [{"properties": {f"a{at}": {}}, "required": ["a"]} for at in range(size)]
    },
}


@pytest.mark.parametrize("subset", SUBSETS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_cost_is_that_of_the_size(shape: Any, subset: Subset) -> None:
    def cost(size: int) -> float:
        data = dumps(shape(size)).encode()
        assert len(data) < schemas.LONGEST_FITTED
        return cpu_time(lambda: schemas._parameters(data, subset))

    assert_linear(cost, 150)
