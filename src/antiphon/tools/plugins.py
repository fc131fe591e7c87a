"""Tool servers of kinds that other packages add (entry points `antiphon.tools`), within the bounds of MCP servers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from antiphon.config import MCP, McpServerConfig
from antiphon.config.plugins import TOOLS, load_plugin
from antiphon.config.reading import quoted
from antiphon.tools.base import RemoteTool, ToolOutput, ToolServer, ToolServerError
from antiphon.tools.mcp.limits import Limits

log = logging.getLogger("antiphon.tools")

ToolFactory = Callable[[str, McpServerConfig], ToolServer]


def tool_kinds(configured: Mapping[str, McpServerConfig]) -> Mapping[str, ToolFactory]:
    """Import the kinds that the configuration names. Raises ConfigError."""
    return {
        server.kind: load_plugin(TOOLS, server.kind, f"mcp_servers.{quoted(label)}.kind")
        for label, server in configured.items()
        if server.kind != MCP
    }


class PluginServer:
    """A tool server of another package during one response; whatever it raises is a ToolServerError."""

    def __init__(self, label: str, config: McpServerConfig, factory: ToolFactory, limits: Limits) -> None:
        self._label = label
        self._config = config
        self._factory = factory
        self._limits = limits
        self._made: ToolServer | None = None

    async def list(self) -> Sequence[RemoteTool]:
        """Return the tools that may be called. Raises ToolServerError."""
        async with self._bounds() as server:
            tools = [msgspec.structs.replace(tool, server_label=self._label) for tool in await server.list()]
            if len(tools) > self._limits.tools:
                raise ToolServerError(f"it lists more than {self._limits.tools} tools.")
            from antiphon.tools.mcp.messages import no_doubles

            no_doubles(tools)
        return [tool for tool in tools if self._may_call(tool.name)]

    async def call(self, name: str, arguments: str) -> ToolOutput:
        """Call a tool. Raises ToolServerError."""
        async with self._bounds() as server:
            if not self._may_call(name):
                raise ToolServerError(f"has no tool '{name}' that may be called.")
            output = await server.call(name, arguments)
            if len(output.text.encode()) > self._limits.answer:
                raise ToolServerError(f"its answer has more than {self._limits.answer} bytes.")
        return output

    async def close(self) -> None:
        """Disconnect."""
        if self._made is not None:
            try:
                await self._made.close()
            except Exception:
                log.exception("tool server %s: closing failed", self._label)

    def _may_call(self, name: str) -> bool:
        return not self._config.allowed_tools or name in self._config.allowed_tools

    @asynccontextmanager
    async def _bounds(self) -> AsyncIterator[ToolServer]:
        """Give the server, for the time that a call may take. Raises ToolServerError."""
        try:
            async with asyncio.timeout(self._limits.timeout):
                if self._made is None:
                    self._made = self._factory(self._label, self._config)
                yield self._made
        except TimeoutError:
            raise ToolServerError(
                f"The tool server '{self._label}' did not answer within {self._limits.timeout:g} seconds."
            ) from None
        except ToolServerError as error:
            raise ToolServerError(f"The tool server '{self._label}' failed: {error}") from None
        except Exception as error:  # its words may name addresses: the log has them, the client has the type
            log.exception("tool server %s: call failed", self._label)
            raise ToolServerError(f"The tool server '{self._label}' failed: {type(error).__name__}") from None
