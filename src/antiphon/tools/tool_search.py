"""Tool search that this server makes: tools with `defer_loading` are offered once the model has found them, on any chat model.

OpenAI's `tool_search` without `execution: "client"`, and Anthropic's `tool_search_tool_bm25` and `tool_search_tool_regex`. The
model is offered a function `tool_search`; what it finds stands in a `tool_search_output`, whose tools are offered behind all
others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BY_NAME
from antiphon.core.request.validation import decode
from antiphon.core.tools.call_items import fields_of
from antiphon.core.tools.deferred_tools import (
    HOSTED_TOOL_SEARCH,
    TOOL_SEARCH,
    DeferredTool,
    declarations,
    deferred,
    ranked,
    searched_texts,
)
from antiphon.core.tools.offers import Offer, Target
from antiphon.tools.base import Declaration, HostedUse, Progress, ToolBounds, ToolResult, ToolServerError

MOST_FOUND = 5
"""Tools that one search finds."""

LONGEST_QUERY = 1000
LONGEST_PATTERN = 200  # characters; Anthropic's API has the same bound
PATTERN_MEMORY = 1 << 20
MOST_GROUPS = 20
"""Namespaces that the model is told of before it searches."""

_PARAMETERS = Raw(b'{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}')
_ABOUT = "Searches {count} further tools that are not listed here. Those found can be called afterwards. The query is {query}."
_QUERIES = {
    "words": "words that a tool's name or description may have",
    "regex": "a regular expression that is searched in names and descriptions, without regard to case",
}


class SearchDeclaration(msgspec.Struct, frozen=True):
    """A declaration. `form` and `name` are there where it came by the Messages API."""

    form: Literal["words", "regex"] = "words"
    name: str = TOOL_SEARCH


_declaration = msgspec.json.Decoder(SearchDeclaration)


class ToolSearch:
    """The tool."""

    kind = BY_NAME[HOSTED_TOOL_SEARCH]
    bounds = ToolBounds(seconds=10.0)

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Find what is deferred; where nothing is, nothing is offered."""
        return ToolSearchUse(decode(_declaration, declared[0].raw, declared[0].param), deferred(declared[0].beside))


class ToolSearchUse(HostedUse):
    """The tool within one response."""

    def __init__(self, declared: SearchDeclaration, tools: Sequence[DeferredTool]) -> None:
        self._declared = declared
        self._tools = tools

    def offers(self) -> Sequence[Offer]:
        """Offer the function."""
        if not self._tools:
            return []
        about = _ABOUT.format(count=len(self._tools), query=_QUERIES[self._declared.form])
        groups = {tool.group.name: tool.group.description for tool in self._tools if tool.group is not None}
        told = [f"- {name}: {description}" for name, description in list(groups.items())[:MOST_GROUPS]]
        description = "\n".join([about, *(["Among them are those of:"] if told else ()), *told])
        return [Offer(target=Target(HOSTED_TOOL_SEARCH, TOOL_SEARCH), description=description, parameters=_PARAMETERS)]

    def opening(self) -> Mapping[str, object]:
        """Return the name under which it was declared."""
        return {"name": self._declared.name}

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Search. Raises ToolServerError where there is no query."""
        given = fields_of(arguments) or {}
        query = given.get("query", given.get("pattern"))
        if not isinstance(query, str) or not query.strip():
            raise ToolServerError('There is no query; the arguments must be {"query": "…"}.', "invalid_tool_input")
        search = _matching if self._declared.form == "regex" else ranked
        found = (await asyncio.to_thread(search, self._tools, query.strip()[:LONGEST_QUERY]))[:MOST_FOUND]
        return ToolResult(fields={"tools": [Raw(to_json(tool)) for tool in declarations(found)]})

    async def close(self) -> None:
        """Do nothing: nothing is open."""


def _matching(tools: Sequence[DeferredTool], pattern: str) -> list[DeferredTool]:
    """Return the tools in whose texts an expression is found; those with it in their name come first. Raises ToolServerError."""
    import re2  # not without need, as in `core.guards.patterns`

    options = re2.Options()
    options.max_mem = PATTERN_MEMORY
    options.log_errors = False
    options.case_sensitive = False
    if len(pattern) > LONGEST_PATTERN:
        raise ToolServerError(f"The pattern has more than {LONGEST_PATTERN} characters.", "invalid_tool_input")
    try:
        expression = re2.compile(pattern.encode(errors="replace").decode(), options)
    except re2.error:
        raise ToolServerError("The pattern is no regular expression of RE2.", "invalid_tool_input") from None
    texts = zip(tools, searched_texts(tools), strict=True)
    found = [tool for tool, text in texts if expression.search(text.encode(errors="replace").decode())]
    return sorted(found, key=lambda tool: not expression.search(tool.tool.name.encode(errors="replace").decode()))
