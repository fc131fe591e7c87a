"""Output items of the rarer tools: shell, apply_patch, tool_search, MCP. In a request's input they stay as they came."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType

from antiphon.types.items import ToolCaller


class ShellAction(msgspec.Struct, frozen=True, kw_only=True):
    commands: list[str] = []
    timeout_ms: int | None = None
    max_output_length: int | None = None


class LocalEnvironment(msgspec.Struct, tag="local", tag_field="type", frozen=True):
    pass


class ContainerEnvironment(msgspec.Struct, tag="container_reference", tag_field="type", frozen=True):
    container_id: str


class ShellCall(msgspec.Struct, tag="shell_call", tag_field="type", kw_only=True, frozen=True):
    """Commands for a shell: the client's, or one in a container."""

    id: str
    call_id: str
    status: str
    action: ShellAction
    environment: LocalEnvironment | ContainerEnvironment | None = LocalEnvironment()
    caller: ToolCaller | None | UnsetType = UNSET


class ShellCallOutput(msgspec.Struct, tag="shell_call_output", tag_field="type", kw_only=True, frozen=True):
    """What commands in a container gave, each with `stdout`, `stderr` and `outcome`."""

    id: str
    call_id: str
    status: str
    output: list[dict[str, object]] = []
    max_output_length: int | None = None
    caller: ToolCaller | None | UnsetType = UNSET


class LocalShellAction(msgspec.Struct, tag="exec", tag_field="type", frozen=True, kw_only=True):
    command: list[str] = []
    env: dict[str, str] = {}
    timeout_ms: int | UnsetType = UNSET
    working_directory: str | UnsetType = UNSET
    user: str | UnsetType = UNSET


class LocalShellCall(msgspec.Struct, tag="local_shell_call", tag_field="type", kw_only=True, frozen=True):
    """A program for the client to run."""

    id: str
    call_id: str
    status: str
    action: LocalShellAction


class PatchOperation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of one file; `delete_file` has no diff."""

    type: str
    path: str
    diff: str | None = None


class ApplyPatchCall(msgspec.Struct, tag="apply_patch_call", tag_field="type", kw_only=True, frozen=True):
    """A file change for the client to make."""

    id: str
    call_id: str
    status: str
    operation: PatchOperation
    caller: ToolCaller | None | UnsetType = UNSET


class ToolSearchCall(msgspec.Struct, tag="tool_search_call", tag_field="type", kw_only=True, frozen=True):
    """A search among the client's tools; `arguments` is an object, not its text."""

    id: str
    call_id: str
    status: str
    execution: str = "client"
    arguments: Raw = Raw(b"{}")


class ToolSearchOutput(msgspec.Struct, tag="tool_search_output", tag_field="type", kw_only=True, frozen=True):
    """Tools that a search of this server has found."""

    id: str
    call_id: str
    status: str
    execution: str = "server"
    tools: list[Raw] = []


class McpErrorText(msgspec.Struct, tag="text", tag_field="type", frozen=True):
    text: str


class McpError(msgspec.Struct, tag="mcp_tool_execution_error", tag_field="type", frozen=True):
    """Why a call gave nothing."""

    content: list[McpErrorText]


class McpCall(msgspec.Struct, tag="mcp_call", tag_field="type", kw_only=True, frozen=True):
    """A call of an MCP server's tool, and what it gave. `call_id` and `caller` are those of a program's call."""

    id: str
    status: str
    server_label: str
    name: str
    arguments: str = ""
    output: str | None = None
    error: McpError | None = None
    approval_request_id: str | None = None
    call_id: str | UnsetType = UNSET
    caller: ToolCaller | UnsetType = UNSET


class McpListTools(msgspec.Struct, tag="mcp_list_tools", tag_field="type", kw_only=True, frozen=True):
    """The tools of an MCP server."""

    id: str
    server_label: str
    tools: list[Raw] = []
    error: str | UnsetType = UNSET


class McpApprovalRequest(msgspec.Struct, tag="mcp_approval_request", tag_field="type", kw_only=True, frozen=True):
    """A call that a person has to agree to."""

    id: str
    server_label: str
    name: str
    arguments: str
    call_id: str | UnsetType = UNSET
    caller: ToolCaller | UnsetType = UNSET


class ProgramItem(msgspec.Struct, tag="program", tag_field="type", kw_only=True, frozen=True):
    """A program of the model. `fingerprint` tells it from others; clients send it back."""

    id: str
    call_id: str
    code: str
    fingerprint: str


class ProgramOutputItem(msgspec.Struct, tag="program_output", tag_field="type", kw_only=True, frozen=True):
    """What a program said."""

    id: str
    call_id: str
    status: str
    result: str
