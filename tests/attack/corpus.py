"""What is mutated: the golden cases, requests that are refused, and samples of the OpenAPI documents."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from tests.golden.player import CASES, ROOT
from tests.malformed import REFUSED
from tests.oracle.documents import SPEC

FILES = (
    SPEC / "open-responses-2026-04-24.openapi.json",
    SPEC / "openai-responses-2026-08-21.openapi.json",
    Path(__file__).parent
    / "spec"
    / "openai-stores-2026-08-21.openapi.json",  # files, uploads, vector stores, containers, skills
    Path(__file__).parent / "spec" / "batches.openapi.json",  # batches of both APIs, webhook endpoints; written by hand
    Path(__file__).parent
    / "spec"
    / "openai-relays-2026-08-21.openapi.json",  # embeddings, moderations, images, audio …
    Path(__file__).parent / "spec" / "operator.openapi.json",  # operators' pages, log, stored chats; written by hand
)
METHODS = ("get", "post", "delete")


class Operation(NamedTuple):
    """One operation of a document: its path with `{variables}`, and the schema of its body; `form`: of its form."""

    method: str
    path: str
    query: tuple[tuple[str, Any], ...]
    body: Any
    document: int
    form: Any = None


@cache
def documents() -> list[Any]:
    """Return the documents."""
    return [json.loads(file.read_bytes()) for file in FILES]


@cache
def operations() -> list[Operation]:
    """Return all operations of the documents."""
    found = []
    for number, document in enumerate(documents()):
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if method not in METHODS or "?" in path:
                    continue
                parameters = [one for one in operation.get("parameters", []) if one.get("in") == "query"]
                content = operation.get("requestBody", {}).get("content", {})
                body = next((one["schema"] for kind, one in content.items() if "json" in kind), None)
                query = tuple((one["name"], one.get("schema", {})) for one in parameters)
                form = content.get("multipart/form-data", {}).get("schema")
                found.append(Operation(method.upper(), path, query, body, number, form))
    return found


@cache
def golden() -> list[Any]:
    """Return the golden requests, and requests that carry their outputs as history."""
    found = []
    for case in CASES:
        fields = json.loads((ROOT / case / "request.json").read_bytes())
        output = json.loads((ROOT / case / "response.json").read_bytes())["output"]
        own = fields["input"] if isinstance(fields["input"], list) else [{"role": "user", "content": fields["input"]}]
        found += [fields, {**fields, "input": [*own, *output, {"role": "user", "content": "Go on."}]}]
    return found


@cache
def refused() -> list[bytes]:
    """Return the bodies that are known to be refused."""
    return [one.body for one in REFUSED if len(one.body) < 20_000]


@cache
def types() -> list[str]:
    """Return all values of fields named `type` in the documents, sorted."""
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            kind = value.get("properties", {}).get("type") if isinstance(value.get("properties"), dict) else None
            if isinstance(kind, dict):
                found.update(str(one) for one in kind.get("enum", []))
                if "const" in kind:
                    found.add(str(kind["const"]))
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    for document in documents():
        look(document["components"]["schemas"])
    return sorted(found)


def sample(random: Random, document: int, schema: Any, depth: int = 0) -> Any:
    """Return a value that a schema allows, more or less; optional fields now and then, fewer the deeper."""
    for _ in range(40):
        if "$ref" in schema:
            schema = documents()[document]["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        elif "oneOf" in schema or "anyOf" in schema:
            schema = random.choice(schema.get("oneOf") or schema["anyOf"])
        else:
            break
    if "allOf" in schema:
        parts = [sample(random, document, part, depth) for part in schema["allOf"]]
        objects = [part for part in parts if isinstance(part, dict)]
        own = _object(random, document, schema, depth) if "properties" in schema else {}
        return {name: value for part in [*objects, own] for name, value in part.items()} if objects else parts[0]
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return random.choice(schema["enum"])
    kind = schema.get("type")
    kind = random.choice(kind) if isinstance(kind, list) else kind
    match kind:
        case "string":
            return random.choice(("a", "Hello.", "x" * 30, "gpt", "call_1", "{}"))
        case "integer":
            return random.choice((0, 1, 2, 10, int(schema.get("minimum", 1))))
        case "number":
            return random.choice((0, 0.5, 1, 2))
        case "boolean":
            return random.random() < 0.5
        case "null":
            return None
        case "array":
            count = 0 if depth > 8 else random.choice((0, 1, 1, 2))
            return [sample(random, document, schema.get("items", {}), depth + 1) for _ in range(count)]
    return _object(random, document, schema, depth)


def _object(random: Random, document: int, schema: Any, depth: int) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    chance = 0.35 / (1 + depth / 2)
    found = {}
    for name, inner in schema.get("properties", {}).items():
        if depth > 10 or not (name in required or random.random() < chance):
            continue
        found[name] = sample(random, document, inner, depth + 1)
    return found
