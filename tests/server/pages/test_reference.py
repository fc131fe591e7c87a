"""The API's document describes every field of every request and every event of a stream; no words are left over."""

from __future__ import annotations

import re

import jsonschema_rs
import msgspec
import pytest

from antiphon.composition.app import build
from antiphon.config import BackendConfig, Config
from antiphon.server.pages.event_words import EVENTS, FIELDS_OF_EVENTS
from antiphon.server.pages.fields import FIELDS
from antiphon.server.pages.openapi import document
from tests.compatibility_events import EVENTS as TOLD
from tests.golden.player import CASES, Case

SPEC = document(
    build(
        Config(store="memory", backends={"s": BackendConfig(url="http://127.0.0.1:9/v1", api="scripted")})
    ).router.routes
)
SCHEMAS = SPEC["components"]["schemas"]
WITHOUT_BODY = re.compile(r"/(cancel|reload)$|^/v1/chat/completions/\{id\}$")
BODIES = {
    f"{method.upper()} {path}": [content["schema"] for content in operation["requestBody"]["content"].values()]
    for path, methods in SPEC["paths"].items()
    for method, operation in methods.items()
    if "requestBody" in operation
}


def mentioned(schema: object) -> set[str]:
    """Return the names of all schemas that one reaches."""
    found: set[str] = set()
    todo = [schema]
    while todo:
        for name in re.findall(r'"#/components/schemas/([^"]+)"', msgspec.json.encode(todo.pop()).decode()):
            if name not in found:
                found.add(name)
                todo.append(SCHEMAS[name])
    return found


def test_every_request_with_a_body_is_described() -> None:
    posts = {f"POST {path}" for path, methods in SPEC["paths"].items() if "post" in methods}
    assert {post for post in posts - BODIES.keys() if not WITHOUT_BODY.search(post.removeprefix("POST "))} == set()


@pytest.mark.parametrize("operation", sorted(BODIES))
def test_every_field_of_a_request_has_a_description(operation: str) -> None:
    names = set().union(*(mentioned(schema) for schema in BODIES[operation]))
    assert names
    missing = [
        f"{name}.{field}"
        for name in sorted(names)
        for field, schema in SCHEMAS[name].get("properties", {}).items()
        if not schema.get("description") and field != "type"
    ]
    assert not missing, "describe them in server/pages/fields.py"


def test_no_words_are_left_over() -> None:
    unknown = {name for name in FIELDS if name not in SCHEMAS}
    assert not unknown
    assert not [
        f"{name}.{field}" for name in FIELDS for field in FIELDS[name].keys() - SCHEMAS[name]["properties"].keys()
    ]


def test_every_event_is_described() -> None:
    told = {type for row in TOLD for type in row.types.split(", ") if " " not in type and ".audio." not in type}
    assert set(EVENTS) == told
    used = {field.removesuffix("?") for _, fields in EVENTS.values() for field in fields.split()} | {"sequence_number"}
    assert used == set(FIELDS_OF_EVENTS)


@pytest.mark.parametrize("case", CASES)
def test_recorded_events_fit_their_schemas(case: str) -> None:
    for event in Case(case).recorded_events():
        schema = SCHEMAS[f"event.{event['type']}"]
        shapes = {name: SCHEMAS[name] for name in SCHEMAS if not name.startswith("event.")}
        told = {**event, **({"response": None} if "response" in event else {})}
        plain = {**schema, "properties": {**schema["properties"], **({"response": {}} if "response" in event else {})}}
        jsonschema_rs.validator_for({**plain, "components": {"schemas": shapes}}).validate(told)
        assert event.keys() - schema["properties"].keys() <= {"obfuscation"}, event["type"]
