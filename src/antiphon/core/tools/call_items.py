"""Arguments of a chat model's call → the item that the client runs: shell, local_shell, apply_patch, tool_search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json import loads
from typing import Any

from msgspec import UNSET, Raw, Struct

from antiphon.core.json_encoding import to_json
from antiphon.types.tool_items import (
    ApplyPatchCall,
    LocalShellAction,
    LocalShellCall,
    PatchOperation,
    ShellAction,
    ShellCall,
    ToolSearchCall,
)

SHELL_SCHEMA = Raw(
    b'{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"},"description":'
    b'"Shell commands, run in this order."},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},'
    b'"required":["commands"]}'
)
LOCAL_SHELL_SCHEMA = Raw(
    b'{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":'
    b'"The program and its arguments."},"timeout_ms":{"type":"integer"},"working_directory":{"type":"string"},'
    b'"env":{"type":"object","additionalProperties":{"type":"string"}}},"required":["command"]}'
)
APPLY_PATCH_SCHEMA = Raw(
    b'{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},'
    b'"path":{"type":"string"},"diff":{"type":"string","description":"The change as a V4A diff: lines that begin with '
    b"'+', '-' or a space, sections headed by '@@'. A new file has '+' lines only. Left out for delete_file.\"}},"
    b'"required":["type","path"]}'
)
QUERY_SCHEMA = Raw(b'{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}')
"""What chat models are told of the arguments of tools that are declared without a schema."""

_OPERATIONS = ("create_file", "update_file", "delete_file")

Fields = Mapping[str, Any]
BuildCall = Callable[[str, str, str, Fields], Struct]
"""An item's id, `call_id`, status and the call's arguments → the item."""


def shell_call(id: str, call_id: str, status: str, fields: Fields) -> ShellCall:
    """Return commands for a shell."""
    return ShellCall(id=id, call_id=call_id, status=status, action=shell_action(fields))


def shell_action(fields: Fields) -> ShellAction:
    """Return the commands and bounds in a call's arguments."""
    return ShellAction(
        commands=_strings(fields.get("commands", fields.get("command"))),
        timeout_ms=_number(fields.get("timeout_ms")),
        max_output_length=_number(fields.get("max_output_length")),
    )


def fields_of(arguments: str) -> dict[str, Any] | None:
    """Return the fields of a call's arguments, None where they are no object."""
    try:
        value = loads(arguments or "{}", strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def local_shell_call(id: str, call_id: str, status: str, fields: Fields) -> LocalShellCall:
    """Return a program for the client to run."""
    env = fields.get("env")
    directory = fields.get("working_directory")
    action = LocalShellAction(
        command=_strings(fields.get("command", fields.get("commands"))),
        env={str(name): str(value) for name, value in env.items()} if isinstance(env, dict) else {},
        timeout_ms=_number(fields.get("timeout_ms")) or UNSET,  # left out: the AI SDK takes no null
        working_directory=directory if isinstance(directory, str) else UNSET,
    )
    return LocalShellCall(id=id, call_id=call_id, status=status, action=action)


def apply_patch_call(id: str, call_id: str, status: str, fields: Fields) -> ApplyPatchCall:
    """Return a change of one file. This item's status knows no `incomplete`."""
    status = status if status == "in_progress" else "completed"
    return ApplyPatchCall(id=id, call_id=call_id, status=status, operation=_operation(fields))


def tool_search_call(id: str, call_id: str, status: str, fields: Fields) -> ToolSearchCall:
    """Return a search among the client's tools."""
    return ToolSearchCall(id=id, call_id=call_id, status=status, arguments=Raw(to_json(fields)))


def _operation(fields: Fields) -> PatchOperation:
    inner = fields.get("operation")
    fields = inner if isinstance(inner, dict) else fields
    type = fields.get("type") if fields.get("type") in _OPERATIONS else "update_file"
    diff = None if type == "delete_file" else str(fields.get("diff") or "")
    return PatchOperation(type=str(type), path=str(fields.get("path") or ""), diff=diff)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _number(value: Any) -> int | None:
    """Return a number that can be one of milliseconds or characters."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        return None
    return int(value)
