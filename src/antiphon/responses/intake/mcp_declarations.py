"""The MCP servers that a request names, in its tools or in items that bring tools: all may be used by its caller."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from antiphon.access.caller import Caller
from antiphon.core.kinds import BRINGERS, MCP
from antiphon.core.request.other_items import declared_later
from antiphon.core.request.validation import decode
from antiphon.errors import InvalidRequest
from antiphon.net.url_guard import UrlGuard
from antiphon.tools.base import McpTool, NamedServer, ToolServers, not_for_key
from antiphon.types.items import Item, OtherItem
from antiphon.types.tools import OtherTool, Tool

MOST_SERVERS = 32
"""MCP servers that one request may declare, and that its items may bring."""

_mcp_tool = msgspec.json.Decoder(McpTool)
_named_server = msgspec.json.Decoder(NamedServer)


async def declared_servers(tools: Sequence[Tool], caller: Caller | None, servers: ToolServers) -> list[McpTool]:
    """Return the MCP servers that a request's tools declare; this server may call all of them. Raises InvalidRequest."""
    found: list[McpTool] = []
    for index, tool in enumerate(tools):
        if not (isinstance(tool, OtherTool) and tool.type == MCP):
            continue
        declared = decode(_mcp_tool, tool.own or tool.raw, f"tools[{index}]")
        if any(declared.server_label == other.server_label for other in found):
            raise InvalidRequest(
                f"Duplicate MCP server label: '{declared.server_label}'.", param=f"tools[{index}].server_label"
            )
        if len(found) == MOST_SERVERS:
            raise InvalidRequest(
                f"Too many MCP servers: at most {MOST_SERVERS} are allowed per request.", param="tools"
            )
        check_key(declared, caller, f"tools[{index}]")
        await servers.check(declared, f"tools[{index}]")
        found.append(declared)
    return found


async def check_brought(own: Sequence[Item], earlier: Sequence[Item], caller: Caller | None, guard: UrlGuard) -> None:
    """Look at the MCP servers that items bring: a backend that speaks Responses calls them itself. Raises InvalidRequest."""
    found = [pair for index, item in enumerate(own) for pair in _brought(item, f"input[{index}]")]
    found += [pair for item in earlier for pair in _brought(item, "input")]
    if len(found) > MOST_SERVERS:
        raise InvalidRequest(
            f"Too many MCP servers in the items of 'input': at most {MOST_SERVERS} are allowed per request.",
            param="input",
        )
    for server, path in found:
        await check_named(server, caller, guard, path)


def _brought(item: Item, path: str) -> list[tuple[NamedServer, str]]:
    if not (isinstance(item, OtherItem) and item.type in BRINGERS):
        return []
    tools = [(tool, f"{path}.tools[{index}]") for index, tool in enumerate(declared_later(item, path))]
    return [
        (named_server(tool.raw, where), where)
        for tool, where in tools
        if isinstance(tool, OtherTool) and tool.type == MCP
    ]


def named_server(tool: bytes | Raw, path: str) -> NamedServer:
    """Return which server a declaration means. Raises InvalidRequest."""
    return decode(_named_server, tool, path)


def check_key(server: NamedServer, caller: Caller | None, path: str) -> None:
    """Refuse a server that the caller's key may not use; without a caller that was checked before."""
    if caller is not None and not caller.may_use(server.address):
        raise not_for_key(server, path)


async def check_named(server: NamedServer, caller: Caller | None, guard: UrlGuard, path: str) -> None:
    """Look at a server that a backend is asked to call itself. Raises InvalidRequest."""
    check_key(server, caller, path)
    if server.server_url is not None:
        await guard.check(server.server_url, f"{path}.server_url")
