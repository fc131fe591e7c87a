"""Items of the rarer types: what anything here reads of them, decoded once, so that a wrong one is refused where it enters.

The JSON of such an item is kept as it came. Whoever reads it later decodes it with a struct that asks no more than this does.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.tool_decoding import decode_tool
from antiphon.core.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.types.items import OtherItem
from antiphon.types.raw import OptionalRaw, settle_nulls
from antiphon.types.tools import Tool

DECLARING = frozenset(("additional_tools", "tool_search_output"))
"""Items whose `tools` are declarations like a request's own."""


class _Common(msgspec.Struct):
    """What is read of items of several types."""

    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    server_label: str | None = None
    status: str | None = None
    tools: list[Raw] | None = None


class _Sealed(msgspec.Struct):
    encrypted_content: str


class _DeclaredLater(msgspec.Struct):
    tools: list[Raw] | None = None


class _Hints(msgspec.Struct, rename="camel"):
    read_only_hint: bool | None = None


class _Listed(msgspec.Struct):
    name: str
    description: str | None = None
    input_schema: OptionalRaw = None
    annotations: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, input_schema=self.input_schema, annotations=self.annotations)


class _Listing(msgspec.Struct):
    server_label: str = ""
    tools: list[Raw] | None = None


class _Approval(msgspec.Struct):
    approval_request_id: str
    approve: bool
    reason: str | None = None


class _ApprovalRequest(msgspec.Struct):
    id: str = ""
    server_label: str = ""
    name: str = ""
    arguments: str = "{}"


_common = msgspec.json.Decoder(_Common)
_later = msgspec.json.Decoder(_DeclaredLater)
_listing = msgspec.json.Decoder(_Listing)
_listed = msgspec.json.Decoder(_Listed)
_hints = msgspec.json.Decoder(_Hints | None)
_read: dict[str, msgspec.json.Decoder[Any]] = {
    "compaction": msgspec.json.Decoder(_Sealed),
    "compaction_summary": msgspec.json.Decoder(_Sealed),
    "mcp_approval_request": msgspec.json.Decoder(_ApprovalRequest),
    "mcp_approval_response": msgspec.json.Decoder(_Approval),
}


def check_other(item: OtherItem, path: str) -> OtherItem:
    """Return the item if all that is read of it is of its type. Raises InvalidRequest."""
    decode(_common, item.raw, path)
    if item.type in DECLARING:
        declared_later(item, path)
    elif item.type == "mcp_list_tools":
        _check_listing(item, path)
    elif item.type in _read:
        decode(_read[item.type], item.raw, path)
    return item


def declared_later(item: OtherItem, path: str = "input") -> list[Tool]:
    """Return the tools that an `additional_tools` or `tool_search_output` item declares. Raises InvalidRequest."""
    tools = decode(_later, item.raw, path).tools or ()
    return [decode_tool(raw, f"{path}.tools[{place}]") for place, raw in enumerate(tools)]


def _check_listing(item: OtherItem, path: str) -> None:
    for place, raw in enumerate(decode(_listing, item.raw, path).tools or ()):
        where = f"{path}.tools[{place}]"
        tool = decode(_listed, raw, where)
        if tool.input_schema is not None and not bytes(tool.input_schema).startswith(b"{"):
            raise InvalidRequest(
                "A tool's input schema is a JSON Schema object.", param=f"{where}.input_schema", code="invalid_type"
            )
        if tool.annotations is not None:
            decode(_hints, tool.annotations, f"{where}.annotations")
