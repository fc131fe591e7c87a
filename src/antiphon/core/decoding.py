"""A request's body → CreateResponse, its items and its tools. Lenient in: what real clients send is taken."""

from __future__ import annotations

import re
from json import dumps, loads
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw

from antiphon.core.validation import decode, invalid, malformed
from antiphon.errors import InvalidRequest
from antiphon.types.items import OTHER_ITEM_TYPES, Item, KnownItem, OtherItem
from antiphon.types.request import CreateResponse, SchemaFormat, TextConfig, TextFormat
from antiphon.types.tools import (
    OTHER_TOOL_TYPES,
    CustomTool,
    FunctionTool,
    KnownTool,
    NamespaceTool,
    OtherTool,
    Tool,
    ToolChoice,
)

UnknownFields = Literal["forward", "ignore", "reject"]
Extra = dict[str, Raw]

_request = msgspec.json.Decoder(CreateResponse)
_fields = msgspec.json.Decoder(dict[str, Raw])
_known_item: msgspec.json.Decoder[KnownItem] = msgspec.json.Decoder(KnownItem)
_known_tool: msgspec.json.Decoder[KnownTool] = msgspec.json.Decoder(KnownTool)
_names = frozenset(field.encode_name for field in msgspec.structs.fields(CreateResponse))


class _Kind(msgspec.Struct):
    """The few keys that tell what an object is."""

    type: str | None | msgspec.UnsetType = UNSET
    role: str | None = None
    id: str | None = None


_kind = msgspec.json.Decoder(_Kind)

# Request


