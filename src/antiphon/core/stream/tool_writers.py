"""Writers of the rarer tools' items: calls that the client runs (shell, apply_patch, tool_search), and those of MCP servers."""

from __future__ import annotations

from collections.abc import Sequence
from json import loads
from typing import Any

from msgspec import UNSET, Raw

from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.writers import IN_PROGRESS, ItemWriter, delta_head
from antiphon.types import events as ev
from antiphon.types.tool_items import (
    ApplyPatchCall,
    LocalShellAction,
    LocalShellCall,
    McpApprovalRequest,
    McpCall,
    McpError,
    McpErrorText,
    McpListTools,
    PatchOperation,
    ShellAction,
    ShellCall,
    ToolSearchCall,
)

PREFIXES = {
    "function": "fc",
    "custom": "ctc",
    "shell": "sh",
    "local_shell": "lsh",
    "apply_patch": "apc",
    "tool_search": "tsc",
}
_OPERATIONS = ("create_file", "update_file", "delete_file")

ClientItem = ShellCall | LocalShellCall | ApplyPatchCall | ToolSearchCall


class StructuredCallWriter(ItemWriter):
    """A call whose item holds more than text: its arguments are gathered, and read when they are whole."""

    __slots__ = ("_call", "_pieces")

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index)
        self._call = call
        self._pieces: list[str] = []
        self._added(self._item({}, IN_PROGRESS))

    def text(self, text: str) -> None:
        """Append to the arguments."""
        self._pieces.append(text)

    @property
    def arguments(self) -> str:
        """All that has come so far."""
        return "".join(self._pieces)

    def close(self, status: str) -> bytes:
        """End the call. Arguments that cannot be read leave it empty and incomplete: nothing is run by guess."""
        fields = _fields(self.arguments)
        item = self._item(fields or {}, status if fields is not None else "incomplete")
        if isinstance(item, ShellCall):
            self._commands(item.action.commands)
        return self._done(item)

    def _commands(self, commands: Sequence[str]) -> None:
        for place, command in enumerate(commands):
            at = {"output_index": self.index, "command_index": place}
            self._emitter.emit(ev.ShellCommandAdded(command="", **at))
            self._emitter.emit(ev.ShellCommandDelta(delta=command, **at))
            self._emitter.emit(ev.ShellCommandDone(command=command, **at))

    def _item(self, fields: dict[str, Any], status: str) -> ClientItem:
        id, call_id = self.item_id, self._call.call_id
        match self._call.kind:
            case "shell":
                return ShellCall(id=id, call_id=call_id, status=status, action=_shell(fields))
            case "local_shell":
                return LocalShellCall(id=id, call_id=call_id, status=status, action=_local_shell(fields))
            case "apply_patch":
                # This item's status knows no `incomplete`.
                status = status if status == IN_PROGRESS else "completed"
                return ApplyPatchCall(id=id, call_id=call_id, status=status, operation=_operation(fields))
            case _:
                return ToolSearchCall(id=id, call_id=call_id, status=status, arguments=Raw(to_json(fields)))


