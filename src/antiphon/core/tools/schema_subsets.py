"""What providers take of JSON Schema, as data, and the walk through a schema that brings it there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

Subset = Literal["auto", "keep", "tidy", "openai", "anthropic", "gemini", "moonshot"]
"""`keep`: as declared. `tidy`: without notes that are no part of the schema, with what may only be implied. `openai`: and the
root is one object. `anthropic`: what Anthropic's constrained decoding knows. `gemini`: what Google's Schema has. `moonshot`:
Moonshot's flavour. `auto`: nobody has said anything, which means `tidy`."""

Json = dict[str, Any]
Fit = Callable[[Json], Json]
FitRoot = Callable[[Json, int], Json]
"""A schema and its size in bytes → the schema as a subset says it."""

MOST_DEPTH = 128  # schemas within each other
MOST_PARTS = 8  # references from one to the next at the root
INLINED = 32  # schemas that references may be replaced by, and one more for each eight bytes

_MAPS = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))
_LISTS = frozenset(("anyOf", "oneOf", "allOf", "prefixItems"))
_ONES = frozenset(
    """
    items additionalItems additionalProperties not if then else contains propertyNames unevaluatedItems
    unevaluatedProperties
    """.split()
)
_CHOICES = ("anyOf", "oneOf")
_NOTES = ("$schema", "$comment", "$vocabulary")
_TYPES: tuple[tuple[type, str], ...] = ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"))


def walk(schema: Any, fit: Fit, depth: int = 0) -> Any:
    """Return a schema with each schema in it fitted, the inner ones first. Sample values are no schemas."""
    if depth > MOST_DEPTH:
        raise RecursionError
    if not isinstance(schema, dict):
        return schema
    found: Json = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            value = {name: walk(inner, fit, depth + 1) for name, inner in value.items()}
        elif isinstance(value, list) and (key in _LISTS or key == "items"):
            value = [walk(inner, fit, depth + 1) for inner in value]
        elif key in _ONES:
            value = walk(value, fit, depth + 1)
        found[key] = value
    return fit(found)


# Any provider


def normal(data: bytes) -> Fit:
    """Return what takes notes out of a schema, and says what may be implied."""
    notes = _NOTES if b'"$ref"' in data else (*_NOTES, "$id")  # references may be relative to an id

    def fit(schema: Json) -> Json:
        for note in notes:
            if isinstance(schema.get(note), (str, dict)):
                del schema[note]
        for key in ("required", "properties"):
            if key in schema and schema[key] is None:
                del schema[key]
        kind = schema.get("type")
        if (kind == "array" or (isinstance(kind, list) and "array" in kind)) and not schema.keys() & {
            "items",
            "prefixItems",
        }:
            schema["items"] = {}
        return schema

    return fit


def resolved(schema: Json) -> Json:
    """Return a root that is a reference to one of its own definitions as that definition."""
    for _ in range(MOST_PARTS):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            break
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**_object_of(_definitions(schema).get(reference)), **rest}
    return {key: value for key, value in schema.items() if key != "$ref"}


def _definitions(root: Json) -> Json:
    """Return a root's definitions by the references that lead to them."""
    return {
        f"#/{key}/{name}": inner
        for key in ("$defs", "definitions")
        for name, inner in _object_of(root.get(key)).items()
    }


def flatten(schema: Json) -> Json:
    """Return a root as one object: what it is composed of is joined; a choice requires what all its branches do."""
    if not any(key in schema for key in ("anyOf", "oneOf", "allOf")):
        return schema
    root = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "allOf", "not", "enum")}
    properties: Json = {}
    required = set(_names(root.get("required")))
    for key in ("allOf", "anyOf", "oneOf"):
        branches = [branch for branch in schema.get(key) or () if isinstance(branch, dict)]
        needs = [set(_names(branch.get("required"))) for branch in branches]
        if needs:
            required |= set.union(*needs) if key == "allOf" else set.intersection(*needs)
        for branch in (root, *branches):
            for name, one in _object_of(branch.get("properties")).items():
                properties.setdefault(name, one)
    root["type"], root["properties"] = "object", properties
    root.pop("required", None)
    needed = [name for name in properties if name in required]
    return {**root, "required": needed} if needed else root


