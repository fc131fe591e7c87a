"""Items of the rarer types: what anything here reads of them, decoded once, so that a wrong one is refused where it enters.

The JSON of such an item is kept as it came. Whoever reads it later decodes it with a struct that asks no more than this does.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from antiphon.core import kinds
from antiphon.core.request.tool_decoding import decode_tools
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.types.items import OtherItem, ToolCaller
from antiphon.types.raw import OptionalRaw, settle_nulls
from antiphon.types.tools import RemoteTool, Tool


class _Common(msgspec.Struct):
    """What is read of items of several types."""

    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    server_label: str | None = None
    status: str | None = None
    tools: list[Raw] | None = None


class Sealed(msgspec.Struct):
    """What is read of a `compaction` item."""

    encrypted_content: str


class DeclaredLater(msgspec.Struct):
    """The tools that an `additional_tools` or `tool_search_output` item brings."""

    tools: list[Raw] | None = None


class ToolHints(msgspec.Struct, rename="camel"):
    """What is read of a listed tool's `annotations`."""

    read_only_hint: bool | None = None


class ListedTool(msgspec.Struct):
    """One tool of an `mcp_list_tools` item."""

    name: str
    description: str | None = None
    input_schema: OptionalRaw = None
    annotations: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, input_schema=self.input_schema, annotations=self.annotations)


class Listing(msgspec.Struct):
    """What is read of an `mcp_list_tools` item."""

    server_label: str = ""
    tools: list[Raw] | None = None
    error: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, error=self.error)


class Listed(msgspec.Struct, frozen=True):
    """The tools of an `mcp_list_tools` item; one that `failed` lists none."""

    server_label: str
    tools: Sequence[RemoteTool]
    failed: bool = False


class ApprovalAnswer(msgspec.Struct):
    """What is read of an `mcp_approval_response` item."""

    approval_request_id: str
    approve: bool
    reason: str | None = None


class ApprovalRequest(msgspec.Struct, frozen=True):
    """What is read of an `mcp_approval_request` item. `call_id` and `caller` are there where a program made the call."""

    id: str = ""
    server_label: str = ""
    name: str = ""
    arguments: str = "{}"
    call_id: str | None = None
    caller: ToolCaller | None = None


class _McpCall(msgspec.Struct):
    approval_request_id: str | None = None


_call = msgspec.json.Decoder(_McpCall)
_common = msgspec.json.Decoder(_Common)
_sealed = msgspec.json.Decoder(Sealed)
_later = msgspec.json.Decoder(DeclaredLater)
_listing = msgspec.json.Decoder(Listing)
_listed = msgspec.json.Decoder(ListedTool)
_hints = msgspec.json.Decoder(ToolHints | None)
_approval = msgspec.json.Decoder(ApprovalAnswer)
_approval_request = msgspec.json.Decoder(ApprovalRequest)


def check_other(item: OtherItem, path: str) -> OtherItem:
    """Return the item if all that may be read of it is of its type. Raises InvalidRequest."""
    decode(_common, item.raw, path)
    if item.type in kinds.BRINGERS:
        declared_later(item, path)
    elif item.type in kinds.SEALED:
        sealed_content(item, path)
    elif item.type == kinds.MCP_LISTING:
        listed_tools(item, path)
    elif item.type == kinds.MCP_CALL:
        approved_by(item, path)
    elif item.type == kinds.APPROVAL_RESPONSE:
        approval(item, path)
    elif item.type == kinds.APPROVAL_REQUEST:
        approval_request(item, path)
    return item


def sealed_content(item: OtherItem, path: str = "input") -> str:
    """Return what a `compaction` item seals. Raises InvalidRequest."""
    return decode(_sealed, item.raw, path).encrypted_content


def declared_later(item: OtherItem, path: str = "input") -> Sequence[Tool]:
    """Return the tools that an item declares. Raises InvalidRequest."""
    return decode_tools(decode(_later, item.raw, path).tools, f"{path}.tools")


def listed_tools(item: OtherItem, path: str = "input") -> Listed:
    """Return what an `mcp_list_tools` item lists. Raises InvalidRequest."""
    listing = decode(_listing, item.raw, path)
    label = listing.server_label
    tools = [_remote(label, raw, f"{path}.tools[{n}]") for n, raw in enumerate(listing.tools or ())]
    return Listed(label, tools, failed=listing.error is not None)


def _remote(label: str, raw: Raw, path: str) -> RemoteTool:
    tool = decode(_listed, raw, path)
    if tool.input_schema is not None and not bytes(tool.input_schema).startswith(b"{"):
        raise InvalidRequest(
            f"Invalid '{path}.input_schema': must be a JSON Schema object.",
            param=f"{path}.input_schema",
            code="invalid_type",
        )
    hints = None if tool.annotations is None else decode(_hints, tool.annotations, f"{path}.annotations")
    return RemoteTool(
        server_label=label,
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema or Raw(b'{"type":"object"}'),
        annotations=tool.annotations,
        read_only=bool(hints and hints.read_only_hint),
    )


def approval(item: OtherItem, path: str = "input") -> ApprovalAnswer:
    """Return what a person decided. Raises InvalidRequest."""
    return decode(_approval, item.raw, path)


def approval_request(item: OtherItem, path: str = "input") -> ApprovalRequest:
    """Return the call that a person was asked about. Raises InvalidRequest."""
    return decode(_approval_request, item.raw, path)


def approved_by(item: OtherItem, path: str = "input") -> str | None:
    """Return the id of the approval request that an `mcp_call` was made for, None where it needed none. Raises InvalidRequest."""
    return decode(_call, item.raw, path).approval_request_id
