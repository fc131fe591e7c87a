"""`/openapi.json`: OpenAPI 3.1, from the routes that there are and the structs that decode their bodies."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon import __version__
from antiphon.access.caller import SCOPES
from antiphon.server.http.router import HttpRoute
from antiphon.server.pages.event_words import event_schemas
from antiphon.server.pages.fields import describe_fields
from antiphon.server.pages.kept_operations import READ, TAGS
from antiphon.server.pages.log_operations import SERVER, Item
from antiphon.server.pages.operation import Operation
from antiphon.server.pages.operations import OPERATIONS
from antiphon.types.response import Response
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool

Json = dict[str, Any]

FORM = "multipart/form-data"
REF = "#/components/schemas/{name}"
_VARIABLE = re.compile(r"\{(\w+)(?::path)?\}")


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. `param` and `code` are empty where there is none."""

    message: str
    type: str
    param: str
    code: str
    status: int


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """The one error body; `detail` repeats the message."""

    error: ErrorDetail
    detail: str


def document(routes: Sequence[HttpRoute]) -> Json:
    """Return the document of all routes; one that `operations.py` does not know is described by its handler's docstring."""
    paths_of = [_template(route.path) for route in routes]
    operations = [
        (route, path, OPERATIONS.get((route.method, path)) or from_docstring(route))
        for route, path in zip(routes, paths_of, strict=True)
    ]
    types = [kind for _, _, operation in operations for kind in _types(operation) if kind is not None]
    refs, schemas = schemas_of(types)
    describe_fields(schemas)
    _as_files(schemas, [operation.form for _, _, operation in operations if operation.form is not None])
    schemas |= event_schemas()
    paths: dict[str, Json] = {}
    for route, path, operation in operations:
        full = path if operation.tag == SERVER else "/v1" + path
        paths.setdefault(full, {})[route.method.lower()] = describe(route, path, operation, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Antiphon",
            "version": __version__,
            "description": "The self-hosted server for the Responses API. Every path answers with and without `/v1`.",
        },
        "security": [{"bearer": []}, {"key": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "Error": {"description": "An error.", "content": _content({"$ref": REF.format(name="Error")})}
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def from_docstring(route: HttpRoute) -> Operation:
    """Return the Operation of a route that OPERATIONS lacks: its summary, or its words, are the handler's docstring."""
    words = (inspect.getdoc(route.handler) or route.path).splitlines()[0]
    said = re.sub(r"^[A-Z]+ \S+?[.:]?( (?=\S)|$)", "", words)
    said = said[:1].upper() + said[1:]
    first = route.path.split("/")[1]
    tag = TAGS.get(first) or first.capitalize() or SERVER
    summary = READ.get((route.method, _template(route.path)))
    return Operation(tag=tag, summary=summary, words=said) if summary else Operation(tag=tag, summary=said or words)


def scopes_needed(route: HttpRoute) -> str:
    """Return which scopes of an API key a route takes; "" where any will do. The scope `admin` is enough for each."""
    if route.public or route.scopes >= frozenset(SCOPES):
        return ""
    names = [f"`{scope}`" for scope in SCOPES if scope in route.scopes]
    return f"Needs the scope {' or '.join(names)}."


def describe(route: HttpRoute, path: str, operation: Operation, refs: dict[Any, Json]) -> Json:
    """Return one operation."""
    described: Json = {
        "operationId": operation_id(route.method, path),
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": {
            str(operation.status): _answer(operation, refs),
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if words := " ".join(filter(None, (operation.words, scopes_needed(route)))):
        described["description"] = words
    if route.public:
        described["security"] = []
    parameters = [_path_parameter(name) for name in _VARIABLE.findall(path)]
    parameters += [
        {"name": one.name, "in": "query", "description": one.words, "schema": {"type": one.type}}
        for one in operation.query
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.form is not None:
        described["requestBody"] = {"required": True, "content": {FORM: {"schema": refs[operation.form]}}}
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content(refs[operation.body], operation.example)}
    return described


def operation_id(method: str, path: str) -> str:
    """Return a name such as `get_responses_id_input_items`."""
    return "_".join([method.lower(), *re.findall(r"\w+", path)])


def schemas_of(types: Sequence[Any]) -> tuple[dict[Any, Json], Json]:
    """Return a reference for each type, and the schemas of all that they mention."""
    tools = [FunctionTool, CustomTool, NamespaceTool]
    wanted = list(dict.fromkeys([*types, Item, Error, *tools]))
    twins = [_without_raw_defaults(kind) for kind in wanted]
    refs, schemas = msgspec.json.schema_components(twins, ref_template=REF)
    item: Json = {"$ref": REF.format(name="Item")}
    tool: Json = {"anyOf": [{"$ref": REF.format(name=kind.__name__)} for kind in tools] + [{"type": "object"}]}
    _fill_raw_fields(schemas, item, tool)
    return dict(zip(wanted, refs, strict=True)), schemas


def _fill_raw_fields(schemas: Json, item: Json, tool: Json) -> None:
    """Say what the fields hold that the server keeps as raw JSON."""
    for schema in schemas.values():
        properties: Json = schema.get("properties", {})
        for name, field in properties.items():
            if name in ("output", "items") and field.get("type") == "array":
                field["items"] = item
            elif name == "tools" and "messages" not in properties:
                properties[name] = {"anyOf": [{"type": "array", "items": tool}, {"type": "null"}]}
            elif name == "messages" and not field:
                field |= {"type": "array", "items": {"type": "object"}}
        for option in properties.get("input", {}).get("anyOf", ()):
            if option.get("type") == "array":
                option["items"] = item


def _types(operation: Operation) -> tuple[Any, ...]:
    return operation.body, operation.form, operation.answer


def _as_files(schemas: Json, forms: Sequence[Any]) -> None:
    """Say that bytes of forms are files."""
    file = {"type": "string", "format": "binary"}
    for form in forms:
        for name, field in schemas[form.__name__]["properties"].items():
            words = {"description": field["description"]} if "description" in field else {}
            if "contentEncoding" in field or any("contentEncoding" in one for one in field.get("anyOf", ())):
                schemas[form.__name__]["properties"][name] = {**file, **words}
            elif "contentEncoding" in field.get("items", {}):
                field["items"] = file


def _without_raw_defaults(kind: Any) -> Any:
    """Return a struct that differs in its defaults alone: raw JSON becomes values, which a schema can show."""
    fields = msgspec.structs.fields(kind)
    if not any(isinstance(field.default, Raw) for field in fields):
        return kind
    hints = {field.name: field.type for field in fields}
    spec = [(field.name, hints[field.name], *_default(field)) for field in fields]
    twin = msgspec.defstruct(kind.__name__, spec, kw_only=True)
    twin.__doc__ = kind.__doc__
    return twin


def _default(field: msgspec.structs.FieldInfo) -> tuple[Any, ...]:
    if field.default_factory is not msgspec.NODEFAULT:
        return (msgspec.field(default_factory=field.default_factory),)
    if isinstance(field.default, Raw):
        value = msgspec.json.decode(field.default)
        return (msgspec.field(default_factory=lambda: value),)
    return () if field.default is msgspec.NODEFAULT else (field.default,)


def _answer(operation: Operation, refs: dict[Any, Json]) -> Json:
    if operation.answer is None:
        return {"description": operation.summary, "content": {operation.media: {}}}
    content = _content(refs[operation.answer])
    if operation.streams:
        event = {"$ref": REF.format(name="StreamEvent")} if operation.answer is Response else {"type": "string"}
        content["text/event-stream"] = {"schema": event}
    return {"description": operation.summary, "content": content}


def _content(schema: Json, example: Any = None) -> Json:
    media: Json = {"schema": schema}
    if example is not None:
        media["example"] = example
    return {"application/json": media}


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _template(path: str) -> str:
    return _VARIABLE.sub(r"{\1}", path)
