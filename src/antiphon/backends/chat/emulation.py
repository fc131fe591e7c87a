"""Calls and formats that a server does not bring about by itself: the answer is constrained, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from json import loads
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.backends.chat.profiles import Profile
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import MCP
from antiphon.core.text.leaks.base import json_at
from antiphon.core.tools.grammars.grammar import GrammarError, GrammarFault, lark_to_gbnf, regex_to_gbnf
from antiphon.core.tools.tool_map import Offer, Target
from antiphon.core.turn import Turn
from antiphon.errors import AntiphonError, APIError, InvalidRequest
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool, Tool, ToolFormat

MOST_DEPTH = 128  # objects and lists within each other, in a schema whose references are renamed
MOST_REFERRING = 1024 * 1024  # bytes of all schemas whose references are renamed
LONG = 8192  # characters of grammars and schemas, from which on they are translated in a thread


class Unusable(AntiphonError, ValueError):
    """A tool's or format's own declaration cannot be made use of. `offer` is None for the format."""

    def __init__(self, message: str, offer: Offer | None, field: str = "parameters") -> None:
        super().__init__(message)
        self.offer = offer
        self.field = field

    def error(self, tools: Sequence[Tool]) -> APIError:
        """Return what the client is told: the field at fault, or that the MCP server is at fault."""
        if self.offer is None:
            return InvalidRequest(f"The schema cannot be used: {self}", param="text.format.schema")
        target = self.offer.target
        message = f"The tool '{target.name}' cannot be used: {self}"
        if target.kind == MCP:
            return APIError(424, message, code="mcp_server_error", param="tools")
        return InvalidRequest(message, param=f"{_declared_at(target, tools)}.{self.field}")


def _declared_at(target: Target, tools: Sequence[Tool]) -> str:
    """Return where a tool is declared; `tools` where an item of the input has brought it."""
    for index, tool in enumerate(tools):
        if isinstance(tool, NamespaceTool) and tool.name == target.namespace:
            for at, inner in enumerate(tool.tools):
                if inner.name == target.name:
                    return f"tools[{index}].tools[{at}]"
        elif isinstance(tool, FunctionTool | CustomTool) and not target.namespace and tool.name == target.name:
            return f"tools[{index}]"
    return "tools"


class Emulation(msgspec.Struct, frozen=True, kw_only=True):
    """How the answer is constrained.

    `schema`: the answer is JSON, a call as `{"name", "arguments"}` of one of `functions`, or the wanted format, where
    there is one (`formatted`). `raw`: the answer is the input of the custom tool that has this chat name. `fields` go
    into the request.
    """

    schema: Raw | None = None
    functions: Sequence[str] = ()
    formatted: bool = False
    raw: str | None = None
    fields: Mapping[str, bytes] = {}


def is_long(turn: Turn) -> bool:
    """Tell whether what `constraint` and `call_schema` may have to translate takes more than some milliseconds."""
    if not turn.tools or (turn.tool_choice in ("auto", "none") and turn.text.format.type == "text"):
        return False
    return len(bytes(turn.text.format.schema or b"")) + declared_size(turn) > LONG


def declared_size(turn: Turn) -> int:
    """Return how many characters the schemas and grammars of a Turn's tools have."""
    size = sum([len(bytes(offer.parameters)) for offer in turn.server_tools])
    for tool in chain(turn.tools, *(tool.tools for tool in turn.tools if isinstance(tool, NamespaceTool))):
        if isinstance(tool, FunctionTool):
            size += len(bytes(tool.parameters or b""))
        elif isinstance(tool, CustomTool) and isinstance(tool.format, ToolFormat):
            size += len(tool.format.definition or "")
    return size


def constraint(offer: Offer, profile: Profile) -> dict[str, bytes] | None:
    """Return the request fields that hold a custom tool's input to its grammar; None where the server has no way.

    Raises Unusable for a grammar that is wrong in itself.
    """
    format = offer.format
    if format is None or format.type != "grammar" or not isinstance(format.definition, str):
        return None
    definition = format.definition
    try:
        match profile.grammar, format.syntax:
            case "gbnf", "regex":
                return {"grammar": to_json(regex_to_gbnf(definition))}
            case "gbnf", "lark":
                return {"grammar": to_json(lark_to_gbnf(definition))}
            case "structured_outputs", "regex":
                return {"structured_outputs": to_json({"regex": definition})}
            case "structured_outputs", "lark":
                return {"structured_outputs": to_json({"grammar": lark_to_gbnf(definition)})}
            case "sglang", "regex":
                return {"regex": to_json(definition)}
            case "sglang", "lark":
                return {"ebnf": to_json(lark_to_gbnf(definition))}
            case _:
                return None
    except GrammarFault as fault:
        raise Unusable(f"Its grammar is wrong. {fault}", offer, "format.definition") from None
    except GrammarError:
        # A grammar that cannot be carried over stays in the tool's description.
        return None


