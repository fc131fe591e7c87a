"""Tools that Anthropic's API runs itself, and MCP servers, as a request declares them → the tools that this server runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import MCP, MCP_LISTING, MCP_LISTING_PREFIX
from antiphon.core.request.other_items import listed_tools
from antiphon.core.request.validation import decode
from antiphon.core.tools.deferred_tools import TOOL_SEARCH
from antiphon.errors import InvalidRequest
from antiphon.server.messages.tool_changes import WHOLE_TOOLSET
from antiphon.types.items import OtherItem
from antiphon.types.raw import OptionalRaw, settle_nulls
from antiphon.types.tools import OtherTool

SEARCH, FETCH, CODE, TOOLSET = "web_search_", "web_fetch_", "code_execution_", "mcp_toolset"
TOOL_SEARCHES = {"tool_search_tool_regex": "regex", "tool_search_tool_bm25": "words"}
"""Beginning of the type of a search among deferred tools → what its query is."""
MOST_SERVERS = 32
CONTAINER = "cntr_"

KINDS = {SEARCH: "web_search", FETCH: "web_search", CODE: "code_interpreter"}
"""Beginning of a declared type → the kind of tool that serves it."""


class WebToolFields(msgspec.Struct, frozen=True, kw_only=True):
    """What of a web tool's declaration has an effect."""

    max_uses: Annotated[int, Meta(ge=1)] | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, user_location=self.user_location)

    def filters(self, path: str) -> dict[str, list[str]]:
        """Return the domains. Raises InvalidRequest for both lists at once."""
        if self.allowed_domains and self.blocked_domains:
            raise InvalidRequest("cannot be used together with `blocked_domains`", param=f"{path}.allowed_domains")
        both = {"allowed_domains": self.allowed_domains, "blocked_domains": self.blocked_domains}
        return {name: domains for name, domains in both.items() if domains}


class ToolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a tool of an MCP server may be used."""

    enabled: bool | None = None
    defer_loading: bool | None = None


class Toolset(msgspec.Struct, frozen=True, kw_only=True):
    """Which tools of an MCP server may be used (`mcp_toolset`)."""

    mcp_server_name: str = ""
    default_config: ToolConfig | None = None
    configs: dict[str, ToolConfig] | None = None
    tools: OptionalRaw = None

    def __post_init__(self) -> None:
        settle_nulls(self, tools=self.tools)


class ServerToolConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """The same as `mcp_servers` had it first."""

    enabled: bool | None = None
    allowed_tools: list[str] | None = None


class DeclaredServer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `mcp_servers`."""

    name: str
    url: str
    type: str = "url"
    authorization_token: str | None = None
    tool_configuration: ServerToolConfiguration | None = None


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """`container` as an object."""

    id: str | None = None


_domains = msgspec.json.Decoder(WebToolFields)
_toolset = msgspec.json.Decoder(Toolset)
_servers = msgspec.json.Decoder(list[DeclaredServer])
_container = msgspec.json.Decoder(str | Container)