def decode_request(body: bytes, unknown: UnknownFields = "forward") -> tuple[CreateResponse, Extra]:
    """Decode a body once. Returns the request and the unknown fields that are to be forwarded.

    Raises InvalidRequest with the path of the offending field (contract, "Request fields").
    """
    try:
        request, extra = _request.decode(body), {}
    except msgspec.ValidationError as error:
        request, extra = _decode_unusual(body, unknown, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(error) from None
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.", code="invalid_json") from None
    _check(request)
    return request, extra


def _decode_unusual(body: bytes, unknown: UnknownFields, message: str) -> tuple[CreateResponse, Extra]:
    """Decode a body that has unknown fields, or say what is wrong with it."""
    try:
        fields = _fields.decode(body)
    except msgspec.ValidationError:
        raise invalid(message) from None
    extra = {name: value for name, value in fields.items() if name not in _names}
    if not extra:
        raise invalid(message)
    if "max_tokens" in extra:
        raise InvalidRequest(
            "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_output_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if unknown == "reject":
        name = next(iter(extra))
        raise InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    known = msgspec.json.encode({name: value for name, value in fields.items() if name in _names})
    return decode(_request, known), extra if unknown == "forward" else {}


def _check(request: CreateResponse) -> None:
    if request.input is None or (request.input is UNSET and not _may_lack_input(request)):
        raise InvalidRequest("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    if request.previous_response_id is not None and request.conversation is not None:
        raise InvalidRequest(
            "'previous_response_id' and 'conversation' cannot be used together.",
            param="previous_response_id",
            code="invalid_value",
        )
    if isinstance(request.input, list) and not request.input and not _may_lack_input(request):
        raise InvalidRequest("'input' must hold at least one item.", param="input", code="invalid_value")


def _may_lack_input(request: CreateResponse) -> bool:
    return bool(request.prompt or request.conversation or request.previous_response_id)


# Items


def decode_items(items: list[Raw], path: str = "input") -> list[Item]:
    """Decode items one by one, so that an error names its place."""
    return [decode_item(raw, f"{path}[{place}]") for place, raw in enumerate(items)]


def decode_item(raw: bytes | Raw, path: str = "input") -> Item:
    """Decode one item. A message needs no `type`, a reference may have it null; other known types stay as they came."""
    try:
        return _known_item.decode(raw)
    except msgspec.ValidationError as error:
        return _decode_unusual_item(raw, path, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(error) from None


def _decode_unusual_item(raw: bytes | Raw, path: str, message: str) -> Item:
    kind = decode(_kind, raw, path)
    if kind.type is UNSET or kind.type is None:
        type = "message" if kind.role is not None else "item_reference" if kind.id is not None else None
        if type is None:
            raise InvalidRequest(
                f"Missing required parameter: '{path}.type'.", param=f"{path}.type", code="missing_required_parameter"
            )
        return decode(_known_item, msgspec.json.encode({**_fields.decode(raw), "type": type}), path)
    if kind.type in OTHER_ITEM_TYPES:
        return OtherItem(kind.type, Raw(bytes(raw)), kind.id if kind.id is not None else UNSET)
    if isinstance(kind.type, str) and "Invalid value" in message and message.endswith("`$.type`"):
        raise InvalidRequest(f"Invalid value: '{kind.type}' is not an item type.", param=f"{path}.type")
    raise invalid(message, path)


# Tools

_STRING_REQUIRED = re.compile(rb'"required"\s*:\s*"')


def decode_tools(tools: list[Raw] | None, path: str = "tools") -> list[Tool]:
    """Decode tools one by one; types that are not run here stay as they came."""
    return [decode_tool(raw, f"{path}[{place}]") for place, raw in enumerate(tools or ())]


def decode_tool(raw: bytes | Raw, path: str = "tools") -> Tool:
    """Decode one tool declaration. A string as a schema's `required` is read as a list of one (CompileLabs' sample)."""
    data = bytes(raw)
    if _STRING_REQUIRED.search(data):
        data = dumps(_mend_required(loads(data)), separators=(",", ":")).encode()
    try:
        tool: Tool = _known_tool.decode(data)
    except msgspec.ValidationError as error:
        tool = _decode_unusual_tool(data, path, str(error))
    _check_tool(tool, path)
    return tool


def _decode_unusual_tool(data: bytes, path: str, message: str) -> Tool:
    kind = decode(_kind, data, path)
    if kind.type is UNSET or kind.type is None:
        raise InvalidRequest(
            f"Missing required parameter: '{path}.type'.", param=f"{path}.type", code="missing_required_parameter"
        )
    if kind.type in OTHER_TOOL_TYPES:
        return OtherTool(kind.type, Raw(data))
    if message.endswith("`$.type`"):
        raise InvalidRequest(f"Invalid value: '{kind.type}' is not a tool type.", param=f"{path}.type")
    nested = _fields.decode(data).get("function")
    if kind.type == "function" and nested is not None and bytes(nested).startswith(b"{"):
        # Chat completions' nested form, which many clients send here too.
        return decode(
            _known_tool, msgspec.json.encode({"type": "function", **_fields.decode(nested)}), path + ".function"
        )
    raise invalid(message, path)


def _check_tool(tool: Tool, path: str) -> None:
    if isinstance(tool, FunctionTool | CustomTool | NamespaceTool):
        if not 1 <= len(tool.name) <= 128:
            raise InvalidRequest("A tool's name has 1 to 128 characters.", param=f"{path}.name")
    if isinstance(tool, FunctionTool) and tool.parameters is not None:
        if not bytes(tool.parameters).lstrip().startswith((b"{", b"null")):
            raise InvalidRequest(
                "A function's parameters are a JSON Schema object.", param=f"{path}.parameters", code="invalid_type"
            )


def _mend_required(value: Any) -> Any:
    if isinstance(value, list):
        return [_mend_required(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    mended = {key: _mend_required(entry) for key, entry in value.items()}
    if isinstance(mended.get("required"), str) and ("properties" in mended or mended.get("type") == "object"):
        mended["required"] = [mended["required"]]
    return mended


def check_tool_choice(choice: str | ToolChoice | None, tools: list[Tool]) -> None:
    """Refuse a choice that names a tool which was not declared."""
    if isinstance(choice, str) or choice is None:
        if choice == "required" and not tools:
            raise InvalidRequest("tool_choice 'required' needs tools.", param="tool_choice")
        return
    if choice.type not in ("function", "custom"):
        return
    if choice.name is UNSET:
        raise InvalidRequest(
            "Missing required parameter: 'tool_choice.name'.",
            param="tool_choice.name",
            code="missing_required_parameter",
        )
    if choice.name not in _declared(tools):
        raise InvalidRequest(f"Tool choice '{choice.name}' not found in 'tools'.", param="tool_choice")


def _declared(tools: list[Tool]) -> set[str]:
    names = {tool.name for tool in tools if isinstance(tool, FunctionTool | CustomTool)}
    for tool in tools:
        if isinstance(tool, NamespaceTool):
            names.update(inner.name for inner in tool.tools)
    return names


# Text


class ResolvedText(msgspec.Struct, frozen=True):
    """`text` in one form: the format, the verbosity and whether the request was flat."""

    format: TextFormat
    verbosity: str | None = None
    flat: bool = False


PLAIN = ResolvedText(TextFormat(type="text"))


def resolve_text(text: TextConfig | None) -> ResolvedText:
    """Bring both forms of `text` into one. Raises InvalidRequest when a schema or its name is missing."""
    if text is None:
        return PLAIN
    if text.format is not None:
        return ResolvedText(_complete(text.format, "text.format"), text.verbosity)
    if text.type is None:
        return ResolvedText(PLAIN.format, text.verbosity)
    flat = TextFormat(
        type=text.type,
        name=text.name,
        schema=text.schema,
        strict=text.strict,
        description=text.description,
        json_schema=text.json_schema,
    )
    return ResolvedText(_complete(flat, "text"), text.verbosity, flat=True)


def _complete(format: TextFormat, path: str) -> TextFormat:
    if format.type != "json_schema":
        return TextFormat(type=format.type)
    inner = format.json_schema or SchemaFormat()
    schema = format.schema if format.schema is not None else inner.schema
    name = format.name or inner.name or ("response" if path == "text" else None)
    for value, field in ((schema, "schema"), (name, "name")):
        if value is None:
            raise InvalidRequest(
                f"Missing required parameter: '{path}.{field}'.",
                param=f"{path}.{field}",
                code="missing_required_parameter",
            )
    if not bytes(schema or b"").lstrip().startswith(b"{"):
        raise InvalidRequest("A JSON Schema is an object.", param=f"{path}.schema", code="invalid_type")
    strict = format.strict if format.strict is not None else inner.strict
    return TextFormat(
        type="json_schema",
        name=name,
        schema=schema,
        strict=strict,
        description=format.description or inner.description,
    )
