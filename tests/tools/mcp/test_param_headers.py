"""Which arguments a tool's schema wants as headers, and what they look like there."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.tools.base import ToolServerError
from antiphon.tools.mcp.param_headers import MOST_HEADERS, MOST_VALUE, Unacceptable, header_value, headers_of, mirrored


def schema(**properties: object) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def wanted(name: object = "Region", type: object = "string") -> dict[str, Any]:
    return {"type": type, "x-mcp-header": name}


INNER = schema(inner=schema(region=wanted()))


@pytest.mark.parametrize(
    ("schema", "arguments", "headers"),
    [
        (schema(a={"type": "string"}), {"a": "x"}, {}),
        (schema(a=wanted()), {"a": "us-west1"}, {"mcp-param-region": "us-west1"}),
        (schema(a=wanted(type="integer")), {"a": 42}, {"mcp-param-region": "42"}),
        (schema(a=wanted(type="integer")), {"a": -7.0}, {"mcp-param-region": "-7"}),
        (schema(a=wanted(type="boolean")), {"a": False}, {"mcp-param-region": "false"}),
        (schema(a=wanted()), {"a": None}, {}),
        (schema(a=wanted()), {}, {}),
        (schema(a=wanted()), {"a": ["x"]}, {}),
        (schema(a=wanted(type="integer")), {"a": 2**53}, {}),
        (schema(a=wanted()), {"a": ""}, {"mcp-param-region": ""}),
        (INNER, {"inner": {"region": "x"}}, {"mcp-param-region": "x"}),
        (INNER, {"inner": "x"}, {}),
        (INNER, {"region": "x"}, {}),
        (schema(**{"x-mcp-header": wanted()}), {"x-mcp-header": "x"}, {"mcp-param-region": "x"}),
        ({**schema(a={"type": "string"}), "default": {"x-mcp-header": 5}}, {"a": "x"}, {}),
    ],
)
def test_arguments_are_repeated_as_headers(
    schema: dict[str, Any], arguments: dict[str, Any], headers: dict[str, str]
) -> None:
    assert headers_of(mirrored(Raw(to_json(schema))), Raw(to_json(arguments))) == headers


@pytest.mark.parametrize(
    "schema",
    [
        schema(a=wanted("")),
        schema(a=wanted("a b")),
        schema(a=wanted("a:b")),
        schema(a=wanted("ä")),
        schema(a=wanted("a\r\nb")),
        schema(a=wanted(5)),
        schema(a=wanted("a" * 200)),
        schema(a=wanted(), b=wanted()),
        schema(a=wanted("region"), b=wanted("REGION")),
        *(schema(a=wanted(type=kind)) for kind in ("number", "object", "array", "null", None)),
        schema(a={"type": "array", "items": wanted()}),
        schema(a={"anyOf": [wanted()]}),
        {**schema(), "$defs": {"a": wanted()}},
        {**schema(), "if": schema(a=wanted())},
        {**schema(), "x-mcp-header": "Region"},
        schema(**{f"a{n}": wanted(f"a{n}") for n in range(MOST_HEADERS + 1)}),
    ],
)
def test_a_tool_against_the_rules_is_told(schema: dict[str, Any]) -> None:
    with pytest.raises(Unacceptable):
        mirrored(Raw(to_json(schema)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("us west 1", "us west 1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("\tindented", "=?base64?CWluZGVudGVk?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("a\r\nx-forged: 1", "=?base64?YQ0KeC1mb3JnZWQ6IDE=?="),
        ("\ud800", "=?base64?Pw==?="),
    ],
)
def test_values_are_safe_in_a_header(text: str, value: str) -> None:
    assert header_value(text) == value


def test_a_value_that_is_too_long_is_told() -> None:
    with pytest.raises(ToolServerError, match="characters"):
        headers_of({"mcp-param-a": ("a",)}, Raw(to_json({"a": "x" * (MOST_VALUE + 1)})))
