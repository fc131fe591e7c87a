"""The hosted tools that come with the server, as the configuration switches them on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from antiphon.config import ToolsConfig
from antiphon.retrieval.search import Searcher
from antiphon.stores.base import VectorStoreStore
from antiphon.tools.base import HostedTool
from antiphon.tools.file_search import FileSearch


def with_built_in(
    brought: Iterable[HostedTool],
    config: ToolsConfig,
    stores: VectorStoreStore,
    searcher: Searcher,
    clock: Callable[[], float],
) -> list[HostedTool]:
    """Return the tools that a program brings along, and those of ours whose kinds are not among them."""
    tools = list(brought)
    taken = {tool.kind.name for tool in tools}
    ours: list[HostedTool] = []
    if config.file_search.enabled:
        ours.append(FileSearch(stores, searcher, clock, results=config.file_search.results))
    return [*tools, *(tool for tool in ours if tool.kind.name not in taken)]