def _fields(arguments: str) -> dict[str, Any] | None:
    try:
        value = loads(arguments or "{}", strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _shell(fields: dict[str, Any]) -> ShellAction:
    return ShellAction(
        commands=_strings(fields.get("commands", fields.get("command"))),
        timeout_ms=_number(fields.get("timeout_ms")),
        max_output_length=_number(fields.get("max_output_length")),
    )


def _local_shell(fields: dict[str, Any]) -> LocalShellAction:
    env = fields.get("env")
    directory = fields.get("working_directory")
    return LocalShellAction(
        command=_strings(fields.get("command", fields.get("commands"))),
        env={str(name): str(value) for name, value in env.items()} if isinstance(env, dict) else {},
        timeout_ms=_number(fields.get("timeout_ms")) or UNSET,  # left out: the AI SDK takes no null
        working_directory=directory if isinstance(directory, str) else UNSET,
    )


def _operation(fields: dict[str, Any]) -> PatchOperation:
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


class McpCallWriter(ItemWriter):
    """A call of an MCP server's tool: its arguments stream, then it waits for its result."""

    __slots__ = ("_approval", "_call", "_head", "_pieces", "_told")

    def __init__(
        self, emitter: Emitter, item_id: str, index: int, call: CallStart, approval_request_id: str | None = None
    ) -> None:
        super().__init__(emitter, item_id, index)
        self._call = call
        self._approval = approval_request_id
        self._pieces: list[str] = []
        self._told = False
        self._head = delta_head("response.mcp_call_arguments.delta", item_id, index, b"")
        self._added(self._item(IN_PROGRESS))
        emitter.emit(ev.McpCallInProgress(item_id=item_id, output_index=index))

    def _item(self, status: str, output: str | None = None, error: str | None = None) -> McpCall:
        return McpCall(
            id=self.item_id,
            status=status,
            server_label=self._call.namespace or "",
            name=self._call.name,
            arguments="".join(self._pieces),
            output=output,
            error=McpError([McpErrorText(error)]) if error is not None else None,
            approval_request_id=self._approval,
        )

    def text(self, text: str) -> None:
        """Append to the arguments."""
        self._pieces.append(text)
        self._emitter.delta("response.mcp_call_arguments.delta", self._head, text)

    def end_arguments(self) -> None:
        """Tell that the arguments are whole."""
        if not self._told:
            self._told = True
            if not self._pieces:
                self.text("{}")
            self._emitter.emit(
                ev.McpArgumentsDone(item_id=self.item_id, output_index=self.index, arguments="".join(self._pieces))
            )

    def result(self, output: str | None, error: str | None) -> bytes:
        """End the call with what it gave, or with why it gave nothing."""
        done = ev.McpCallCompleted if error is None else ev.McpCallFailed
        self._emitter.emit(done(item_id=self.item_id, output_index=self.index))
        return self._done(self._item("completed" if error is None else "failed", output, error))

    def close(self, status: str) -> bytes:
        """End a call that got no result: the response ends before it."""
        return self._done(self._item("incomplete"))


class ListingWriter(ItemWriter):
    """The tools of an MCP server, being asked for."""

    __slots__ = ("_label",)

    def __init__(self, emitter: Emitter, item_id: str, index: int, label: str) -> None:
        super().__init__(emitter, item_id, index)
        self._label = label
        self._added(McpListTools(id=item_id, server_label=label))
        emitter.emit(ev.McpListToolsInProgress(item_id=item_id, output_index=index))

    def tools(self, tools: Sequence[bytes]) -> bytes:
        """End with the tools, each as JSON."""
        self._emitter.emit(ev.McpListToolsCompleted(item_id=self.item_id, output_index=self.index))
        return self._done(McpListTools(id=self.item_id, server_label=self._label, tools=[Raw(tool) for tool in tools]))

    def fail(self, message: str) -> bytes:
        """End with the reason why there are none."""
        self._emitter.emit(ev.McpListToolsFailed(item_id=self.item_id, output_index=self.index))
        return self._done(McpListTools(id=self.item_id, server_label=self._label, error=message))

    def close(self, status: str) -> bytes:
        """End a listing that the response's end overtook."""
        return self.fail("The response ended before the server had answered.")


class ReadyWriter(ItemWriter):
    """An item that is whole from the start."""

    __slots__ = ()

    def write(self, item: bytes, between: str = "") -> None:
        """Write its first and last event, and one of its own between them."""
        self._added(Raw(item))
        if between:
            self._emitter.raw(between, b'"item_id":%b,"output_index":%d' % (to_json(self.item_id), self.index))
        self._done(Raw(item))


def approval_request(item_id: str, call: CallStart, arguments: str) -> McpApprovalRequest:
    """Return the item that asks a person to agree to a call."""
    return McpApprovalRequest(
        id=item_id, server_label=call.namespace or "", name=call.name, arguments=arguments or "{}"
    )
