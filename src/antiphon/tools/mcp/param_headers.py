"""Arguments of a call that its HTTP request repeats as headers, for what stands between client and server.

Specification, revision 2026-07-28: "Custom Headers from Tool Parameters".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.text.pieces import to_base64
from antiphon.errors import AntiphonError
from antiphon.tools.base import ToolServerError

ANNOTATION = "x-mcp-header"
PREFIX = "mcp-param-"
MOST_HEADERS = 64
"""Parameters of a tool that are repeated as headers."""
MOST_VALUE = 8 * 1024
"""Characters of such a header's value."""
SAFE_INTEGER = 2**53 - 1

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?|")
_TYPES = frozenset(("string", "integer", "boolean"))

Path = tuple[str, ...]
Mirrored = Mapping[str, Path]
"""Name of a header → where its value stands in the arguments."""


class Unacceptable(AntiphonError):
    """A tool whose annotations break the rules: it must not be offered."""


def mirrored(schema: Raw) -> Mirrored:
    """Return the headers that a tool's input schema asks for. Raises Unacceptable."""
    if ANNOTATION.encode() not in bytes(schema):
        return {}
    found: dict[str, Path] = {}
    decoded = msgspec.json.decode(schema)
    allowed = list(_reachable(decoded, ()))
    if sum(1 for _ in _all(decoded)) != len(allowed):
        raise Unacceptable(f"'{ANNOTATION}' stands where no header can be taken from")
    for path, part in allowed:
        name = part[ANNOTATION]
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise Unacceptable(f"'{ANNOTATION}' is not the name of a header")
        if part.get("type") not in _TYPES:
            raise Unacceptable(f"'{ANNOTATION}' stands at what is no string, integer or boolean")
        if PREFIX + name.lower() in found:
            raise Unacceptable(f"'{ANNOTATION}' names a header twice")
        found[PREFIX + name.lower()] = path
    if len(found) > MOST_HEADERS:
        raise Unacceptable(f"it asks for more than {MOST_HEADERS} headers")
    return found


def _reachable(schema: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the annotated properties that a chain of `properties` leads to."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, part in properties.items() if isinstance(properties, dict) else ():
        if isinstance(part, dict):
            if ANNOTATION in part:
                yield (*path, name), part
            yield from _reachable(part, (*path, name))


def _all(schema: Any) -> Iterator[str]:
    """Yield all annotations, wherever they stand; a property may itself have that name."""
    if isinstance(schema, list):
        for part in schema:
            yield from _all(part)
    if isinstance(schema, dict):
        for name, part in schema.items():
            if name == ANNOTATION:
                yield name
            if name == "properties" and isinstance(part, dict):
                for inner in part.values():
                    yield from _all(inner)
            elif name not in ("default", "const", "enum", "examples"):
                yield from _all(part)


def headers_of(mirrored: Mirrored, arguments: Raw) -> dict[str, str]:
    """Return the headers of a call. Raises ToolServerError for a value that is too long."""
    if not mirrored:
        return {}
    decoded = msgspec.json.decode(arguments)
    values = ((name, _value_at(decoded, path)) for name, path in mirrored.items())
    headers = {name: header_value(text) for name, value in values if (text := _text(value)) is not None}
    if any(len(value) > MOST_VALUE for value in headers.values()):
        raise ToolServerError(f"wants an argument as a header that has more than {MOST_VALUE} characters.")
    return headers


def _value_at(arguments: Any, path: Path) -> Any:
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, dict) else None
    return arguments


def _text(value: Any) -> str | None:
    """Return a value as a header says it; None where there is none, or none that a header can say."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() if abs(value) <= SAFE_INTEGER:
            return str(value)
        case float() if value.is_integer() and abs(value) <= SAFE_INTEGER:
            return str(int(value))
        case str():
            return value
        case _:
            return None


def header_value(text: str) -> str:
    """Return a text as the value of a header: as it is where that is safe, else encoded ("Value Encoding")."""
    if _PLAIN.fullmatch(text) and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text
    return f"=?base64?{to_base64(text.encode(errors='replace'))}?="
