"""Tools that come and go in a conversation: `tool_addition` and `tool_removal` blocks, `tool_reference`s in results."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.types.raw import OptionalRaw, settle_nulls

WHOLE_TOOLSET = ""


class ChangedTool(msgspec.Struct, frozen=True, kw_only=True):
    """`tool` of such a block: a reference to a tool, to one of an MCP server or to all of these, or a definition."""

    type: str
    name: str = ""
    server_name: str = ""
    definition: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, definition=self.definition)


class DefinedTool(msgspec.Struct, frozen=True, kw_only=True):
    """What names a definition."""

    name: str = ""
    mcp_server_name: str = ""


_changed = msgspec.json.Decoder(ChangedTool)
_defined = msgspec.json.Decoder(DefinedTool)


class ToolChanges:
    """What a conversation says of its tools, up to its end.

    `references` are tools that it has made known, in that order; `removed` those that it has withdrawn. `definitions` are
    tools that it has defined, each with the path of its definition. `servers` are tools of MCP servers that were withdrawn,
    by the server's name; `WHOLE_TOOLSET` among them stands for all.
    """

    def __init__(self) -> None:
        self.references: dict[str, None] = {}
        self.removed: set[str] = set()
        self.definitions: dict[str, tuple[Raw, str]] = {}
        self.servers: dict[str, set[str]] = {}

    @property
    def none(self) -> bool:
        """Whether the conversation says nothing of its tools."""
        return not (self.references or self.removed or self.definitions or self.servers)

    def copy(self) -> ToolChanges | None:
        """Return the same changes; None where there are more than references and tools that were withdrawn."""
        if self.definitions or self.servers:
            return None
        changes = ToolChanges()
        changes.references, changes.removed = self.references.copy(), self.removed.copy()
        return changes

    def refer(self, name: str) -> None:
        """Take a reference to a tool."""
        self.references[name] = None

    def take(self, tool: Raw | None, path: str, *, added: bool) -> bool:
        """Take a block's `tool`; False where its type is not known. Raises InvalidRequest."""
        if tool is None:
            raise InvalidRequest("Field required", param=path, code="missing_required_parameter")
        changed = decode(_changed, tool, path)
        match changed.type:
            case "tool_reference":
                self._named(changed.name, added=added)
            case "mcp_tool_reference":
                self._of_server(changed.server_name, changed.name, added=added)
            case "mcp_toolset_reference":
                self._of_server(changed.server_name, WHOLE_TOOLSET, added=added)
            case "tool_definition" if added and changed.definition is not None:
                self._define(changed.definition, f"{path}.definition")
            case _:
                return False
        return True

    def _named(self, name: str, *, added: bool) -> None:
        if added:
            self.removed.discard(name)
            self.refer(name)
        else:
            self.removed.add(name)
            self.references.pop(name, None)

    def _of_server(self, server: str, name: str, *, added: bool) -> None:
        removed = self.servers.setdefault(server, set())
        if not added:
            removed.add(name)
        elif name == WHOLE_TOOLSET:
            removed.clear()
        else:
            removed.discard(name)

    def _define(self, definition: Raw, path: str) -> None:
        """Take a definition; it stands behind what was made known before it, also where it replaces one."""
        defined = decode(_defined, definition, path)
        if not defined.name:
            self._of_server(defined.mcp_server_name, WHOLE_TOOLSET, added=True)
        self.definitions[defined.name or f"mcp_toolset {defined.mcp_server_name}"] = definition, path
        if defined.name:
            self.references.pop(defined.name, None)
            self._named(defined.name, added=True)
