"""JSON Schemas: what is refused, and answers held against them. Synchronous; runs in a checking process.

Draft 2020-12 unless `$schema` names another one that JSON Schema has published. Nothing outside the document is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from json import JSONDecodeError, JSONDecoder
from typing import Any
from urllib.parse import unquote, urljoin

import jsonschema_rs
from jsonschema_rs import ValidationError, Validator

from antiphon.errors import AntiphonError
from antiphon.runtime.checker.protocol import CheckTask, Verdict

MOST_DEPTH = 128  # objects and lists within each other, in a schema
MOST_BRANCHES = 10_000  # ways in which a schema applies further schemas to one and the same value
MOST_DIGITS = 4300  # of one number; Python's own limit
LONGEST_REASON = 500  # characters
BACKTRACKS = 20_000  # of one pattern on one text
PATTERN_SIZE = 1024 * 1024  # bytes of one compiled pattern

_PATTERNS = jsonschema_rs.FancyRegexOptions(
    backtrack_limit=BACKTRACKS, size_limit=PATTERN_SIZE, dfa_size_limit=PATTERN_SIZE
)
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_SAMPLES = frozenset(("const", "enum", "default", "examples"))
_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLE = ("not", "if", "then", "else")
_BY_PROPERTY = ("dependentSchemas", "dependencies")


class SchemaFault(AntiphonError, ValueError):
    """A schema is refused; the message is for the client."""


class Unchecked(AntiphonError, ValueError):
    """A text cannot be held against its schema; the message says why."""


def perform(task: CheckTask) -> Verdict:
    """Do one piece of work. Never raises for what a client sent."""
    try:
        if task.kind == "inspect":
            inspect(task.schema)
            return Verdict()
        if task.kind == "compile":
            compiled(task.schema)
            return Verdict()
        reason = fault_of(task.text, compiled(task.schema))
        return Verdict(outcome="fault", reason=_shortened(reason)) if reason else Verdict()
    except SchemaFault as error:
        return Verdict(outcome="fault" if task.kind != "check" else "unchecked", reason=_shortened(str(error)))
    except Unchecked as error:
        return Verdict(outcome="unchecked", reason=_shortened(str(error)))
    except RecursionError:
        return Verdict(outcome="unchecked", reason="It is nested too deeply.")
    except MemoryError:
        return Verdict(outcome="unchecked", reason="It needs too much memory.")


# JSON


def _no_constant(name: str) -> Any:
    raise ValueError(f"'{name}' is not a JSON value")


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise Unchecked(f"A number has {len(digits)} digits; at most {MOST_DIGITS} are checked.")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise Unchecked(f"The number {digits[:40]} is beyond what is checked (1.8e308).")
    return value


_json = JSONDecoder(parse_constant=_no_constant, parse_int=_integer, parse_float=_float)


def parse(text: str) -> Any:
    """Read JSON (RFC 8259). Raises ValueError, Unchecked or RecursionError."""
    return _json.decode(text)


def _shortened(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"


# Schemas


def inspect(schema: bytes) -> dict[str, Any]:
    """Return a schema as JSON. Raises SchemaFault: no JSON object, too deep, references to what is outside of it."""
    try:
        value = parse(schema.decode())
    except Unchecked as error:
        raise SchemaFault(str(error)) from None
    except RecursionError:
        raise SchemaFault(f"The schema is nested deeper than {MOST_DEPTH} levels.") from None
    except ValueError as error:
        raise SchemaFault(f"The schema is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise SchemaFault("A JSON Schema must be an object.")
    names: set[str] = set()
    references: list[str] = []
    for node in _objects(value):
        names.update(name for name in (node.get("$id"), node.get("id")) if isinstance(name, str))
        references += [node[key] for key in _REFERENCES if isinstance(node.get(key), str)]
    base = value.get("$id")
    if isinstance(base, str):
        names |= {_joined(base, name) for name in names}
    bases = {name.partition("#")[0] for name in names}
    for reference in references:
        if not _inside(reference, bases):
            raise _outside(reference)
    return value


def _objects(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give every object of a schema, but for those among sample values. Raises SchemaFault where it is too deep."""
    waiting: list[tuple[Any, int, bool]] = [(value, 1, False)]
    while waiting:
        node, depth, sample = waiting.pop()
        if depth > MOST_DEPTH:
            raise SchemaFault(f"The schema is nested deeper than {MOST_DEPTH} levels.")
        if isinstance(node, list):
            waiting += [(child, depth + 1, sample) for child in node if isinstance(child, dict | list)]
            continue
        if not sample:
            yield node
        waiting += [
            # An object under such a name may be the schema of a property that is called so.
            (child, depth + 1, sample or (key in _SAMPLES and isinstance(child, list)))
            for key, child in node.items()
            if isinstance(child, dict | list)
        ]


def _joined(base: str, name: str) -> str:
    try:
        return urljoin(base, name)
    except ValueError:
        return name


def _inside(reference: str, bases: set[str]) -> bool:
    """Tell whether a reference stays within the document: a fragment, or below an `$id` that the document has."""
    if reference.startswith("#"):
        return True
    absolute = ":" in reference or reference.startswith("//")
    return bool(bases) and (not absolute or reference.partition("#")[0] in bases)


