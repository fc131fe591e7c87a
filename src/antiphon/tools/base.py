"""The seam to tools that the server runs itself: ToolServer offers some, ToolServers finds it for a declaration."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from antiphon.errors import AntiphonError, InvalidRequest
from antiphon.types.tools import RemoteTool as RemoteTool


class ToolFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A choice among a server's tools: by name, or by whether the server calls them read-only."""

    tool_names: frozenset[str] | None = None
    read_only: bool | None = None

    def takes(self, name: str, read_only: bool) -> bool:
        """Tell whether the filter takes a tool."""
        if self.tool_names is not None and name not in self.tool_names:
            return False
        return self.read_only is None or self.read_only == read_only


class ApprovalFilter(msgspec.Struct, frozen=True, kw_only=True):
    """`require_approval` as an object: which tools always need it, which never."""

    always: ToolFilter | None = None
    never: ToolFilter | None = None


class NamedServer(msgspec.Struct, frozen=True, kw_only=True):
    """What of an MCP server's declaration tells which one is meant."""

    server_label: str = ""
    server_url: str | None = None

    @property
    def place(self) -> str:
        """Where it is, as keys' restrictions name it: its label in the configuration, else its URL, without what hides it."""
        if self.server_url is None:
            return self.server_label
        return normal_url(self.server_url)


class McpTool(NamedServer, frozen=True, kw_only=True, tag="mcp", tag_field="type"):
    """The declaration of an MCP server (OpenAI's "MCPTool")."""

    server_label: str
    server_description: str | None = None
    connector_id: str | None = None
    authorization: str | None = None
    headers: dict[str, str] | None = None
    allowed_tools: frozenset[str] | ToolFilter | None = None
    require_approval: Literal["always", "never"] | ApprovalFilter | None = None
    defer_loading: bool | None = None

    def offers(self, tool: RemoteTool) -> bool:
        """Tell whether the model may see a tool."""
        allowed = self.allowed_tools
        if isinstance(allowed, ToolFilter):
            return allowed.takes(tool.name, tool.read_only)
        return allowed is None or tool.name in allowed

    @property
    def depends_on_hints(self) -> bool:
        """Tell whether it matters what the server calls read-only: then its own word counts, not a client's item."""
        rule = self.require_approval
        filters = [self.allowed_tools, *((rule.always, rule.never) if isinstance(rule, ApprovalFilter) else ())]
        return any(isinstance(one, ToolFilter) and one.read_only is not None for one in filters)

    def needs_approval(self, tool: RemoteTool) -> bool:
        """Tell whether a person has to agree to a call. Without a word on it: always."""
        rule = self.require_approval
        if isinstance(rule, ApprovalFilter):
            if rule.never is not None and rule.never.takes(tool.name, tool.read_only):
                return False
            return rule.always is None or rule.always.takes(tool.name, tool.read_only)
        return rule != "never"


def normal_url(url: str) -> str:
    """Return `scheme://host[:port]/path`: lower case before the path, no user and no dots in the path; "" for no such URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if not host or parts.username is not None or "%" in parts.path or "\\" in url:
        return ""
    place = f"[{host}]" if ":" in host else host
    where = place if port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f"{place}:{port}"
    path = posixpath.normpath(parts.path or "/").replace("//", "/")
    return f"{parts.scheme}://{where}{path}"


def not_for_key(tool: NamedServer, param: str) -> InvalidRequest:
    """Return the refusal of a server that the caller's key is kept from."""
    field = "server_label" if tool.server_url is None else "server_url"
    return InvalidRequest(
        f"This API key may not use the MCP server '{tool.server_label}'.",
        param=f"{param}.{field}",
        code="mcp_server_not_allowed",
    )


class ToolOutput(msgspec.Struct, frozen=True):
    """What a call gave: text for the model. `failed` tells that the tool itself reported an error."""

    text: str
    failed: bool = False


class ToolServerError(AntiphonError):
    """The server of a tool cannot be reached, refuses, or speaks nonsense; the message may be shown to the client."""


class ToolServer(Protocol):
    """A server of tools, connected for one response."""

    async def list(self) -> Sequence[RemoteTool]:
        """Return its tools. Raises ToolServerError."""
        ...

    async def call(self, name: str, arguments: str) -> ToolOutput:
        """Call a tool; `arguments` is a JSON object's text. Raises ToolServerError."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class ToolServers(Protocol):
    """Finds the server of a declaration."""

    async def check(self, tool: McpTool, param: str) -> None:
        """Refuse a declaration whose server may not or cannot be called. Raises InvalidRequest."""
        ...

    def connect(self, tool: McpTool) -> ToolServer:
        """Return the server; the connection is made at its first use."""
        ...