class ServerTools:
    """Gathers the declarations of a request: web search and web pages become one tool.

    `named` are the names by which a choice means one, and its kind; `tools` come with the path of their declaration.
    `listings` are the tools of MCP servers that the request lists itself. `removed` are tools of MCP servers that the
    conversation has withdrawn, by the server's name (`tool_changes.ToolChanges.servers`).
    """

    def __init__(self, container: Raw | None, ignored: dict[str, None], removed: Mapping[str, Collection[str]]) -> None:
        self.named: dict[str, str] = {}
        self.listings: list[OtherItem] = []
        self._ignored = ignored
        self._removed = removed
        self._container = self._container_of(container)
        self._web: dict[str, tuple[WebToolFields, str]] = {}
        self._code = ""
        self._tool_search: tuple[str, str, str] | None = None
        self._toolsets: dict[str, tuple[Toolset, str]] = {}

    def take(self, type: str, name: str, raw: Raw, path: str) -> bool:
        """Take a declaration; False where its type is none of these. Raises InvalidRequest."""
        form = next((form for begin, form in TOOL_SEARCHES.items() if type.startswith(begin)), "")
        if form:
            self._tool_search = self._tool_search or (form, name, path)
            self.named[name] = TOOL_SEARCH
            return True
        begin = next((one for one in (SEARCH, FETCH, CODE, TOOLSET) if type.startswith(one)), "")
        if begin in (SEARCH, FETCH):
            self._web[begin] = decode(_domains, raw, path), path
        elif begin == CODE:
            self._code = path
        elif begin == TOOLSET:
            toolset = decode(_toolset, raw, path)
            self._toolsets[toolset.mcp_server_name] = toolset, path
            configs = [toolset.default_config, *(toolset.configs or {}).values()]
            if any(config is not None and config.defer_loading for config in configs):
                self._ignored["mcp_toolset.defer_loading"] = None
            return True
        if begin and name:
            self.named[name] = KINDS[begin]
        return bool(begin)

    def tools(self, servers: Raw | None) -> list[tuple[OtherTool, str]]:
        """Return our tools, each with the path that an error in it is told by. Raises InvalidRequest."""
        found: list[tuple[OtherTool, str]] = []
        if self._web:
            found.append(self._web_search())
        if self._code:
            container: object = self._container or {"type": "auto"}
            found.append((_tool("code_interpreter", {"container": container}), self._code))
        if self._tool_search is not None:
            form, name, path = self._tool_search
            found.append((_tool(TOOL_SEARCH, {"execution": "server"}, {"form": form, "name": name}), path))
        return [*found, *self._mcp_servers(servers)]

    @property
    def searches_tools(self) -> bool:
        """Tell whether deferred tools can be found by a search of this server."""
        return self._tool_search is not None

    def _container_of(self, raw: Raw | None) -> str:
        """Return the container that is asked for; one that cannot be ours is ignored."""
        if raw is None:
            return ""
        given = decode(_container, raw, "container")
        id = given if isinstance(given, str) else given.id or ""
        if id and not id.startswith(CONTAINER):
            self._ignored["container"] = None
            return ""
        return id

    def _web_search(self) -> tuple[OtherTool, str]:
        search, fetch = self._web.get(SEARCH), self._web.get(FETCH)
        first, path = search or fetch or (WebToolFields(), "tools")
        fields: dict[str, object] = {}
        if filters := first.filters(path):
            fields["filters"] = filters
        if first.user_location is not None:
            fields["user_location"] = first.user_location
        own: dict[str, object] = {
            "searches": search[0].max_uses if search else 0,
            "pages": fetch[0].max_uses if fetch else 0,
            "page_filters": fetch[0].filters(fetch[1]) if fetch else None,
        }
        return _tool("web_search", fields, own), path

    def _mcp_servers(self, raw: Raw | None) -> list[tuple[OtherTool, str]]:
        servers = decode(_servers, raw, "mcp_servers") if raw is not None else []
        if len(servers) > MOST_SERVERS:
            raise InvalidRequest(f"at most {MOST_SERVERS} servers are allowed", param="mcp_servers")
        names = {server.name for server in servers}
        for name, (_, path) in self._toolsets.items():
            if name not in names:
                raise InvalidRequest(
                    f"MCP server '{name[:128]}' not found in mcp_servers", param=f"{path}.mcp_server_name"
                )
        found = []
        for index, server in enumerate(servers):
            toolset, path = self._toolsets.get(server.name, (None, ""))
            removed = self._removed.get(server.name, ())
            fields, own = _allowed(server, toolset, removed)
            if fields is None or WHOLE_TOOLSET in removed:
                continue
            if toolset is not None and toolset.tools is not None:
                self.listings.append(listing_item(server.name, toolset.tools, path))
            shown = {"server_label": server.name, "server_url": server.url, "require_approval": "never", **fields}
            if server.authorization_token:
                shown["authorization"] = server.authorization_token
            found.append((_tool(MCP, shown, own), f"mcp_servers[{index}]"))
        return found


def _allowed(
    server: DeclaredServer, toolset: Toolset | None, removed: Collection[str]
) -> tuple[Mapping[str, object] | None, Mapping[str, object]]:
    """Return which tools of a server are allowed, and which are not; None: no tool is."""
    own = {"refused_tools": sorted(removed)} if removed else {}
    if toolset is None:
        old = server.tool_configuration
        if old is not None and old.enabled is False:
            return None, {}
        return ({"allowed_tools": old.allowed_tools} if old is not None and old.allowed_tools is not None else {}), own
    configs = toolset.configs or {}
    if toolset.default_config is None or toolset.default_config.enabled is not False:
        return {}, {"refused_tools": sorted({*_names(configs, enabled=False), *removed})}
    on = _names(configs, enabled=True)
    return ({"allowed_tools": on} if on else None), own


def _names(configs: Mapping[str, ToolConfig], *, enabled: bool) -> Sequence[str]:
    return [name for name, config in configs.items() if config.enabled is enabled]


def listing_item(server: str, tools: Raw, path: str) -> OtherItem:
    """Return what is known of an MCP server's tools, as the item of a listing. Raises InvalidRequest."""
    fields = {"type": MCP_LISTING, "server_label": server, "tools": tools}
    id = f"{MCP_LISTING_PREFIX}_{blake2b(to_json(fields), digest_size=12).hexdigest()}"
    item = OtherItem(type=MCP_LISTING, raw=Raw(to_json({"id": id, **fields})), id=id)
    listed_tools(item, path)
    return item


def _tool(type: str, fields: Mapping[str, object], own: Mapping[str, object] = {}) -> OtherTool:
    shown = {"type": type, **fields}
    return OtherTool(type, Raw(to_json(shown)), Raw(to_json({**shown, **own})) if own else None)
