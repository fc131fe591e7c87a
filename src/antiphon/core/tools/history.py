"""Items of tools → the calls and outputs that a model made and got earlier. Nothing in it is tied to a wire format.

Each kind's reader is named in its row of `core.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Raw

from antiphon.core.deltas import CallKind
from antiphon.core.json_encoding import to_json
from antiphon.core.tools.deferred_tools import HOSTED_TOOL_SEARCH, TOOL_SEARCH
from antiphon.core.tools.environments import HOSTED_SHELL, SHELL, in_container
from antiphon.core.tools.mcp_content import shown_to_model
from antiphon.core.tools.offers import Target
from antiphon.errors import InvalidRequest
from antiphon.types.items import OtherItem, Part
from antiphon.types.raw import JsonText, OptionalRaw
from antiphon.types.tool_items import McpError


class HistoryCall(msgspec.Struct, frozen=True):
    """A call that a model made earlier; `arguments` is JSON text."""

    call_id: str
    target: Target
    arguments: str


class StartedCall(HistoryCall, frozen=True):
    """A call for whose output the model does not wait."""


class HistoryOutput(msgspec.Struct, frozen=True):
    """What a call of that kind gave. An `optional` one may lack its call."""

    call_id: str
    kind: CallKind
    output: str | JsonText | Sequence[Part]
    optional: bool = False


HistoryEntry = HistoryCall | HistoryOutput


class ToolNames(Protocol):
    """Knows what the model is offered."""

    def names_of(self, tools: Sequence[Raw]) -> list[str]:
        """Return the names under which the model may call declared tools."""
        ...


ReadItem = Callable[[CallKind, OtherItem, ToolNames], Sequence[HistoryEntry]]
"""A kind, an item of it and what is offered → calls and outputs. Raises InvalidRequest."""


class _ItemFields(msgspec.Struct):
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
    code: str = ""
    result: OptionalRaw = None
    execution: str | None = None


_fields = msgspec.json.Decoder(_ItemFields)
_any = msgspec.json.Decoder(Any)
_object = msgspec.json.Decoder(dict[str, Raw])

T = TypeVar("T")

NOT_KEPT = "(What this call gave is not kept.)"
"""What a model sees of a call whose result neither the item nor the store holds: the client sent it back by itself."""


def call_reader(field: str) -> ReadItem:
    """Return the reader of calls whose arguments stand in a field: `action`, `operation` or `arguments`."""

    def read(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
        fields = _decoded(item)
        return (HistoryCall(_id(fields), Target(kind, kind), object_of(getattr(fields, field))),)

    return read


def read_shell_call(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
    """Read commands for a shell: the client's, or that of a container."""
    fields = _decoded(item)
    kind = HOSTED_SHELL if in_container(item.raw) else kind
    return (HistoryCall(_id(fields), Target(kind, SHELL), object_of(fields.action)),)


