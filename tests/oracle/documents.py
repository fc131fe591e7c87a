"""The two OpenAPI documents as validators of what we send."""

from __future__ import annotations

from collections.abc import Iterator
from json import loads
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

Json = dict[str, Any]
SPEC = Path(__file__).parent / "spec"


class Document:
    """One OpenAPI document: `faults` tells what it finds wrong with a value of one of its schemas."""

    def __init__(self, name: str, file: str, response: str) -> None:
        self.name = name
        self.response = response
        self._spec: Json = _with_nulls(loads((SPEC / file).read_bytes()))
        self.schemas: Json = self._spec["components"]["schemas"]
        self.events = {_type_of(self.schemas[event]): event for event in self._event_names()}
        self._validators: dict[str, Draft202012Validator] = {}

    def _event_names(self) -> list[str]:
        union = self.schemas.get("ResponseStreamEvent") or self._streamed_body()
        return [entry["$ref"].rsplit("/", 1)[1] for entry in union.get("anyOf") or union["oneOf"]]

    def _streamed_body(self) -> Json:
        answer: Json = self._spec["paths"]["/responses"]["post"]["responses"]["200"]["content"]
        schema: Json = answer["text/event-stream"]["schema"]
        return schema

    def faults(self, schema: str, value: Any) -> Iterator[str]:
        """Yield `place: message` for each fault."""
        for error in self._validator(schema).iter_errors(value):
            place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
            yield f"{place}: {error.message}"

    def event_faults(self, event: Json) -> Iterator[str]:
        """Yield the faults of an event, chosen by its type; a type that the document lacks is one."""
        schema = self.events.get(event["type"])
        if schema is None:
            yield f".type: no event '{event['type']}'"
        else:
            yield from self.faults(schema, event)

    def _validator(self, schema: str) -> Draft202012Validator:
        if schema not in self._validators:
            root = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": self.schemas}}
            self._validators[schema] = Draft202012Validator(root)
        return self._validators[schema]


def _type_of(schema: Json) -> str:
    kind = schema["properties"]["type"]
    return str(kind["const"] if "const" in kind else kind["enum"][0])


def _with_nulls(node: Any) -> Any:
    """Say OpenAPI 3.0's `nullable`, which a part of OpenAI's document still uses, in the words of JSON Schema."""
    if isinstance(node, list):
        return [_with_nulls(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    schema = {key: _with_nulls(value) for key, value in node.items() if key != "nullable"}
    return {"anyOf": [schema, {"type": "null"}]} if node.get("nullable") is True else schema


OPENAI = Document("OpenAI", "openai-responses-2026-08-21.openapi.json", "Response")
OPEN_RESPONSES = Document("Open Responses", "open-responses-2026-04-24.openapi.json", "ResponseResource")
