"""How long an MCP server is waited for: longer, as long as it says that it makes progress, but not for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from antiphon.tools.mcp.limits import Limits


class CallDeadline:
    """A context that ends with TimeoutError. Each sign of progress gives the server its whole time again, up to a bound."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._clock = asyncio.timeout(limits.timeout)
        self._begun = 0.0
        self._extended = self._exhausted = False

    async def __aenter__(self) -> CallDeadline:
        """Begin to wait."""
        self._begun = asyncio.get_running_loop().time()
        await self._clock.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        """End to wait. Raises TimeoutError."""
        await self._clock.__aexit__(*error)

    def progressed(self) -> None:
        """Wait on: the server works."""
        more, end = asyncio.get_running_loop().time() + self._limits.timeout, self._begun + self._limits.longest
        self._extended, self._exhausted = True, more >= end
        if not self._clock.expired():
            self._clock.reschedule(min(more, end))

    def __str__(self) -> str:
        """Tell what the server did not keep to."""
        if self._exhausted:
            return f"did not answer within {self._limits.longest:g} seconds (mcp_progress_timeout)."
        since = " after its last sign of progress" if self._extended else ""
        return f"did not answer within {self._limits.timeout:g} seconds{since}."