def call_schema(offers: Sequence[Offer], format: Raw | None) -> Raw:
    """Return the schema of an answer that is one call of these, or follows the format if one is given. Raises Unusable."""
    referring = [schema for schema in (*(offer.parameters for offer in offers), format) if schema and _refers(schema)]
    if sum(len(bytes(schema)) for schema in referring) > MOST_REFERRING:
        raise Unusable(f"Schemas with '$ref' have more than {MOST_REFERRING} bytes in all.", offers[0])
    definitions: dict[str, Any] = {}
    forms: list[Any] = []
    for index, offer in enumerate(offers):
        arguments = _hoist(offer.parameters, f"t{index}", definitions, offer)
        forms.append(
            {
                "type": "object",
                "properties": {"name": {"const": offer.name}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    if format is not None:
        forms.append(_hoist(format, "f", definitions, None))
    schema = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return Raw(to_json({**schema, "$defs": definitions} if definitions else schema))


def _refers(schema: Raw) -> bool:
    return b'"$ref"' in bytes(schema)


def _hoist(schema: Raw, prefix: str, definitions: dict[str, Any], offer: Offer | None) -> Any:
    """Return a schema for use inside another: its definitions move to the root, under names of their own.

    Raises Unusable where it is nested too deeply, or its definitions are no object.
    """
    if not _refers(schema):
        return schema
    try:
        value = loads(bytes(schema))
        if not isinstance(value, dict):
            raise ValueError("it is not an object")
        for name in ("$defs", "definitions"):
            entries = value.pop(name, {})
            if not isinstance(entries, dict):
                raise ValueError(f"'{name}' is not an object")
            for key, entry in entries.items():
                definitions[f"{prefix}_{key}"] = _renamed(entry, prefix, 1)
        return _renamed(value, prefix, 0)
    except RecursionError:
        raise Unusable(f"Its schema is nested deeper than {MOST_DEPTH} levels.", offer) from None
    except ValueError as error:
        raise Unusable(f"Its schema is wrong: {error}.", offer) from None


def _renamed(value: Any, prefix: str, depth: int) -> Any:
    if depth > MOST_DEPTH:
        raise RecursionError
    if isinstance(value, list):
        return [_renamed(entry, prefix, depth + 1) for entry in value]
    if not isinstance(value, dict):
        return value
    renamed = {key: _renamed(entry, prefix, depth + 1) for key, entry in value.items()}
    reference = renamed.get("$ref")
    if isinstance(reference, str):
        for root in ("#/$defs/", "#/definitions/"):
            if reference.startswith(root):
                renamed["$ref"] = f"#/$defs/{prefix}_{reference[len(root) :]}"
    return renamed


def calls_of(offers: Sequence[Offer], format: Raw | None = None) -> Emulation:
    """Return how an answer is brought to be one call of these, or the format if one is given. Raises Unusable."""
    names = [offer.name for offer in offers]
    return Emulation(schema=call_schema(offers, format), functions=names, formatted=format is not None)


class _EmulatedCall(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: Raw


_called = msgspec.json.Decoder(_EmulatedCall)


def read_call(answer: str) -> tuple[str, str] | None:
    """Return the function and the arguments of an answer that is a call, or None."""
    try:
        called = _called.decode(answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return called.name, bytes(called.arguments).decode()


def read_cut_call(answer: str, emulation: Emulation) -> tuple[str, str] | None:
    """Return the function and the arguments of an answer that was cut off within a call; None where it is no call.

    The function is "" where it was cut off before its name was certain. The arguments are what came of them.
    """
    names = emulation.functions
    only = names[0] if len(names) == 1 and not emulation.formatted else ""
    fields, cut = _after(answer, "{")
    rest = fields
    for mark in ('"name"', ":", '"'):
        if rest is not None:
            rest, cut = _after(rest, mark)
    if cut:
        return only, ""
    if rest is None:  # a server may turn the fields round
        arguments = _arguments(fields) if fields is not None and not emulation.formatted else None
        return (only, arguments) if arguments is not None else None
    name, quote, rest = rest.partition('"')
    if not quote:
        return (only, "") if any(known.startswith(name) for known in names) else None
    if name not in names:
        return None
    rest, cut = _after(rest, ",")
    if cut:
        return name, ""
    arguments = _arguments(rest) if rest is not None else None
    return (name, arguments) if arguments is not None else None


def _arguments(text: str) -> str | None:
    """Return what came of the arguments in a text that begins with their field, or with a piece of its name."""
    rest: str | None = text
    for mark in ('"arguments"', ":"):
        rest, cut = _after(rest, mark) if rest is not None else (None, False)
        if cut:
            return ""
    if rest is None:
        return None
    rest = rest.lstrip()
    whole = json_at(rest, 0)
    return rest if whole is None else rest[: whole[1]]


def _after(text: str, mark: str) -> tuple[str | None, bool]:
    """Return what follows a mark, or None; and whether the text was cut off before or within the mark."""
    text = text.lstrip()
    if text.startswith(mark):
        return text[len(mark) :], False
    return None, mark.startswith(text)
