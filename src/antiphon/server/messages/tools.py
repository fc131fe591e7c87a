"""Tools of the Messages API, and the choice among them → ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.request.tool_decoding import MEMORABLE
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.server.messages.server_tools import ServerTools
from antiphon.server.messages.tool_changes import ToolChanges
from antiphon.types.raw import OptionalRaw, settle_nulls
from antiphon.types.tools import FunctionTool, Tool, ToolChoice


class ToolFields(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as it is declared."""

    type: str | None = None
    name: str = ""
    description: str | None = None
    input_schema: OptionalRaw = None
    strict: bool | None = None
    defer_loading: bool | None = None

    def __post_init__(self) -> None:
        settle_nulls(self, input_schema=self.input_schema)


class ChoiceFields(msgspec.Struct, frozen=True, kw_only=True):
    """`tool_choice`."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


Choice = Literal["none", "auto", "required"] | ToolChoice | None

_tool = msgspec.json.Decoder(ToolFields)
_choice = msgspec.json.Decoder(ChoiceFields)

FUNCTIONS = (None, "custom")
"""Types of a tool that is the client's own function."""

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}


def _schema(required: str, **properties: object) -> Raw:
    return Raw(to_json({"type": "object", "properties": properties, "required": required.split()}))


_EDITOR = _schema(
    "command path",
    command={"type": "string", "enum": ["view", "create", "str_replace", "insert"]},
    path=_TEXT,
    file_text=_TEXT,
    old_str=_TEXT,
    new_str=_TEXT,
    insert_line=_NUMBER,
    insert_text=_TEXT,
    view_range={"type": "array", "items": _NUMBER},
)
_MEMORY = _schema(
    "command",
    command={"type": "string", "enum": ["view", "create", "str_replace", "insert", "delete", "rename"]},
    path=_TEXT,
    file_text=_TEXT,
    old_str=_TEXT,
    new_str=_TEXT,
    insert_line=_NUMBER,
    insert_text=_TEXT,
    old_path=_TEXT,
    new_path=_TEXT,
    view_range={"type": "array", "items": _NUMBER},
)
CLIENT_TOOLS: Mapping[str, tuple[str, Raw]] = {
    "bash_": ("Run a command in a bash shell.", _schema("", command=_TEXT, restart={"type": "boolean"})),
    "text_editor_": ("View, create and edit files.", _EDITOR),
    "memory_": ("View, create and edit files of the memory directory.", _MEMORY),
}
"""Tools of the client that are declared without a schema, by the beginning of their type."""

_MCP_FIELDS = {".server_label": ".name", ".server_url": ".url", ".authorization": ".authorization_token"}


class ToolsRead:
    """The tools of a request. `paths` are those of their declarations, `named` server tools by the name that a choice uses.
    `listings`: tools of MCP servers that the request lists itself.

    Tools that are deferred are offered only once they are referred to, behind all others, in that order, or once a search of
    this server finds them. `searches_only`:
    all that is declared is a web search. Raises InvalidRequest.
    """

    def __init__(
        self,
        declared: Sequence[Raw],
        changes: ToolChanges,
        ignored: dict[str, None],
        *,
        servers: Raw | None = None,
        container: Raw | None = None,
    ) -> None:
        offered: list[tuple[Tool, str]] = []
        deferred: dict[str, tuple[Tool, str]] = {}
        run_here = ServerTools(container, ignored, changes.servers)
        defined, removed = changes.definitions, changes.removed
        paths = [(raw, f"tools[{index}]") for index, raw in enumerate(declared)]
        for raw, path in (*paths, *defined.values()) if defined else paths:
            usual = _usual(bytes(raw)) if len(raw) <= MEMORABLE else None
            fields: ToolFields = usual[0] if usual is not None else decode(_tool, raw, path)
            tool: Tool | None = usual[1] if usual is not None else None
            name = fields.name
            if name in removed or (name in defined and defined[name][1] != path):
                continue  # it is withdrawn, or the conversation defines it anew
            if tool is None:
                if run_here.take(fields.type or "", name, raw, path):
                    continue
                tool = _offered(fields, path, ignored)
            if tool is None:
                continue
            if fields.defer_loading or name in defined:
                deferred[name] = tool, path
            else:
                offered.append((tool, path))
        pairs = [*offered, *(deferred.pop(name) for name in changes.references if name in deferred)]
        waiting = [(_deferred(tool), path) for tool, path in deferred.values()] if run_here.searches_tools else []
        served = run_here.tools(servers)
        self.searches_only = not pairs and [tool.type for tool, _ in served] == ["web_search"]
        self.named = run_here.named
        self.listings = run_here.listings
        self.tools: list[Tool] = [tool for tool, _ in (*pairs, *served, *waiting)]
        self.paths = [path for _, path in (*pairs, *served, *waiting)]

    def spell(self, name: str) -> str:
        """Return how this API names a field of a tool."""
        number, bracket, rest = name.removeprefix("tools[").partition("]")
        if not (bracket and number.isdigit() and len(number) < 9 and int(number) < len(self.paths)):
            return name
        rest = rest.replace(".filters.", ".").replace(".container", "")
        return self.paths[int(number)] + _MCP_FIELDS.get(rest, rest)


