"""ServerBudget: bytes and seconds that the MCP servers of one response may take (`mcp_max_total`, `mcp_total_timeout`)."""

from __future__ import annotations

import asyncio

from antiphon.tools.base import ToolServerError


class ServerBudget:
    """Budget of all servers of one Response: bytes of answers, and seconds of waiting."""

    def __init__(self, bytes: int, seconds: float) -> None:
        self._bytes, self._most_bytes = bytes, bytes
        self._seconds, self._most_seconds = seconds, seconds
        self._waiting = 0
        self._since = 0.0

    async def __aenter__(self) -> None:
        """Wait for a server. Raises ToolServerError if no time is left."""
        now = asyncio.get_running_loop().time()
        self._count(now)
        if self._seconds <= 0:
            raise ToolServerError(
                f"The MCP servers of this response took more than {self._most_seconds:g} seconds in total (mcp_total_timeout)."
            )
        self._waiting += 1

    async def __aexit__(self, *_: object) -> None:
        """Wait no more."""
        self._count(asyncio.get_running_loop().time())
        self._waiting -= 1

    def take(self, bytes: int) -> None:
        """Count an answer's bytes. Raises ToolServerError if the budget is exceeded."""
        if bytes > self._bytes:
            raise ToolServerError(
                f"The answers of MCP servers in this response have more than {self._most_bytes} bytes in total (mcp_max_total)."
            )
        self._bytes -= bytes

    def _count(self, now: float) -> None:
        if self._waiting:
            self._seconds -= now - self._since
        self._since = now