def _names(value: Any) -> Iterable[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _type_of(value: Any) -> str | None:
    return next((name for kind, name in _TYPES if isinstance(value, kind)), None)


def _with_type(schema: Json) -> Json:
    """Say the type of a schema where its other keywords tell it."""
    if isinstance(schema.get("type"), (str, list)) or any(key in schema for key in (*_CHOICES, "allOf", "$ref")):
        return schema
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    types = {_type_of(value) for value in values} if isinstance(values, list) else set()
    if len(types) == 1 and None not in types:
        return {"type": types.pop(), **schema}
    if "properties" in schema or "additionalProperties" in schema:
        return {"type": "object", **schema}
    return {"type": "array", **schema} if "items" in schema or "prefixItems" in schema else schema


# Anthropic

_UNKNOWN_TO_ANTHROPIC = frozenset(
    """
    minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength maxItems uniqueItems contains minContains
    maxContains minProperties maxProperties patternProperties propertyNames unevaluatedProperties unevaluatedItems
    dependentRequired dependentSchemas not if then else
    """.split()
)
_ANTHROPIC_FORMATS = frozenset("date-time time date duration email hostname uri ipv4 ipv6 uuid".split())


def _anthropic(schema: Json, size: int) -> Json:
    return _object_of(walk({"items": schema}, _anthropic_node).get("items"))


def _anthropic_node(schema: Json) -> Json:
    """Objects are closed, and only what constrains by form is left: answers are held against the client's own schema."""
    kept = {key: value for key, value in schema.items() if key not in _UNKNOWN_TO_ANTHROPIC}
    if kept.get("format") not in _ANTHROPIC_FORMATS:
        kept.pop("format", None)
    if kept.get("minItems") not in (0, 1):
        kept.pop("minItems", None)
    if isinstance(kept.get("oneOf"), list) and "anyOf" not in kept:
        kept["anyOf"] = kept.pop("oneOf")
    if kept.get("type") == "object" or "properties" in kept:
        kept["additionalProperties"] = False
    return kept


# Moonshot


def _moonshot(schema: Json, size: int) -> Json:
    return _object_of(walk({"items": schema}, _moonshot_node).get("items"))


def _moonshot_node(schema: Json) -> Json:
    """A reference stands alone and leads to `$defs`; a choice has its types in its branches; every schema is an object."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        kept: Json = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        return _with_defs({"$ref": reference.replace("#/definitions/", "#/$defs/"), **kept})
    schema = {key: {} if key in _ONES and _is_open(key, value) else value for key, value in schema.items()}
    for key in _MAPS & schema.keys():
        if isinstance(schema[key], dict):
            schema[key] = {name: _object_of(inner) for name, inner in schema[key].items()}
    if isinstance(schema.get("items"), list):
        schema["prefixItems"] = [_object_of(inner) for inner in schema.pop("items")]
    for key in _CHOICES:
        branches = schema.get(key)
        if isinstance(branches, list) and "type" in schema:
            kind = schema.pop("type")
            schema[key] = [
                {"type": kind, **branch} if not branch.keys() & {"type", "$ref", *_CHOICES} else branch
                for branch in map(_object_of, branches)
            ]
    return _with_defs(_with_type(schema))


def _is_open(key: str, value: Any) -> bool:
    return isinstance(value, bool) and key not in ("additionalProperties", "unevaluatedProperties", "unevaluatedItems")


def _with_defs(schema: Json) -> Json:
    old = schema.pop("definitions", None)
    if isinstance(old, dict):
        schema["$defs"] = {**old, **(schema.get("$defs") or {})}
    return schema


def _object_of(schema: Any) -> Json:
    return schema if isinstance(schema, dict) else {}


# Gemini

_GEMINI = frozenset(
    """
    type format title description nullable enum items minItems maxItems properties required minProperties maxProperties
    minLength maxLength pattern minimum maximum anyOf default example propertyOrdering
    """.split()
)
_GEMINI_PARTS = {"object": ("properties", "required"), "array": ("items", "prefixItems")}
_GEMINI_FORMATS = {
    "string": ("enum", "date-time"),
    "number": ("float", "double"),
    "integer": ("int32", "int64"),
}


class _Gemini:
    """Brings one schema into the form of Google's Schema: no references, one type, choices that stand alone."""

    def __init__(self, root: Json, size: int) -> None:
        self._definitions = _definitions(root)
        self._left = INLINED + size // 8

    def node(self, schema: Any, inside: tuple[str, ...] = ()) -> Json:
        """Return a schema; `inside` are the references that it stands in."""
        if len(inside) > MOST_DEPTH:
            raise RecursionError
        schema = dict(_object_of(schema))
        reference = schema.pop("$ref", None)
        if isinstance(reference, str):
            meant = self._definitions.get(reference)
            if not isinstance(meant, dict) or reference in inside or self._left < 0:
                meant = {"type": "object"}
            schema = {**meant, **schema}
        self._left -= isinstance(reference, str) or any(inside)
        inside = (*inside, reference if isinstance(reference, str) else "")
        schema = self._typed(_joined(schema), inside)
        for key, one in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            bound = schema.pop(one, None)
            if isinstance(bound, (int, float)) and not isinstance(bound, bool):
                schema.setdefault(key, bound)
        if "anyOf" in schema:
            return _choice(schema)
        return self._object(schema, inside)

    def _typed(self, schema: Json, inside: tuple[str, ...]) -> Json:
        """Give a schema one type or a choice of schemas with one each."""
        kinds = schema.get("type")
        if isinstance(kinds, list):
            schema["nullable"] = "null" in kinds or bool(schema.get("nullable"))
            kinds = [kind for kind in kinds if kind != "null"]
            if len(kinds) > 1 and "anyOf" not in schema:
                about: Json = {key: schema.pop(key) for key in ("title", "description", "nullable") if key in schema}
                schema = {**about, "anyOf": [{**schema, "type": kind} for kind in kinds]}
            else:
                schema["type"] = kinds[0] if kinds else "string"
        choice = schema.pop("oneOf", None) or schema.get("anyOf")
        if isinstance(choice, list):
            branches = [branch for branch in choice if not _is_null(branch)]
            if len(branches) < len(choice):
                schema["nullable"] = True
            schema.pop("anyOf", None)
            if len(branches) == 1:
                return self._typed({**_object_of(branches[0]), **schema}, inside)
            shared = {key: schema[key] for key in ("type", "properties") if key in schema}
            schema["anyOf"] = [self.node({**shared, **_object_of(branch)}, inside) for branch in branches]
        return schema

    def _object(self, schema: Json, inside: tuple[str, ...]) -> Json:
        schema = _listed(_with_type(schema))
        kind = schema.setdefault("type", "string")
        for key in [key for other, keys in _GEMINI_PARTS.items() if other != kind for key in keys]:
            schema.pop(key, None)
        if isinstance(schema.get("properties"), dict):
            schema["properties"] = {name: self.node(inner, inside) for name, inner in schema["properties"].items()}
            schema["required"] = [name for name in _names(schema.get("required")) if name in schema["properties"]]
        if kind == "array":
            schema["items"] = self.node(_one_item(schema), inside)
        if schema.get("format") not in _GEMINI_FORMATS.get(kind, ()):
            schema.pop("format", None)
        empty = [key for key in ("required", "nullable", "enum") if key in schema and not schema[key]]
        return {key: value for key, value in schema.items() if key in _GEMINI and key not in empty}


def _gemini(schema: Json, size: int) -> Json:
    return _Gemini(schema, size).node(schema)


def _joined(schema: Json) -> Json:
    """Put the parts of `allOf` together."""
    parts = schema.pop("allOf", None)
    if not isinstance(parts, list):
        return schema
    joined: Json = {}
    for part in [*map(_object_of, parts), schema]:
        for key, value in part.items():
            if key == "properties" and isinstance(value, dict):
                joined[key] = {**joined.get(key, {}), **value}
            elif key == "required":
                joined[key] = list(dict.fromkeys([*joined.get(key, ()), *_names(value)]))
            else:
                joined[key] = value
    return joined


def _listed(schema: Json) -> Json:
    """Turn `const` into `enum`, and values that are no texts into words: only texts can be listed."""
    values = [schema.pop("const")] if "const" in schema else schema.get("enum")
    if not isinstance(values, list):
        return schema
    texts = [value for value in values if isinstance(value, str) and value]
    if len(texts) == len([value for value in values if value is not None and value != ""]):
        schema["type"], schema["enum"] = "string", texts
        return schema
    schema.pop("enum", None)
    said = f"One of: {', '.join(str(value) for value in values)}."
    about = schema.get("description")
    return {**schema, "description": f"{about} {said}" if isinstance(about, str) and about else said}


def _choice(schema: Json) -> Json:
    """Keep a choice alone; what is said about it goes to its branches."""
    about = {key: schema[key] for key in ("description", "nullable") if schema.get(key)}
    return {"anyOf": [{**about, **branch} if "anyOf" not in branch else branch for branch in schema["anyOf"]]}


def _one_item(schema: Json) -> Any:
    """Return one schema for all items of an array."""
    items = schema.get("prefixItems") or schema.get("items")
    if not isinstance(items, list):
        return items
    return items[0] if len(items) == 1 else {"anyOf": items} if items else {}


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


SUBSETS: dict[Subset, FitRoot | None] = {
    "auto": None,
    "keep": None,
    "tidy": None,
    "openai": None,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "moonshot": _moonshot,
}