def _deferred(tool: Tool) -> Tool:
    """Return a tool that is not offered until a search has found it."""
    return msgspec.structs.replace(tool, defer_loading=True) if isinstance(tool, FunctionTool) else tool


@lru_cache(maxsize=1024)
def _usual(data: bytes) -> tuple[ToolFields, FunctionTool] | None:
    """Decode a function of the client, None where it is refused or is no function.

    Clients send the same tools with every request, and what is made of a tool is kept as long as it is the same object.
    """
    try:
        fields = decode(_tool, data)
        return (fields, _function(fields, "")) if fields.type in FUNCTIONS else None
    except InvalidRequest:
        return None  # it is decoded again, for an error that names its path


def _offered(fields: ToolFields, path: str, ignored: dict[str, None]) -> Tool | None:
    if fields.type not in FUNCTIONS:
        known = next((made for begin, made in CLIENT_TOOLS.items() if (fields.type or "").startswith(begin)), None)
        if known is None:
            ignored[f"tools.{(fields.type or '')[:64]}"] = None
            return None
        return FunctionTool(name=fields.name, description=known[0], parameters=known[1], strict=False)
    return _function(fields, path)


def _function(fields: ToolFields, path: str) -> FunctionTool:
    for name, value in (("name", fields.name), ("input_schema", fields.input_schema)):
        if not value:
            raise InvalidRequest("Field required", param=f"{path}.{name}", code="missing_required_parameter")
    if len(fields.name) > 128:
        raise InvalidRequest("must have at most 128 characters", param=f"{path}.name")
    schema = bytes(fields.input_schema or b"{}")
    if b"\n" in schema:
        schema = msgspec.json.format(schema, indent=-1)
    return FunctionTool(
        name=fields.name, description=fields.description, parameters=Raw(schema), strict=bool(fields.strict)
    )


def choice_of(raw: Raw | None, read: ToolsRead) -> tuple[Choice, bool]:
    """Return the choice, and whether several calls at once are allowed. Raises InvalidRequest."""
    if raw is None:
        return None, True
    fields = decode(_choice, raw, "tool_choice")
    parallel = not fields.disable_parallel_tool_use
    match fields.type:
        case "auto":
            return "auto", parallel
        case "none":
            return "none", parallel
        case "any":
            return "required", parallel
        case "tool":
            if (kind := read.named.get(fields.name or "")) is not None:
                return ToolChoice(type=kind), parallel
            if fields.name not in {tool.name for tool in read.tools if isinstance(tool, FunctionTool)}:
                raise InvalidRequest(
                    f"Tool '{(fields.name or '')[:128]}' not found in provided tools", param="tool_choice.name"
                )
            return ToolChoice(type="function", name=fields.name or ""), parallel
    raise InvalidRequest("must be 'auto', 'any', 'tool' or 'none'", param="tool_choice.type")
