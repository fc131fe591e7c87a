"""Writers of the rarer tools' items: calls that the client runs (shell, apply_patch, tool_search), and those of MCP servers.

`core.kinds` maps kinds of calls to writers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import UNSET, Raw, Struct
from msgspec.structs import replace

from antiphon.core.deltas import CallStart
from antiphon.core.json_encoding import to_json
from antiphon.core.programs import caller
from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.writers import IN_PROGRESS, ItemWriter, delta_head
from antiphon.core.tools.call_items import BuildCall, Fields, fields_of
from antiphon.core.tools.results import ToolResult
from antiphon.types import events as ev
from antiphon.types.tool_items import (
    McpApprovalRequest,
    McpCall,
    McpError,
    McpErrorText,
    McpListTools,
    ShellCall,
)


class CallItemWriter(Protocol):
    """The writer of a call that the client runs."""

    index: int

    @property
    def arguments(self) -> str:
        """Its arguments so far."""
        ...

    def text(self, text: str) -> None:
        """Append to the arguments."""
        ...

    def close(self, status: str) -> bytes:
        """End the call and return its item as JSON."""
        ...


class MadeWriter(Protocol):
    """The writer of an item that this server makes between model calls."""

    index: int

    def close(self, status: str) -> bytes:
        """End the item as the response ends; return it as JSON."""
        ...


WriteCall = Callable[[Emitter, str, int, CallStart], CallItemWriter]
"""Begins the item of a call that the client runs: its id, its `output_index`, and the call."""


class ServerCallWriter(Protocol):
    """The writer of a call that this server runs: its arguments stream, then it waits for its result."""

    index: int
    item_id: str

    def text(self, text: str) -> None:
        """Append to the arguments."""
        ...

    def end_arguments(self) -> None:
        """Emit the event for complete arguments."""
        ...

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Emit a progress event with these fields, if its kind has such events."""
        ...

    def result(self, result: ToolResult) -> bytes:
        """End the call with what it gave; return its item as JSON."""
        ...

    def close(self, status: str) -> bytes:
        """End a call that got no result; return its item as JSON."""
        ...


ServeCall = Callable[[Emitter, str, int, CallStart], ServerCallWriter]
"""Begins the item of a call that this server runs."""


class StructuredCallWriter(ItemWriter):
    """A call whose item holds more than text: its arguments are gathered, and read when they are whole."""

    __slots__ = ("_build", "_call", "_pieces")

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart, *, build: BuildCall) -> None:
        super().__init__(emitter, item_id, index)
        self._call = call
        self._build = build
        self._pieces: list[str] = []
        self._added(self._item({}, IN_PROGRESS))

    def text(self, text: str) -> None:
        """Append to the arguments."""
        self._pieces.append(text)

    @property
    def arguments(self) -> str:
        """Its arguments so far."""
        return "".join(self._pieces)

    def close(self, status: str) -> bytes:
        """End the call. Arguments that cannot be read leave it empty and incomplete: nothing is run by guess."""
        fields = fields_of(self.arguments)
        item = self._item(fields or {}, status if fields is not None else "incomplete")
        if isinstance(item, ShellCall):
            self._commands(item.action.commands)
        return self._done(item)

    def _commands(self, commands: Sequence[str]) -> None:
        for index, command in enumerate(commands):
            at = {"output_index": self.index, "command_index": index}
            self._emitter.emit(ev.ShellCommandAdded(command="", **at))
            self._emitter.emit(ev.ShellCommandDelta(delta=command, **at))
            self._emitter.emit(ev.ShellCommandDone(command=command, **at))

    def _item(self, fields: Fields, status: str) -> Struct:
        item = self._build(self.item_id, self._call.call_id, status, fields)
        return replace(item, caller=caller(self._call.caller)) if self._call.caller else item


class McpCallWriter(ItemWriter):
    """A call of an MCP server's tool: its arguments stream, then it waits for its result."""

    __slots__ = ("_call", "_head", "_pieces", "_told")

    def __init__(self, emitter: Emitter, item_id: str, index: int, call: CallStart) -> None:
        super().__init__(emitter, item_id, index)
        self._call = call
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
            approval_request_id=self._call.approval_request_id,
            call_id=self._call.call_id if self._call.caller else UNSET,
            caller=caller(self._call.caller) if self._call.caller else UNSET,
        )

    def text(self, text: str) -> None:
        """Append to the arguments."""
        self._pieces.append(text)
        self._emitter.delta("response.mcp_call_arguments.delta", self._head, text)

    def end_arguments(self) -> None:
        """Emit the event for complete arguments."""
        if not self._told:
            self._told = True
            if not self._pieces:
                self.text("{}")
            self._emitter.emit(
                ev.McpArgumentsDone(item_id=self.item_id, output_index=self.index, arguments="".join(self._pieces))
            )

    def progress(self, stage: str, fields: Mapping[str, object]) -> None:
        """Do nothing: these calls have no events between their arguments and their end."""

    def result(self, result: ToolResult) -> bytes:
        """End the call with its output, or with why it gave none."""
        error = result.error
        done = ev.McpCallCompleted if error is None else ev.McpCallFailed
        self._emitter.emit(done(item_id=self.item_id, output_index=self.index))
        output = None if error is not None else str(result.fields.get("output", ""))
        return self._done(self._item("completed" if error is None else "failed", output, error))

    def close(self, status: str) -> bytes:
        """End a call that got no result: the response ends before it."""
        return self._done(self._item("incomplete"))


class ListingWriter(ItemWriter):
    """`mcp_list_tools`: the listing of an MCP server's tools."""

    __slots__ = ("_label",)

    def __init__(self, emitter: Emitter, item_id: str, index: int, label: str) -> None:
        super().__init__(emitter, item_id, index)
        self._label = label
        self._added(McpListTools(id=item_id, server_label=label))
        emitter.emit(ev.McpListToolsInProgress(item_id=item_id, output_index=index))

    def tools(self, tools: Sequence[bytes]) -> bytes:
        """End with the tools, each as JSON."""
        self._emitter.emit(ev.McpListToolsCompleted(item_id=self.item_id, output_index=self.index))
        self._emitter.listed(self._label, tools)
        return self._done(McpListTools(id=self.item_id, server_label=self._label, tools=[Raw(tool) for tool in tools]))

    def fail(self, message: str) -> bytes:
        """End the listing with an error."""
        self._emitter.emit(ev.McpListToolsFailed(item_id=self.item_id, output_index=self.index))
        return self._done(McpListTools(id=self.item_id, server_label=self._label, error=message))

    def close(self, status: str) -> bytes:
        """End the listing because the response ends."""
        return self.fail("The response ended before the server had answered.")


class ReadyWriter(ItemWriter):
    """An item that is complete when it is added."""

    __slots__ = ()

    def write(self, item: bytes, between: str = "") -> None:
        """Write its first and last event, and one of its own between them."""
        self._added(Raw(item))
        if between:
            self._emitter.raw(between, b'"item_id":%b,"output_index":%d' % (to_json(self.item_id), self.index))
        self._done(Raw(item))


def approval_request(
    item_id: str, label: str, name: str, arguments: str, *, call_id: str = "", program: str = ""
) -> bytes:
    """Return the item that asks a person to agree to a call, as JSON; `call_id` is that of a call which a program made."""
    item = McpApprovalRequest(id=item_id, server_label=label, name=name, arguments=arguments)
    return to_json(replace(item, call_id=call_id, caller=caller(program)) if program else item)
