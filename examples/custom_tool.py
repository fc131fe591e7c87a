"""A tool of your own that the server runs within a response: the time in a city.

A package adds it to the server with an entry point, and the configuration names it:

    # pyproject.toml of the package
    [project.entry-points."antiphon.tools"]
    clock = "examples.custom_tool:Clock"

    # antiphon.toml
    [mcp_servers.time]
    kind = "clock"
    options = {zones = ["Europe/Paris", "Asia/Tokyo"]}

Requests name it by its label, as they name an MCP server:

    {"model": "…", "input": "How late is it in Tokyo?",
     "tools": [{"type": "mcp", "server_label": "time", "require_approval": "never"}]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Raw

from antiphon import McpServerConfig, RemoteTool, ToolOutput


class Clock:
    """What the entry point names: called with the label and the settings, once for each response."""

    def __init__(self, label: str, config: McpServerConfig) -> None:
        self._label = label
        self._zones = [str(zone) for zone in config.options.get("zones", ["UTC"])]

    async def list(self) -> Sequence[RemoteTool]:
        """Return the tools that the model is offered."""
        schema = {
            "type": "object",
            "properties": {"zone": {"type": "string", "enum": self._zones}},
            "required": ["zone"],
        }
        return [
            RemoteTool(
                server_label=self._label,
                name="now",
                description="Tell the time in a zone.",
                input_schema=Raw(json.dumps(schema)),
                read_only=True,
            )
        ]

    async def call(self, name: str, arguments: str) -> ToolOutput:
        """Call a tool; a failed output is told to the model, a ToolServerError is an error of the call."""
        zone = json.loads(arguments).get("zone")
        if zone not in self._zones:
            return ToolOutput(f"There is no zone '{zone}'.", failed=True)
        return ToolOutput(datetime.now(ZoneInfo(zone)).strftime(f"%H:%M in {zone}"))

    async def close(self) -> None:
        """Free what is held."""
