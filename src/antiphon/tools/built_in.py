"""BuiltInTools: the hosted tools that this package brings, as the settings want them, beside those of a program."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.config import Config
from antiphon.config.rules import web_search_choice
from antiphon.tools.base import HostedTool, ToolServers
from antiphon.tools.web.search import WebSearch


class BuiltInTools:
    """All hosted tools of a server. `given` are a program's: they take the place of those of the same kind.

    `served`: the server has a process and an address of its own; elsewhere nothing is on that is not set.
    `off` says of each kind that is not there why, for the log.
    """

    def __init__(
        self, config: Config, servers: ToolServers, given: Mapping[str, HostedTool], *, served: bool = True
    ) -> None:
        self.tools: dict[str, HostedTool] = dict(given)
        self.off: dict[str, str] = {}
        self._web: WebSearch | None = None
        settings = config.tools.web_search
        choice = web_search_choice(config)
        if "web_search" in given:
            return
        if choice.provider and (served or settings.provider):
            self._web = WebSearch(settings, choice, servers)
            self.tools["web_search"] = self._web
        else:
            self.off["web_search"] = choice.reason or "no provider is set: `provider` in [tools.web_search]"

    async def close(self) -> None:
        """Close what they have opened."""
        if self._web is not None:
            await self._web.close()