def read_search_call(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
    """Read a search among tools: the client's, or one that this server made."""
    fields = _decoded(item)
    kind = HOSTED_TOOL_SEARCH if fields.execution == "server" else kind
    return (HistoryCall(_id(fields), Target(kind, TOOL_SEARCH), object_of(fields.arguments)),)


def read_output(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
    """Read what a client's tool gave, or a shell in a container."""
    fields = _decoded(item)
    output = item.model_text or text_of(fields.output) or fields.status or ""
    return (HistoryOutput(_id(fields), kind, output, optional=fields.call_id is None),)


def read_program(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
    """Read a program of the model."""
    fields = _decoded(item)
    return (HistoryCall(_id(fields), Target(kind, item.type), to_json({"code": fields.code}).decode()),)


def read_program_output(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
    """Read what came of a program; one without its program says nothing."""
    fields = _decoded(item)
    return (HistoryOutput(_id(fields), kind, item.model_text or text_of(fields.result), optional=True),)


def read_found_tools(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
    """Read what a search among the client's tools gave."""
    fields = _decoded(item)
    names = tools.names_of(fields.tools)
    output = item.model_text or told_found(names)
    return (HistoryOutput(_id(fields), kind, output, optional=fields.call_id is None),)


def told_found(names: Sequence[str]) -> str:
    """Return what a model is told of tools that were found."""
    return f"Found, and can be called now: {', '.join(names)}" if names else "No tools were found."


def read_server_call(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
    """Read a call of an MCP server's tool, which holds its own output."""
    fields = _decoded(item)
    id = fields.id or ""
    error = _error(fields.error)
    output = shown_to_model(_told_as_error(error) if error else text_of(fields.output))
    target = Target(kind, fields.name, fields.server_label or None)
    return (HistoryCall(id, target, object_of(fields.arguments)), HistoryOutput(id, kind, output))


def hosted_reader(name: str, fields: Sequence[str], *, results: str = "") -> ReadItem:
    """Return the reader of calls that this server made by a function `name`, whose arguments are these fields of the item.

    Where the text for the model is not kept, the model sees what the field `results` says, if the item has it.
    """

    def read(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
        found = _decode(_object, item)
        id = item.id if isinstance(item.id, str) else ""
        arguments = {field: found[field] for field in fields if field in found}
        output = item.model_text if isinstance(item.model_text, str) else _results(found.get(results)) or NOT_KEPT
        return (
            HistoryCall(id, Target(kind, name), to_json(arguments).decode()),
            HistoryOutput(id, kind, output),
        )

    return read


def read_picture(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
    """Return the call for a picture. One that a model made by itself, or that a client brings, says nothing to a chat model."""
    if not isinstance(item.model_text, str):
        return ()
    id = item.id if isinstance(item.id, str) else ""
    prompt = _decode(_object, item).get("revised_prompt")
    arguments = to_json({} if prompt is None else {"prompt": prompt}).decode()
    return (HistoryCall(id, Target(kind, kind), arguments), HistoryOutput(id, kind, item.model_text))


class _HostedResult(msgspec.Struct):
    """A result as an item shows it: of a search in files, or of code."""

    text: str = ""
    logs: str = ""
    filename: str = ""


def _results(raw: Raw | None) -> str:
    """Return the texts of an item's results, "" where it has none."""
    try:
        found = msgspec.json.decode(raw, type=list[_HostedResult] | None) if raw is not None else None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    texts = ("\n".join(part for part in (one.filename, one.text, one.logs) if part) for one in found or ())
    return "\n\n".join(text for text in texts if text)


class _WebAction(msgspec.Struct):
    type: str = "search"
    query: str | None = None
    queries: list[str] | None = None
    url: str | None = None
    pattern: str | None = None


class _WebCall(msgspec.Struct):
    action: _WebAction | None = None


_web_call = msgspec.json.Decoder(_WebCall)

WEB_FUNCTIONS = {"search": "web_search", "open_page": "open_page", "find_in_page": "find_in_page"}
"""Type of a `web_search_call`'s action → the function that the model had called."""


def read_web_search(kind: CallKind, item: OtherItem, tools: ToolNames) -> Sequence[HistoryEntry]:
    """Read a `web_search_call`: its action tells which function was called."""
    action = _decode(_web_call, item).action or _WebAction()
    id = item.id if isinstance(item.id, str) else ""
    queries = action.queries or ([action.query] if action.query else None)
    fields = {"queries": queries, "url": action.url, "pattern": action.pattern}
    arguments = {name: value for name, value in fields.items() if value is not None}
    output = item.model_text if isinstance(item.model_text, str) else NOT_KEPT
    return (
        HistoryCall(id, Target(kind, WEB_FUNCTIONS.get(action.type, "web_search")), to_json(arguments).decode()),
        HistoryOutput(id, kind, output),
    )


def _decode(decoder: msgspec.json.Decoder[T], item: OtherItem) -> T:
    try:
        return decoder.decode(item.raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"Invalid {item.type} item: {error}", param="input") from None


def _decoded(item: OtherItem) -> _ItemFields:
    return _decode(_fields, item)


def _id(fields: _ItemFields) -> str:
    return fields.call_id or fields.id or ""


def _error(raw: Raw | None) -> str:
    """Return the text of a call's error: a string, or an object that has the text in its content."""
    if raw is None or not bytes(raw).startswith(b"{"):
        return text_of(raw)
    try:
        error = msgspec.json.decode(raw, type=McpError)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text_of(raw)
    return "\n".join(part.text for part in error.content)


def _told_as_error(error: str) -> str:
    blank = "\n" if error.startswith('{"type":"') else " "  # a part of a result stands in a line of its own
    return f"Error:{blank}{error}"


def text_of(raw: Raw | None) -> str:
    """Return a string as itself, any other JSON as its text, null as nothing."""
    if raw is None or bytes(raw) == b"null":
        return ""
    if not bytes(raw).startswith(b'"'):
        return bytes(raw).decode()
    return str(_any.decode(raw))


def object_of(raw: Raw) -> str:
    """Return arguments as the text of a JSON object; some items hold them as an object, some as text."""
    text = text_of(raw).strip()
    if text.startswith("{"):
        return text
    return to_json({"input": text}).decode() if text else "{}"
