"""A request's tools and its choice among them: JSON → structs. Lenient in: what real clients send is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from antiphon.core import kinds
from antiphon.core.json_encoding import to_json
from antiphon.core.programs import CALLERS
from antiphon.core.request.validation import decode, decode_any, decode_fields, missing
from antiphon.errors import InvalidRequest
from antiphon.types.tools import (
    CustomTool,
    FunctionTool,
    KnownTool,
    NamespaceTool,
    OtherTool,
    Tool,
    ToolChoice,
    ToolSearchTool,
)

_search_tool = msgspec.json.Decoder(ToolSearchTool)
_known_tool: msgspec.json.Decoder[KnownTool] = msgspec.json.Decoder(KnownTool)
MEMORABLE = 8192  # bytes; a larger tool is decoded every time
MOST_MENDED = 512 * 1024  # bytes of tools that are mended in one request
MOST_DEPTH = 128  # objects and lists within each other, in a tool that is mended
_STRING_REQUIRED = re.compile(rb'"required"\s*:\s*"')


class _Kind(msgspec.Struct):
    type: str | None = None


_kind = msgspec.json.Decoder(_Kind)


def decode_tools(tools: list[Raw] | None, path: str = "tools") -> Sequence[Tool]:
    """Decode tools one by one, so that an error names its path; types that are not run here stay as they came."""
    if not tools:
        return []
    size = sum(map(len, tools))
    known = _known_lists.get((len(tools), size))
    if known is not None and known.declared == tools:
        return known.tools
    if size > MOST_MENDED:
        _check_mending(tools, path)
    decoded = [decode_tool(raw, f"{path}[{index}]") for index, raw in enumerate(tools)]
    if size > LONGEST_LIST or not _CLIENTS_OWN.issuperset(map(type, decoded)):
        return decoded
    if len(_known_lists) >= MOST_LISTS:
        _known_lists.clear()
    known = _known_lists[len(tools), size] = _DeclaredList([Raw(bytes(raw)) for raw in tools], ToolList(decoded))
    return known.tools


class ToolList(tuple[Tool, ...]):
    """Tools of a list that is declared again and again. `echo`: what a response echoes of them, once that was made."""

    echo: Raw | None = None


class _DeclaredList(msgspec.Struct, frozen=True):
    declared: list[Raw]
    tools: ToolList


_known_lists: dict[tuple[int, int], _DeclaredList] = {}
"""By their number and bytes: clients send the same list with every request, and to compare two takes no time."""
MOST_LISTS = 64
LONGEST_LIST = 64 * 1024  # bytes of a list that is kept
_CLIENTS_OWN = frozenset((FunctionTool, CustomTool))  # others may hold secrets


def _check_mending(tools: list[Raw], path: str) -> None:
    """Refuse tools whose schemas, with a string as `required`, are too much to be mended in one go."""
    size = 0
    for index, raw in enumerate(tools):
        size += len(bytes(raw)) if _STRING_REQUIRED.search(bytes(raw)) else 0
        if size > MOST_MENDED:
            raise _too_much(f"{path}[{index}]")


def _too_much(path: str) -> InvalidRequest:
    return InvalidRequest(
        f"Schemas of more than {MOST_MENDED} bytes have a string as 'required'; it must be a list of strings.",
        param=path,
    )


def decode_tool(raw: bytes | Raw, path: str = "tools") -> Tool:
    """Decode one tool declaration. A string as a schema's `required` is read as a list of one (CompileLabs' sample)."""
    data = bytes(raw)
    tool = _usual(data) if len(data) <= MEMORABLE else None
    return tool if tool is not None else _decode(data, path)


@lru_cache(maxsize=1024)
def _usual(data: bytes) -> Tool | None:
    """Decode a tool, None where it is refused.

    Clients send the same tools with every request: to remember them saves 12 % of a coding agent's request.
    """
    try:
        return _decode(data, "")
    except InvalidRequest:
        return None  # it is decoded again, for an error that names its path


def _decode(data: bytes, path: str) -> Tool:
    if _STRING_REQUIRED.search(data):
        data = _required_mended(data, path)
    try:
        tool: Tool = _known_tool.decode(data)
    except msgspec.ValidationError as error:
        tool = _decode_unusual(data, path, str(error))
    except (ValueError, RecursionError):
        tool = decode(_known_tool, data, path)  # says what is wrong
    _check(tool, path)
    return tool


def _decode_unusual(data: bytes, path: str, message: str) -> Tool:
    kind = decode(_kind, data, path).type
    if kind is None:
        raise missing(f"{path}.type")
    if kinds.is_other_tool(kind):
        if kind == kinds.TOOL_SEARCH:
            decode_search(data, path)
        if b"allowed_callers" in data:
            decode(CALLERS, data, path)
        return OtherTool(kind, Raw(data))
    if message.endswith("`$.type`"):
        raise InvalidRequest(f"Invalid value: '{kind}' is not a tool type.", param=f"{path}.type")
    fields = {name: value for name, value in decode_fields(data, path).items() if bytes(value) != b"null"}
    nested = fields.get("function")
    if kind == "function" and "name" not in fields and nested is not None and bytes(nested).startswith(b"{"):
        # Chat completions' nested form, which many clients send here too.
        path = f"{path}.function"
        fields = {**decode_fields(nested, path), "type": Raw(b'"function"')}
    return decode(_known_tool, to_json(fields), path)


def decode_search(data: bytes | Raw, path: str = "tools") -> ToolSearchTool:
    """Decode a `tool_search` tool. Raises InvalidRequest."""
    search = decode(_search_tool, data, path)
    if search.parameters is not None and not bytes(search.parameters).startswith(b"{"):
        raise InvalidRequest(
            f"Invalid '{path}.parameters': must be a JSON Schema object.",
            param=f"{path}.parameters",
            code="invalid_type",
        )
    return search


def _check(tool: Tool, path: str) -> None:
    if isinstance(tool, OtherTool):
        return
    _check_name(tool.name, path)
    if isinstance(tool, FunctionTool):
        _check_parameters(tool, path)
    elif isinstance(tool, NamespaceTool):
        for index, inner in enumerate(tool.tools):
            _check(inner, f"{path}.tools[{index}]")


def _check_name(name: str, path: str) -> None:
    if not 1 <= len(name) <= 128:
        raise InvalidRequest(f"Invalid '{path}.name': must be 1 to 128 characters.", param=f"{path}.name")


def _check_parameters(tool: FunctionTool, path: str) -> None:
    if tool.parameters is not None and not bytes(tool.parameters).startswith(b"{"):
        raise InvalidRequest(
            f"Invalid '{path}.parameters': must be a JSON Schema object.",
            param=f"{path}.parameters",
            code="invalid_type",
        )


# A string as `required`


def _required_mended(data: bytes, path: str) -> bytes:
    if len(data) > MOST_MENDED:
        raise _too_much(path)
    tool = decode_any(data, path)
    if not isinstance(tool, dict):
        return data
    try:
        return to_json({name: _mend_required(value, 2) for name, value in tool.items()})
    except RecursionError:
        raise InvalidRequest(
            f"A schema with a string as 'required' is nested deeper than {MOST_DEPTH} levels.", param=path
        ) from None


def _mend_required(schema: Any, depth: int) -> Any:
    """Replace a string `required` by a list, at every depth but among a schema's sample values."""
    if depth > MOST_DEPTH:
        raise RecursionError
    if isinstance(schema, list):
        return [_mend_required(entry, depth + 1) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    mended = {key: value if key in ("default", "const", "enum", "examples") else _mend_required(value, depth + 1)
              for key, value in schema.items()}  # fmt: skip
    if isinstance(mended.get("required"), str):
        mended["required"] = [mended["required"]]
    return mended


# Choice


def check_tool_choice(choice: str | ToolChoice | None, tools: Sequence[Tool]) -> None:
    """Refuse a choice that is not whole, or that names a tool which was not declared."""
    if isinstance(choice, ToolChoice):
        _check_choice(choice, frozenset(_declared(tools)))
    elif choice == "required" and not tools:
        raise InvalidRequest(
            "Invalid 'tool_choice': 'required' needs at least one tool in 'tools'.", param="tool_choice"
        )


def _check_choice(choice: ToolChoice, declared: frozenset[str]) -> None:
    if choice.type in kinds.NAMED:
        if choice.name is UNSET:
            raise missing("tool_choice.name")
        if choice.name not in declared:
            raise InvalidRequest(f"Tool choice '{choice.name}' not found in 'tools'.", param="tool_choice")
    elif choice.type == "allowed_tools":
        _check_allowed(choice, declared)
    elif not kinds.is_other_tool(choice.type):
        raise InvalidRequest(f"Invalid value: '{choice.type}' is not a tool type.", param="tool_choice.type")


def _check_allowed(choice: ToolChoice, declared: frozenset[str]) -> None:
    if choice.mode is UNSET:
        raise missing("tool_choice.mode")
    if choice.mode not in ("auto", "required"):
        raise InvalidRequest(
            f"Invalid 'tool_choice.mode': '{choice.mode}'; must be 'auto' or 'required'.", param="tool_choice.mode"
        )
    if choice.tools is UNSET:
        raise missing("tool_choice.tools")
    for index, entry in enumerate(choice.tools):
        kind, name = (_string(entry.get(key)) for key in ("type", "name"))
        if kind in kinds.NAMED and name not in declared:
            raise InvalidRequest(
                f"Tool choice '{name or ''}' not found in 'tools'.", param=f"tool_choice.tools[{index}].name"
            )


def _string(value: Raw | None) -> str | None:
    decoded = decode_any(value, "tool_choice.tools") if value is not None else None
    return decoded if isinstance(decoded, str) else None


def _declared(tools: Sequence[Tool]) -> Iterator[str]:
    for tool in tools:
        if isinstance(tool, FunctionTool | CustomTool):
            yield tool.name
        elif isinstance(tool, NamespaceTool):
            yield from (inner.name for inner in tool.tools)
