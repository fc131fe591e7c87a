"""The seam to tools that the server runs itself: HostedTool is one; ToolServers finds the server of an MCP declaration."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from antiphon.core.citations.sources import Sources
from antiphon.core.kind import Kind
from antiphon.core.programs import BY_PROGRAM, DIRECT
from antiphon.core.tools.offers import Offer
from antiphon.core.tools.results import NO_FIELDS
from antiphon.core.tools.results import ToolResult as ToolResult
from antiphon.errors import AntiphonError, InvalidRequest
from antiphon.types.items import Item
from antiphon.types.tools import RemoteTool as RemoteTool
from antiphon.types.tools import Tool


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
    def address(self) -> str:
        """Where it is, as keys' restrictions name it: its label in the configuration, else its URL, without what hides it."""
        if self.server_url is None:
            return self.server_label
        return normal_url(self.server_url)


class McpTool(NamedServer, frozen=True, kw_only=True, tag="mcp", tag_field="type"):
    """The declaration of an MCP server (OpenAI's "MCPTool"). `refused_tools` are not offered, whatever else is allowed."""

    server_label: str
    server_description: str | None = None
    connector_id: str | None = None
    authorization: str | None = None
    headers: dict[str, str] | None = None
    allowed_tools: frozenset[str] | ToolFilter | None = None
    refused_tools: frozenset[str] = frozenset()
    require_approval: Literal["always", "never"] | ApprovalFilter | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None

    @property
    def direct(self) -> bool:
        """Tell whether the model may call its tools itself."""
        return not self.allowed_callers or DIRECT in self.allowed_callers

    @property
    def in_programs(self) -> bool:
        """Tell whether the model's programs may call its tools."""
        return BY_PROGRAM in (self.allowed_callers or ())

    def offers(self, tool: RemoteTool) -> bool:
        """Tell whether the model may see a tool."""
        allowed = self.allowed_tools
        if tool.name in self.refused_tools:
            return False
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
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f"{shown}:{port}"
    path = posixpath.normpath(parts.path or "/").replace("//", "/")
    return f"{parts.scheme}://{authority}{path}"


def not_for_key(tool: NamedServer, param: str) -> InvalidRequest:
    """Return the refusal of a server that the caller's key is kept from."""
    field = "server_label" if tool.server_url is None else "server_url"
    return InvalidRequest(
        f"This API key may not use the MCP server '{tool.server_label}'.",
        param=f"{param}.{field}",
        code="mcp_server_not_allowed",
    )


class ToolOutput(msgspec.Struct, frozen=True):
    """What a call gave: text of its item. A line of it may be a picture, as `core.tools.mcp_content` says.

    `failed` tells that the tool itself reported an error.
    """

    text: str
    failed: bool = False


class ToolServerError(AntiphonError):
    """The server of a tool cannot be reached, refuses, or speaks nonsense; the message may be shown to the client.

    `word`: the `code` of the ToolResult that is made of it.
    """

    def __init__(self, message: str, word: str = "") -> None:
        super().__init__(message)
        self.word = word


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

    def connect(self, tool: McpTool, *, session: bool = False) -> ToolServer:
        """Return the server; the connection is made at its first use. `session`: it is to keep what calls leave behind."""
        ...


# Hosted tools


class CallProgress(Protocol):
    """Tells the client how far a call has come. For the event loop only."""

    def __call__(self, stage: str, fields: Mapping[str, object] = NO_FIELDS) -> None:
        """Send the event `response.TYPE.STAGE`, with these fields."""
        ...


Progress = CallProgress


class ToolBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one call may take: seconds, and bytes of what client and model get; `total` are the bytes of a response's calls."""

    seconds: float = 60.0
    bytes: int = 4 * 1024 * 1024
    total: int = 16 * 1024 * 1024


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as a request declares it. `param` is its path in the request, `raw` its JSON.

    `beside` are all tools of the request.
    """

    type: str
    raw: Raw
    param: str
    beside: Sequence[Tool] = ()


class HostedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The response within which a hosted tool is used. `items` is what the model sees first, `sources` what it may cite."""

    owner: str
    response_id: str
    items: Sequence[Item]
    sources: Sources


class HostedUse(Protocol):
    """A hosted tool within one response. A class that inherits from this has the methods it does not write itself."""

    def instructions(self) -> str:
        """Return what the model is told of the tool as a system's text, at most some hundred tokens; "" for nothing."""
        return ""

    def ignored(self) -> Sequence[str]:
        """Return the paths of what the declarations ask for and do not get, for `x-antiphon-ignored`."""
        return ()

    def opening(self) -> Mapping[str, object]:
        """Return the fields that the items of its calls begin with, as far as they depend on the response."""
        return {}

    async def prepare(self, run: HostedRun) -> None:
        """Do what comes before the first model call is read. Raises APIError: the response fails."""
        return

    def offers(self) -> Sequence[Offer]:
        """Return what the model may call; the kind of each target is the tool's."""
        ...

    def provider(self) -> str:
        """Return who does the work of its calls, for metrics and traces: a search provider, a sandbox, a backend."""
        return ""

    def limited(self, name: str) -> None:
        """Note that a call of an offer's name was refused by its key's limits."""
        return

    def demand(self, name: str, arguments: str) -> Mapping[str, float]:
        """Return what a call will take at most of the units that limits of keys count: `searches`, `code_seconds` …"""
        return {}

    def comes_first(self, items: Sequence[Item]) -> bool:
        """Tell whether there is something to do, and to tell, before the model is called; `items` is what it sees first."""
        return False

    def resumed(self) -> Mapping[str, str]:
        """Return the calls of earlier responses that go on before the model is called, by their ids: their code."""
        return {}

    def reaches(self, offers: Sequence[Offer]) -> None:
        """Note what its calls may call in turn, under the names of the offers (`programmatic` in `allowed_callers`)."""
        return

    def answered(self, items: Sequence[Item]) -> None:
        """Note the response's items so far: among them what those calls gave that its own calls asked for."""
        return

    async def call_as(self, call_id: str, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Make one call whose id matters. Raises ToolServerError."""
        return await self.call(name, arguments, progress)

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Make one call of an offer's `target.name`; `arguments` is what the model wrote, JSON or not.

        It runs beside other calls, is cancelled with the response, and ends with an error beyond the tool's bounds.
        Raises ToolServerError, whose message client and model get.
        """
        ...

    async def close(self) -> None:
        """Let go of what the calls have opened. Called once the response ends; not where no response is made."""
        ...


class HostedTool(Protocol):
    """A tool that this server runs: its kind says which declarations it serves, how its items look and how they are read."""

    @property
    def kind(self) -> Kind:
        """Its kind; a class attribute will do."""
        ...

    @property
    def bounds(self) -> ToolBounds:
        """What a call may take; a class attribute will do."""
        ...

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Check all declarations of its kind in a request. Raises APIError: 400 or 404, before anything streams.

        Nothing is opened yet: a request whose tokens are counted is admitted too.
        """
        ...


class AdmittedTool(msgspec.Struct, frozen=True):
    """A hosted tool that a request may use. `direct`: the model may call it itself; `in_programs`: its programs may."""

    kind: Kind
    bounds: ToolBounds
    use: HostedUse
    direct: bool = True
    in_programs: bool = False


HostedTools = Mapping[str, HostedTool]
"""Name of a kind → the tool that runs it."""
