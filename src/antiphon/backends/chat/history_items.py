"""Items of the rarer tools → the calls and outputs of a chat history. What means nothing to a chat model is passed over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.deltas import CallKind
from antiphon.core.json_encoding import to_json
from antiphon.core.request.tool_decoding import decode_tool
from antiphon.core.tools.tool_map import Target, ToolMap
from antiphon.errors import InvalidRequest
from antiphon.types.items import OtherItem, Part
from antiphon.types.raw import OptionalRaw
from antiphon.types.tool_items import McpError
from antiphon.types.tools import NamespaceTool, OtherTool, Tool


class HistoryCall(msgspec.Struct, frozen=True):
    """A call that a model made earlier; `arguments` is JSON text."""

    call_id: str
    target: Target
    arguments: str


class HistoryOutput(msgspec.Struct, frozen=True):
    """What a call of that kind gave. An `optional` one may lack its call."""

    call_id: str
    kind: CallKind
    output: str | Sequence[Part]
    optional: bool = False


class _Fields(msgspec.Struct):
    """All fields of these items that matter here."""

    id: str | None = None
    call_id: str | None = None
    name: str = ""
    server_label: str = ""
    arguments: Raw = Raw(b"{}")
    action: Raw = Raw(b"{}")
    operation: Raw = Raw(b"{}")
    output: OptionalRaw = None
    error: OptionalRaw = None
    status: str | None = None
    tools: list[Raw] = []


_fields = msgspec.json.Decoder(_Fields)
_any = msgspec.json.Decoder(Any)

_CALLS: dict[str, tuple[CallKind, str]] = {
    "shell_call": ("shell", "action"),
    "local_shell_call": ("local_shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
    "tool_search_call": ("tool_search", "arguments"),
}
_OUTPUTS: dict[str, CallKind] = {
    "shell_call_output": "shell",
    "local_shell_call_output": "local_shell",
    "apply_patch_call_output": "apply_patch",
    "tool_search_output": "tool_search",
}


def read_other(
    item: OtherItem, tools: ToolMap
) -> HistoryCall | HistoryOutput | list[HistoryCall | HistoryOutput] | None:
    """Read an item; None where it says nothing to a chat model."""
    if item.type not in _CALLS and item.type not in _OUTPUTS and item.type != "mcp_call":
        return None
    try:
        fields = _fields.decode(item.raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"Invalid {item.type} item: {error}", param="input") from None
    call_id = fields.call_id or fields.id or ""
    if item.type in _CALLS:
        kind, source = _CALLS[item.type]
        raw = {"action": fields.action, "operation": fields.operation, "arguments": fields.arguments}[source]
        return HistoryCall(call_id, Target(kind, kind), _object(raw))
    if item.type in _OUTPUTS:
        output = _output(item.type, fields, tools)
        return HistoryOutput(call_id, _OUTPUTS[item.type], output, optional=fields.call_id is None)
    return _mcp_call(fields)


def _mcp_call(fields: _Fields) -> list[HistoryCall | HistoryOutput]:
    id = fields.id or ""
    error = _error(fields.error)
    output = f"Error: {error}" if error else _text(fields.output)
    target = Target("mcp", fields.name, fields.server_label or None)
    return [HistoryCall(id, target, _object(fields.arguments)), HistoryOutput(id, "mcp", output)]


def _error(raw: Raw | None) -> str:
    """Return the text of a call's error: a string, or an object that has the text in its content."""
    if raw is None or not bytes(raw).startswith(b"{"):
        return _text(raw)
    try:
        error = msgspec.json.decode(raw, type=McpError)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _text(raw)
    return "\n".join(part.text for part in error.content)


def _output(type: str, fields: _Fields, tools: ToolMap) -> str:
    if type == "tool_search_output":
        names = [name for raw in fields.tools for name in _names(decode_tool(raw), tools)]
        return f"Found, and can be called now: {', '.join(names)}" if names else "No tools were found."
    return _text(fields.output) or fields.status or ""


def _names(tool: Tool, tools: ToolMap) -> list[str]:
    if isinstance(tool, OtherTool):
        return []
    namespace = tool.name if isinstance(tool, NamespaceTool) else None
    inner = tool.tools if isinstance(tool, NamespaceTool) else (tool,)
    found = [tools.find(entry.name, namespace=namespace) for entry in inner]
    return [offer.chat_name for offer in found if offer is not None]


def _text(raw: Raw | None) -> str:
    """Return a string as itself, any other JSON as its text, null as nothing."""
    if raw is None or bytes(raw) == b"null":
        return ""
    if not bytes(raw).startswith(b'"'):
        return bytes(raw).decode()
    return str(_any.decode(raw))


def _object(raw: Raw) -> str:
    """Return arguments as the text of a JSON object; some items hold them as an object, some as text."""
    text = _text(raw).strip()
    if text.startswith("{"):
        return text
    return to_json({"input": text}).decode() if text else "{}"