def _outside(reference: str) -> SchemaFault:
    return SchemaFault(
        f"The schema refers to '{reference[:200]}', which is outside of it. Only references within the schema,"
        " such as '#/$defs/name', are followed."
    )


def _branches(root: dict[str, Any]) -> int:
    """Return in how many ways a schema applies further ones to one value, the most of all its subschemas.

    Each subschema counts 1 and all that it applies in place: `$ref`, `allOf`, `anyOf`, `oneOf`, `not`, `if`. Definitions that
    are referred to twice count twice, as they are applied twice. A subschema that refers back to itself counts once.
    """
    anchors = {
        f"#{node[key]}": node
        for node in _objects(root)
        for key in ("$anchor", "$dynamicAnchor")
        if isinstance(node.get(key), str)
    }
    counts: dict[int, int] = {}
    for start in _objects(root):
        waiting = [start]
        while waiting:
            node = waiting[-1]
            if counts.get(id(node), 0) > 0:
                waiting.pop()
                continue
            applied = list(_applied(node, root, anchors))
            if id(node) not in counts:
                counts[id(node)] = 0  # under way
                waiting += [child for child in applied if id(child) not in counts]
                continue
            counts[id(node)] = 1 + sum(counts.get(id(child), 0) for child in applied)
            if counts[id(node)] > MOST_BRANCHES:
                return counts[id(node)]
            waiting.pop()
    return max(counts.values(), default=1)


def _applied(
    node: dict[str, Any], root: dict[str, Any], anchors: dict[str, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Give the schemas that one applies to the same value."""
    for key in _REFERENCES:
        reference = node.get(key)
        if isinstance(reference, str) and reference.startswith("#"):
            target = anchors.get(reference) or _pointed(root, reference)
            if isinstance(target, dict):
                yield target
    for key in _LISTS:
        if isinstance(node.get(key), list):
            yield from (child for child in node[key] if isinstance(child, dict))
    for key in _SINGLE:
        if isinstance(node.get(key), dict):
            yield node[key]
    for key in _BY_PROPERTY:
        if isinstance(node.get(key), dict):
            yield from (child for child in node[key].values() if isinstance(child, dict))


def _pointed(root: Any, reference: str) -> Any:
    """Return what a JSON pointer (RFC 6901) in a fragment names, or None."""
    value = root
    for part in unquote(reference[1:]).split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 10:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value


@lru_cache(maxsize=32)
def compiled(schema: bytes) -> Validator:
    """Compile a schema. Raises SchemaFault."""
    value = inspect(schema)
    if _branches(value) > MOST_BRANCHES:
        raise SchemaFault(
            f"The schema branches into more than {MOST_BRANCHES} combinations for one value ($ref, allOf, anyOf, oneOf)."
        )
    try:
        return jsonschema_rs.validator_for(value, retriever=_refuse, pattern_options=_PATTERNS)
    except ValidationError as error:
        raise _refused(error, value) from None
    except ValueError as error:
        raise SchemaFault(f"The schema cannot be compiled: {error}.") from None


def _refuse(uri: str) -> Any:
    raise LookupError(uri)


def _refused(error: ValidationError, schema: dict[str, Any]) -> SchemaFault:
    where = "/".join(map(str, error.instance_path))
    kind = getattr(error.kind, "name", "")
    if kind == "$ref" or isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Referencing):
        if error.message.startswith("Unknown meta-schema"):
            return SchemaFault(f"The '$schema' {str(schema.get('$schema'))[:200]!r} is not supported.")
        return SchemaFault(f"A reference leads to nothing within the schema: {error.message}.")
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Format):
        return SchemaFault(f"At '/{where}': {error.message}, or it is larger than {PATTERN_SIZE} bytes when compiled.")
    return SchemaFault(f"At '/{where}': {error.message}.")


# Answers


def fault_of(text: str, validator: Validator) -> str:
    """Return why a text does not fit a schema, "" where it does. Raises Unchecked where that cannot be told."""
    try:
        value = parse(text)
    except JSONDecodeError as error:
        return f"It is not valid JSON: {error}."
    except RecursionError:
        raise Unchecked("The answer is nested too deeply.") from None
    except Unchecked:
        raise
    except ValueError as error:
        return f"It is not valid JSON: {error}."
    try:
        if validator.is_valid(value):
            return ""
        validator.validate(value)
    except ValidationError as error:
        if isinstance(error.kind, _ENGINE_FAULTS):
            raise Unchecked(f"A 'pattern' of the schema takes more than {BACKTRACKS} steps.") from None
        where = "/".join(map(str, error.instance_path))
        return f"At '/{where}': {error.message}."
    except UnicodeEncodeError:
        return "A string holds half of a surrogate pair."
    except ValueError as error:  # the library's limit of depth, among others
        raise Unchecked(f"The answer cannot be checked: {error}.") from None
    raise Unchecked("The schema gives two different verdicts on the answer.")


_ENGINE_FAULTS = (
    jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded,
    jsonschema_rs.ValidationErrorKind.RegexEngineFailure,
)
