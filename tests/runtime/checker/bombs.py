"""Schemas and answers that grow: each kind as a function of its size."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def diamonds(size: int, keyword: str = "anyOf") -> Json:
    """Each definition applies the next one twice: 2 to the power of `size` ways to the last."""
    definitions: Json = {f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(size)}
    return {"$defs": {**definitions, f"d{size}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def inner_diamonds(size: int) -> Json:
    """The same below a property, where an empty object does not lead."""
    return {"$defs": diamonds(size)["$defs"], "properties": {"a": {"$ref": "#/$defs/d0"}}, "required": ["a"]}


def chain(size: int) -> Json:
    """Definitions that refer one to the next."""
    definitions: Json = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(size)}
    return {"$defs": {**definitions, f"d{size}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def tree(size: int, keyword: str = "allOf") -> Json:
    """Applicators within each other, as deep as `size`."""
    schema: Json = {"type": "string"}
    for _ in range(size):
        schema = {keyword: [schema, {"minLength": 1}]}
    return schema


def nested(size: int) -> Json:
    """Lists of lists."""
    schema: Json = {"type": "string"}
    for _ in range(size):
        schema = {"type": "array", "items": schema}
    return schema


def patterns(size: int) -> Json:
    """Patterns that a backtracking engine tries in exponentially many ways."""
    pattern = r"^(?=a)(\w+\s?)*(a|aa|a?)+(.*)*\1$"
    return {"properties": {f"p{n}": {"pattern": pattern} for n in range(size)}}


def big_pattern(size: int) -> Json:
    """A pattern whose automaton is large."""
    return {"pattern": f"((a{{100}}){{100}}){{{size}}}"}


def enum(size: int) -> Json:
    """Many values."""
    return {"enum": [f"value {n}" for n in range(size)]}


def properties(size: int) -> Json:
    """Many properties, all required."""
    names = [f"name{n}" for n in range(size)]
    return {"type": "object", "properties": {name: {"type": "integer"} for name in names}, "required": names}


def looped(size: int) -> Json:
    """Definitions that lead back to themselves."""
    definitions: Json = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{m}"} for m in range(size)]} for n in range(size)}
    return {"$defs": definitions, "$ref": "#/$defs/d0"}


def conditions(size: int) -> Json:
    """`if`, `then` and `else` within each other."""
    schema: Json = {"type": "string"}
    for _ in range(size):
        schema = {"if": schema, "then": schema, "else": schema}
    return schema if size < 18 else {"$defs": diamonds(size, "oneOf")["$defs"], "if": {"$ref": "#/$defs/d0"}}


KINDS: dict[str, Callable[[int], Json]] = {
    "anyOf diamonds": diamonds,
    "oneOf diamonds": lambda size: diamonds(size, "oneOf"),
    "allOf diamonds": lambda size: diamonds(size, "allOf"),
    "inner diamonds": inner_diamonds,
    "chain of $ref": chain,
    "tree of allOf": tree,
    "tree of not": lambda size: {"not": tree(size, "oneOf")},
    "nested lists": nested,
    "patterns": patterns,
    "big pattern": big_pattern,
    "enum": enum,
    "properties": properties,
    "loops": looped,
    "conditions": conditions,
}

SIZES = {"chain of $ref": (10, 3000, 60_000), "enum": (10, 20_000), "properties": (10, 20_000), "loops": (3, 90)}
USUAL_SIZES = (3, 16, 40, 1000)

# A schema that recurs, and an answer on which its two forms are tried at every level.
RECURSIVE: Json = {
    "$defs": {"n": {"anyOf": [{"type": "object", "properties": {"c": {"$ref": "#/$defs/n"}}, "required": ["x"]}] * 2}},
    "$ref": "#/$defs/n",
}


def family(depth: int) -> str:
    """Objects within objects under the key `c`."""
    return '{"c":' * depth + "{}" + "}" * depth


def sized() -> list[tuple[str, int]]:
    """Return every kind with every size that it is tried at."""
    sizes = [(kind, size) for kind in KINDS for size in SIZES.get(kind, USUAL_SIZES)]
    # 2 to the power of 40 objects cannot be written down; these stand for themselves in smaller sizes.
    return [(kind, size) for kind, size in sizes if not (kind == "conditions" and size in (16,))]


def dumped(kind: str, size: int) -> bytes:
    """Return a schema as JSON; deep ones are written without recursion by the shape of their kind."""
    schema = KINDS[kind](size)
    try:
        return json.dumps(schema).encode()
    except RecursionError:
        return _deep(kind, size)


def _deep(kind: str, size: int) -> bytes:
    opening, closing = {
        "nested lists": ('{"type":"array","items":', "}"),
        "tree of allOf": ('{"allOf":[{"minLength":1},', "]}"),
        "tree of not": ('{"not":{"oneOf":[{"minLength":1},', "]}}"),
    }[kind]
    return (opening * size + '{"type":"string"}' + closing * size).encode()
