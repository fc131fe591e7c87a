"""Samples of every item, tool and field that the OpenAPI documents know, and each of them with a hostile value in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from antiphon.core.kinds import OTHER_ITEM_TYPES, OTHER_TOOL_TYPES
from tests.oracle.documents import OPEN_RESPONSES, OPENAI, Document

Json = dict[str, Any]
Path = tuple[str | int, ...]

# As JSON, since some of it no encoder writes.
HOSTILE: dict[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "5": b"5",
    "-1": b"-1",
    "1e308": b"1e308",
    "1e999": b"1e999",
    "10**30": b"1" + b"0" * 30,
    "5,000 digits": b"9" * 5000,
    "nothing": b'""',
    "x": b'"x"',
    "NUL": b'"\\u0000"',
    "lone surrogate": b'"\\ud800"',
    "invalid UTF-8": b'"\xff"',
    "[]": b"[]",
    "[[]]": b"[[]]",
    "[null]": b"[null]",
    "[5]": b"[5]",
    '["x"]': b'["x"]',
    "[{}]": b"[{}]",
    "{}": b"{}",
    '{"x":5}': b'{"x":5}',
    '{"type":"x"}': b'{"type":"x"}',
    "100 levels": b"[" * 100 + b"]" * 100,
    "100 levels of objects": b'{"a":' * 100 + b"1" + b"}" * 100,
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "100,000 [ and no end": b"[" * 100_000,
    "100,000 [ in a text": b'"' + b"[" * 100_000 + b'"',
    "text that reads as deep JSON": b'"' + b'{\\"a\\":' * 2_000 + b"1" + b"}" * 2_000 + b'"',
    "text that reads as a huge number": b'"{\\"a\\":' + b"9" * 5_000 + b'}"',
    "quotes": b'"\\",\\"model\\":\\"other\\",\\"x\\":\\""',
    "line breaks": b'"\\r\\n\\r\\ndata: [DONE]\\r\\n\\r\\n"',
}
_PLACEHOLDER = "\0here\0"
_DEEPEST = 5  # levels of a sample into which hostile values go


class Attack(NamedTuple):
    """A sample with a hostile value: `text` is its JSON."""

    name: str
    text: bytes


def attacks(name: str, sample: Json, values: Iterator[tuple[str, bytes]] | None = None) -> Iterator[Attack]:
    """Yield the sample with each of its fields replaced by each hostile value, and once without the field."""
    for path in _paths(sample):
        template = json.dumps(_put(sample, path, _PLACEHOLDER)).encode()
        place = json.dumps(_PLACEHOLDER).encode()
        for value, text in values or HOSTILE.items():
            yield Attack(f"{name} {_shown(path)} = {value}", template.replace(place, text))
        if isinstance(path[-1], str):
            yield Attack(f"{name} without {_shown(path)}", json.dumps(_without(sample, path)).encode())
            yield Attack(f"{name} {_shown(path)} renamed", template.replace(place, b'1,"\xff":1'))


def items() -> dict[str, Json]:
    """Return a full sample of each input item, by schema and type."""
    found = {**_members(OPENAI, "InputItem"), **_members(OPENAI, "ConversationItem")}
    found |= _members(OPEN_RESPONSES, "ItemParam")
    for type in OTHER_ITEM_TYPES - {sample.get("type") for sample in found.values()}:
        found[type] = {"type": type, "id": "id_1", "call_id": "call_1", "tools": [{"type": "function", "name": "f"}]}
    found["configuration_update"] = {
        "type": "configuration_update",
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
    }
    found["mcp_list_tools of ours"] = {
        "type": "mcp_list_tools",
        "id": "mcpl_1",
        "server_label": "s",
        "tools": [{"name": "t", "description": "d", "input_schema": {"type": "object"},
                   "annotations": {"readOnlyHint": True}}],
    }  # fmt: skip
    return found


def tools() -> dict[str, Json]:
    """Return a full sample of each tool, by schema and type."""
    found = {**_members(OPENAI, "Tool"), **_members(OPEN_RESPONSES, "Tool")}
    for type in OTHER_TOOL_TYPES - {sample.get("type") for sample in found.values()}:
        found[type] = {"type": type}
    found["tool_search by the client"] = {
        "type": "tool_search", "execution": "client", "description": "d", "parameters": {"type": "object"},
    }  # fmt: skip
    found["nested function"] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    found["function with required"] = {
        "type": "function", "name": "f", "strict": True,
        "parameters": {"type": "object", "required": "a", "properties": {"a": {"$ref": "#/$defs/b"}},
                       "$defs": {"b": {"type": "string"}}, "definitions": {"c": {}}},
    }  # fmt: skip
    return found


def request() -> Json:
    """Return a sample of all fields of a request but `input` and `tools`."""
    sample = _sample(OPENAI, {"$ref": "#/components/schemas/CreateResponse"}, 0)
    sample |= _sample(OPEN_RESPONSES, {"$ref": "#/components/schemas/CreateResponseBody"}, 0)
    for name in ("input", "tools", "model", "prompt", "conversation", "previous_response_id", "background", "stream"):
        sample.pop(name, None)
    return {
        **sample,
        "context_management": [{"type": "compaction", "compact_threshold": 1000}],
        "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": False}},
        "tool_choice": "auto",
        "metadata": {"a": "b"},
        "client_metadata": {"a": "b"},
        "chat_template_kwargs": {"enable_thinking": True},
    }


CHOICES: dict[str, Json] = {
    "function": {"type": "function", "name": "f"},
    "custom": {"type": "custom", "name": "f"},
    "mcp": {"type": "mcp", "server_label": "s", "name": "t"},
    "allowed": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "namespace": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "f"}]},
}


# Out of schemas


def _members(document: Document, union: str) -> dict[str, Json]:
    """Return a sample of each type of a union."""
    found: dict[str, Json] = {}
    for name, schema in _leaves(document, {"$ref": f"#/components/schemas/{union}"}, union, 0):
        sample = _sample(document, schema, 0)
        if isinstance(sample, dict):
            found[f"{name} {sample.get('type', '')}".strip()] = sample
    return found


def _leaves(document: Document, schema: Json, name: str, depth: int) -> Iterator[tuple[str, Json]]:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        schema = document.schemas[name]
    members = schema.get("oneOf") or schema.get("anyOf")
    if members and depth < 5:
        for member in members:
            yield from _leaves(document, member, name, depth + 1)
    elif schema.get("type") != "null":
        yield name, schema


def _sample(document: Document, schema: Json, depth: int) -> Any:
    """Return a value with all properties that a schema names, as deep as is worth it."""
    if "$ref" in schema:
        return _sample(document, document.schemas[schema["$ref"].rsplit("/", 1)[1]], depth)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "allOf" in schema:
        parts = [_sample(document, part, depth) for part in schema["allOf"]]
        merged = [part for part in parts if isinstance(part, dict)]
        return {key: value for part in merged for key, value in part.items()} if merged else parts[0]
    members = [one for one in schema.get("oneOf") or schema.get("anyOf") or () if one.get("type") != "null"]
    if members and "properties" not in schema:
        structured = [one for one in members if one.get("type") not in ("string", "number", "integer", "boolean")]
        return _sample(document, (structured or members)[0], depth)
    return _plain(document, schema, depth)


def _plain(document: Document, schema: Json, depth: int) -> Any:
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if "properties" in schema:
        if depth > _DEEPEST:
            return {}
        return {name: _sample(document, each, depth + 1) for name, each in schema["properties"].items()}
    match kind:
        case "array":
            return [_sample(document, schema["items"], depth + 1)] if depth < _DEEPEST and "items" in schema else []
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case "object":
            return {"a": "b"}
        case _:
            return "text"


# Into samples


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of all fields and entries."""
    if len(path) > _DEEPEST:
        return
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _paths(child, (*path, key))


def _put(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = _put(value[path[0]], path[1:], new)
    return copied


def _without(value: Any, path: Path) -> Any:
    copied = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copied[path[0]]
    else:
        copied[path[0]] = _without(value[path[0]], path[1:])
    return copied


def _shown(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
