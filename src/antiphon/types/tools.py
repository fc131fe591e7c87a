"""Tools that a request declares, and its choice among them (Responses API, "Tool", "ToolChoiceParam")."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from antiphon.types.raw import OptionalRaw, settle_nulls


class FunctionTool(msgspec.Struct, tag="function", tag_field="type", kw_only=True, frozen=True):
    """A function of the client; `parameters` is a JSON Schema, kept as bytes.

    `asynchronous`: the model goes on without its output.
    """

    name: str
    description: str | None = None
    parameters: OptionalRaw = None
    strict: bool | None = None
    defer_loading: bool | UnsetType = UNSET
    allowed_callers: list[str] | None | UnsetType = UNSET
    output_schema: dict[str, Any] | None | UnsetType = UNSET
    asynchronous: bool | None | UnsetType = msgspec.field(default=UNSET, name="async")

    def __post_init__(self) -> None:
        settle_nulls(self, parameters=self.parameters)


class ToolFormat(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What a custom tool takes: free text, or text of a grammar (`syntax`: lark or regex)."""

    type: str
    syntax: str | UnsetType = UNSET
    definition: str | UnsetType = UNSET


class CustomTool(msgspec.Struct, tag="custom", tag_field="type", kw_only=True, frozen=True):
    """A freeform tool of the client: its input is raw text, not JSON."""

    name: str
    description: str | UnsetType = UNSET
    format: ToolFormat | UnsetType | None = UNSET
    defer_loading: bool | UnsetType = UNSET
    allowed_callers: list[str] | None | UnsetType = UNSET
    asynchronous: bool | None | UnsetType = msgspec.field(default=UNSET, name="async")


class NamespaceTool(msgspec.Struct, tag="namespace", tag_field="type", kw_only=True, frozen=True):
    """A named group of functions and custom tools."""

    name: str
    description: str = ""
    tools: list[FunctionTool | CustomTool] = []


class OtherTool(msgspec.Struct, frozen=True):
    """A tool of a type that has no struct of its own; kept as it came. Who runs its kind decodes it (`mcp`: `tools.base`).

    `own`: the declaration with what only tools of this server understand, where a front end has more to say than `raw`.
    """

    type: str
    raw: Raw
    own: Raw | None = None


KnownTool = FunctionTool | CustomTool | NamespaceTool
Tool = KnownTool | OtherTool


class NestedChoice(msgspec.Struct, frozen=True):
    """What chat completions nest under the type of a choice: the name of a tool, or `allowed_tools`."""

    name: str | UnsetType = UNSET
    mode: str | UnsetType = UNSET
    tools: list[dict[str, Raw]] | UnsetType = UNSET


class ToolChoice(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """An object form of `tool_choice`: one tool by type and name, or `allowed_tools` with a mode.

    `function`, `custom` and `allowed_tools` are where chat completions nest the other fields (`core.request.other_spellings`).
    """

    type: str
    name: str | UnsetType = UNSET
    mode: str | UnsetType = UNSET
    tools: list[dict[str, Raw]] | UnsetType = UNSET
    server_label: str | UnsetType = UNSET
    namespace: str | UnsetType = UNSET
    function: NestedChoice | UnsetType | None = UNSET
    custom: NestedChoice | UnsetType | None = UNSET
    allowed_tools: NestedChoice | UnsetType | None = UNSET


class RemoteTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as its MCP server lists it; the model may call it and we run it. `input_schema` is a JSON Schema."""

    server_label: str
    name: str
    description: str | None = None
    input_schema: Raw = Raw(b'{"type":"object"}')
    annotations: OptionalRaw = None
    read_only: bool = False


class ToolSearchTool(msgspec.Struct, kw_only=True, frozen=True):
    """The fields of a `tool_search` tool; with `client` execution the client answers the search."""

    execution: str | None = "server"
    description: str | None = None
    parameters: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, parameters=self.parameters)
