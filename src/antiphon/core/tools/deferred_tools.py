"""Tools that a model is not offered until it has found them: which they are, and the search among them ("Tool search")."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw

from antiphon.core.programs import called_directly
from antiphon.core.retrieval.ranking import rescored, smoothed
from antiphon.core.retrieval.words import query_words, words
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool, Tool

TOOL_SEARCH = "tool_search"
HOSTED_TOOL_SEARCH = "hosted_tool_search"
"""The kind of a search that this server makes. Its declarations and items have the types of the client's search."""

MOST_TEXT = 10_000
"""Characters of what is said of a tool that are searched; as many again of what its schema says."""
MOST_SEARCHED = 2_000_000
"""Characters of all tools' texts that are searched, as many of each; what is said of a namespace is in those of its tools."""

DEEPEST = 16  # objects within each other in such a schema


class _Searched(msgspec.Struct):
    execution: str | None = None


_searched = msgspec.json.Decoder(_Searched)


def searched_here(declaration: Raw) -> bool:
    """Tell whether a search is the server's to make, by its declaration or by a call of it."""
    try:
        return _searched.decode(declaration).execution != "client"
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


class DeferredTool(msgspec.Struct, frozen=True):
    """A tool that has to be found first; `group` is the namespace that it is in."""

    tool: FunctionTool | CustomTool
    group: NamespaceTool | None = None

    def text(self, most: int = 2 * MOST_TEXT) -> str:
        """Return what is searched, `most` characters of it: its names, what is said of it, and of its arguments."""
        tool, group = self.tool, self.group
        described = tool.description[:MOST_TEXT] if isinstance(tool.description, str) else ""
        schema = _schema_text(tool.parameters) if isinstance(tool, FunctionTool) else ""
        above = (group.name, group.description[: min(most, MOST_TEXT)]) if group is not None else ()
        return "\n".join(part for part in (tool.name, *above, described, schema) if part)[:most]


def deferred(tools: Sequence[Tool]) -> list[DeferredTool]:
    """Return the tools of a request that have to be found first."""
    found = []
    for tool in tools:
        group = tool if isinstance(tool, NamespaceTool) else None
        for one in tool.tools if isinstance(tool, NamespaceTool) else (tool,):
            if isinstance(one, FunctionTool | CustomTool) and one.defer_loading is True and called_directly(one):
                found.append(DeferredTool(one, group))
    return found


def searched_texts(tools: Sequence[DeferredTool]) -> list[str]:
    """Return what is searched of each tool."""
    share = MOST_SEARCHED // max(1, len(tools))
    return [tool.text(min(2 * MOST_TEXT, share)) for tool in tools]


def ranked(tools: Sequence[DeferredTool], query: str) -> list[DeferredTool]:
    """Return the tools that have words of a query, the best first (BM25)."""
    wanted = query_words(_spaced(query))
    texts = [words(_spaced(text)) for text in searched_texts(tools)]
    having = [sum(word in text for text in map(set, texts)) for word in wanted]
    scores = rescored(wanted, texts, [smoothed(len(texts), number) for number in having])
    order = sorted(range(len(tools)), key=lambda index: -scores[index])
    return [tools[index] for index in order if scores[index] > 0]


def declarations(found: Sequence[DeferredTool]) -> list[Tool]:
    """Return what declares these tools: each namespace once, with those of its tools that were found."""
    declared: list[Tool] = []
    groups: dict[str, NamespaceTool] = {}
    for one in found:
        if one.group is None:
            declared.append(one.tool)
        elif one.group.name in groups:
            groups[one.group.name].tools.append(one.tool)
        else:
            groups[one.group.name] = msgspec.structs.replace(one.group, tools=[one.tool])
            declared.append(groups[one.group.name])
    return declared


def _schema_text(schema: Raw | None) -> str:
    try:
        value = json.loads(bytes(schema)) if schema is not None else None
    except (ValueError, RecursionError):
        return ""
    text = " ".join(_said(value, DEEPEST))
    return text[:MOST_TEXT]


def _said(schema: object, depth: int) -> Iterator[str]:
    """Yield names and descriptions of a schema's properties."""
    if not isinstance(schema, dict) or not depth:
        return
    if isinstance(description := schema.get("description"), str):
        yield description
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        yield name
        yield from _said(inner, depth - 1)
    yield from _said(schema.get("items"), depth - 1)


def _spaced(text: str) -> str:
    """Return a text in which the parts of a name such as `get_stockPrice` are words."""
    pieces = []
    before = ""
    for sign in text:
        if sign == "_":
            sign = " "
        elif sign.isupper() and before.islower():
            pieces.append(" ")
        pieces.append(sign)
        before = sign
    return "".join(pieces)
