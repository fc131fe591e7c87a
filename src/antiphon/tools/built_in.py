"""BuiltInTools: the hosted tools that this package brings, as the settings want them, beside those of a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from antiphon.config import Config
from antiphon.config.rules import web_search_choice
from antiphon.stores.base import Store
from antiphon.tools.base import HostedTool, ToolServers
from antiphon.tools.code_interpreter import CodeInterpreter
from antiphon.tools.container_choice import ContainerChoice
from antiphon.tools.file_search import FileSearch
from antiphon.tools.programs import ProgramTool
from antiphon.tools.retrieval.search import Searcher
from antiphon.tools.shell import HostedShell
from antiphon.tools.tool_search import ToolSearch

if TYPE_CHECKING:
    from antiphon.tools.images.generation import ImageGeneration
    from antiphon.tools.images.server import ImageServer
    from antiphon.tools.web.search import WebSearch


class BuiltInTools:
    """All hosted tools of a server. `given` are a program's: they replace those of the same kind.

    `images` makes pictures. `served`: the server has a process and an address of its own; elsewhere web search is off unless it
    is set. `off` says of each kind that is not there why, for the log.
    """

    def __init__(
        self,
        config: Config,
        given: Mapping[str, HostedTool],
        store: Store,
        *,
        servers: ToolServers,
        searcher: Searcher,
        container_choice: ContainerChoice,
        clock: Callable[[], float],
        images: ImageServer | None = None,
        served: bool = True,
    ) -> None:
        self.off: dict[str, str] = {}
        self._web: WebSearch | None = None
        settings = config.tools.web_search
        choice = web_search_choice(config)
        if "web_search" not in given:
            if choice.provider and (served or settings.provider):
                from antiphon.tools.web.search import WebSearch

                self._web = WebSearch(settings, choice, servers)
            else:
                self.off["web_search"] = choice.reason or "no provider is set: `provider` in [tools.web_search]"
        self._in_sandboxes = (
            CodeInterpreter(container_choice),
            HostedShell(container_choice),
            ProgramTool(container_choice.containers),
        )
        own: list[HostedTool] = [*self._in_sandboxes, ToolSearch()]
        if config.tools.file_search.enabled:
            own.append(FileSearch(store.vector_stores, searcher, clock, results=config.tools.file_search.results))
        elif "file_search" not in given:
            self.off["file_search"] = "`enabled = false` in [tools.file_search]"
        if self._web is not None:
            own.append(self._web)
        self._images: ImageGeneration | None = None
        if images is not None:
            from antiphon.tools.images.generation import ImageGeneration

            name = config.tools.image_generation.backend or "url"
            self._images = ImageGeneration(images, name, store.files, clock)
            own.append(self._images)
        elif "image_generation" not in given:
            self.off["image_generation"] = "no server of images is set: `backend` or `url` in [tools.image_generation]"
        self.tools: dict[str, HostedTool] = {**{tool.kind.name: tool for tool in own}, **given}

    def code_off(self, reason: str) -> None:
        """Note why no sandbox holds here: what needs one is off."""
        self.off |= {tool.kind.name: reason for tool in self._in_sandboxes}

    async def close(self) -> None:
        """Close what they have opened."""
        if self._web is not None:
            await self._web.close()
        if self._images is not None:
            await self._images.close()
