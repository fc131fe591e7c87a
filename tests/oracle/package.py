"""The types of the newest `openai` package as JSON Schemas, and what they name: a third document."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from jsonschema_rs import Draft202012Validator
from openai.types.beta import (
    BetaResponse,
    BetaResponseInputItemParam,
    BetaResponseOutputItem,
    BetaResponseStreamEvent,
    BetaToolParam,
)
from openai.types.beta import response_create_params as beta_create
from openai.types.responses import (
    Response,
    ResponseIncludable,
    ResponseInputItemParam,
    ResponseItem,
    ResponseOutputItem,
    ResponsesServerEvent,
    ResponseStreamEvent,
    ToolParam,
    response_create_params,
)
from pydantic import TypeAdapter

from tests.oracle.documents import Json

NAME = "openai-python"


def _schema(*types: Any) -> Json:
    """Return one schema for a choice among types, with its definitions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # types that pydantic only knows in part
        adapters = [(str(index), "validation", TypeAdapter(type)) for index, type in enumerate(types)]
        found, defs = TypeAdapter.json_schemas(adapters, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    return {"anyOf": list(found.values()), **defs}


def alternatives(schema: Json, defs: Json) -> Iterator[Json]:
    """Yield the objects among which a schema leaves the choice."""
    if "$ref" in schema:
        yield from alternatives(defs[schema["$ref"].rsplit("/", 1)[1]], defs)
        return
    for choice in ("anyOf", "oneOf", "allOf"):
        for entry in schema.get(choice, ()):
            yield from alternatives(entry, defs)
    if "properties" in schema:
        yield schema


def _names(kind: Json) -> Iterator[str]:
    if "const" in kind:
        yield kind["const"]
    yield from kind.get("enum", ())
    for entry in kind.get("anyOf", ()):
        yield from _names(entry)


@cache
def by_type(*types: Any) -> dict[str, list[Json]]:
    """Return the alternatives of types by what their `type` says."""
    schema = _schema(*types)
    found: dict[str, list[Json]] = {}
    for alternative in alternatives(schema, schema["$defs"]):
        for name in _names(alternative["properties"].get("type", {})):
            found.setdefault(name, []).append(alternative)
    return found


def fields_within(schema: Json, defs: Json, path: str = "", seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the paths of all fields of a schema, such as `reasoning.effort` and `tools[].name`."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name not in seen:
            yield from fields_within(defs[name], defs, path, seen | {name})
        return
    for choice in ("anyOf", "oneOf", "allOf"):
        for entry in schema.get(choice, ()):
            yield from fields_within(entry, defs, path, seen)
    if "items" in schema:
        yield from fields_within(schema["items"], defs, f"{path}[]", seen)
    for name, inner in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here
        yield from fields_within(inner, defs, here, seen)


REQUESTS = (response_create_params.ResponseCreateParamsNonStreaming, beta_create.ResponseCreateParamsNonStreaming)
ITEMS = (ResponseInputItemParam, ResponseOutputItem, ResponseItem, BetaResponseInputItemParam, BetaResponseOutputItem)
TOOLS = (ToolParam, BetaToolParam)
EVENTS = (ResponseStreamEvent, ResponsesServerEvent, BetaResponseStreamEvent)
HEADERS = {"betas"}
"""What the package takes beside a request's fields and sends as a header."""
ELSEWHERE = {"input", "tools", "tool_choice", "prompt", "text"}
"""Request fields that are objects of many kinds: items and tools are looked at by themselves."""


def request_fields() -> set[str]:
    """Return the names of all fields of a request."""
    return {path for path in _request_paths() if "." not in path and "[" not in path}


def nested_request_fields() -> set[str]:
    """Return the paths of the fields within a request's objects."""
    return {path for path in _request_paths() if "." in path and path.partition(".")[0].rstrip("[]") not in ELSEWHERE}


@cache
def _request_paths() -> frozenset[str]:
    schema = _schema(*REQUESTS)
    return frozenset(fields_within(schema, schema["$defs"])) - HEADERS


def fields_by_type(*types: Any) -> dict[str, list[str]]:
    """Return the paths of the fields of each type of item or tool."""
    defs = _schema(*types)["$defs"]
    return {
        name: sorted({path for one in found for path in fields_within(one, defs)})
        for name, found in sorted(by_type(*types).items())
    }


def response_fields() -> set[str]:
    """Return the names of all fields of a response."""
    return {*Response.model_fields, *BetaResponse.model_fields}


def includables() -> set[str]:
    """Return the values of `include`."""
    return set(get_args(ResponseIncludable))


class PackageDocument:
    """The package's types as validators of what we send; a field that they do not name is a fault."""

    name = NAME
    response = "Response"

    def __init__(self) -> None:
        self._schema = _strict(_schema(Response, ResponsesServerEvent))
        defs = self._schema["$defs"]
        self.schemas: Json = defs
        self.events = {
            name: entry["$ref"].rsplit("/", 1)[1]
            for entry in self._schema["anyOf"][1]["anyOf"]
            for one in alternatives(entry, defs)
            for name in _names(one["properties"]["type"])
        }
        self._validators: dict[str, Draft202012Validator] = {}

    def faults(self, schema: str, value: Any) -> Iterator[str]:
        """Yield `place: message` for each fault."""
        if schema not in self._validators:
            self._validators[schema] = Draft202012Validator({"$ref": f"#/$defs/{schema}", "$defs": self.schemas})
        for error in self._validators[schema].iter_errors(value):
            place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
            yield f"{place}: {error.message}"

    def event_faults(self, event: Json) -> Iterator[str]:
        """Yield the faults of an event, chosen by its type; a type that the package lacks is one."""
        schema = self.events.get(event["type"])
        if schema is None:
            yield f".type: no event '{event['type']}'"
        else:
            yield from self.faults(schema, event)


def _strict(node: Any) -> Any:
    """Let no object have a field that is not named."""
    if isinstance(node, list):
        return [_strict(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    strict = {name: _strict(value) for name, value in node.items()}
    if isinstance(strict.get("properties"), dict) and strict.get("additionalProperties") is True:
        strict["additionalProperties"] = False
    return strict


PACKAGE = PackageDocument()
