"""MCP servers: those that a request names by URL (streamable HTTP, SSE), and those of the configuration by label (stdio, HTTP).

What speaks with them is imported, in a thread, when the first request declares one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from antiphon.config import MCP, McpServerConfig
from antiphon.errors import InvalidRequest
from antiphon.net.url_guard import UrlGuard
from antiphon.tools.base import McpTool, ToolServer
from antiphon.tools.mcp.eras import Eras
from antiphon.tools.mcp.headers import check_headers
from antiphon.tools.mcp.limits import Limits
from antiphon.tools.plugins import PluginServer, tool_kinds

if TYPE_CHECKING:
    from antiphon.tools.mcp.server import McpServer

MOST_PAGES = 100
"""Pages of a list of tools."""
MOST_LABEL = 128
MOST_BYTES = 2 * 1024 * 1024
MOST_TOOLS = 1000
LONGEST = 600.0


class McpServers:
    """All MCP servers that may be called."""

    def __init__(
        self,
        guard: UrlGuard,
        configured: Mapping[str, McpServerConfig],
        timeout: float,
        longest: float = LONGEST,
        *,
        most_bytes: int = MOST_BYTES,
        most_tools: int = MOST_TOOLS,
    ) -> None:
        self._guard = guard
        self._eras = Eras()
        self._server: type[McpServer] | None = None
        self.replace(configured, timeout, longest, most_bytes=most_bytes, most_tools=most_tools)

    def replace(
        self,
        configured: Mapping[str, McpServerConfig],
        timeout: float,
        longest: float = LONGEST,
        *,
        most_bytes: int = MOST_BYTES,
        most_tools: int = MOST_TOOLS,
    ) -> None:
        """Know other servers and limits from now on; connections that there are stay. Raises ConfigError."""
        self._kinds = tool_kinds(configured)
        self._configured = configured
        self._limits = Limits(
            answer=most_bytes, tools=most_tools, pages=MOST_PAGES, timeout=timeout, longest=max(timeout, longest)
        )

    async def check(self, tool: McpTool, param: str) -> None:
        """Refuse what cannot be called: no URL and no such label, headers that may not be set, a private address."""
        label = tool.server_label
        if not 1 <= len(label) <= MOST_LABEL or not label.isprintable():
            raise InvalidRequest(
                f"Invalid '{param}.server_label': must be 1 to {MOST_LABEL} printable characters.",
                param=f"{param}.server_label",
            )
        configured = self._configured_for(tool)
        if tool.server_url is None and configured is None:
            raise InvalidRequest(
                f"The MCP server '{label}' needs a 'server_url': no server of this label is configured.",
                param=f"{param}.server_url",
                code="missing_required_parameter",
            )
        check_headers(tool, configured, param)
        if self._server is None:
            self._server = await asyncio.to_thread(_mcp_server)
        if tool.server_url is not None:
            await self._guard.check(tool.server_url, f"{param}.server_url")
        if find_spec("httpx2") is None and not (configured and (configured.command or configured.kind != MCP)):
            raise InvalidRequest(
                "This server was installed without MCP: pip install 'antiphon[mcp]'.",
                param=param,
                code="unsupported_parameter",
            )

    def connect(self, tool: McpTool, *, session: bool = False) -> ToolServer:
        """Return the server; the connection is made at its first use. `session`: by a revision of the protocol that has some."""
        configured = self._configured_for(tool)
        if configured is not None and configured.kind in self._kinds:
            return PluginServer(tool.server_label, configured, self._kinds[configured.kind], self._limits)
        server = self._server or _mcp_server()
        return server(tool, configured, self._guard, self._limits, self._eras, session=session)

    def _configured_for(self, tool: McpTool) -> McpServerConfig | None:
        return self._configured.get(tool.server_label) if tool.server_url is None else None


def _mcp_server() -> type[McpServer]:
    from antiphon.tools.mcp.server import McpServer

    return McpServer
