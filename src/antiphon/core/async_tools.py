"""Tools with `async: true`: the model goes on without their output, which comes with a later request. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from antiphon.core import kinds
from antiphon.core.deltas import AsyncTools, CallKind
from antiphon.core.request.other_items import declared_later
from antiphon.types.items import InputText, Item, Message, OtherItem, Part, PlainText
from antiphon.types.raw import JsonText
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool, Tool

ABOUT = (
    "(Runs in the background: a call returns at once, and its result comes in a later message. Meanwhile go on with what does not"
    " need the result. Do not call it again for the same, and do not make up its result.)"
)
"""What a model is told of such a tool."""

STARTED = "Started in the background. The result comes in a later message; go on with what does not need it."
"""What a model sees as the output of such a call, for good: a prompt that has it stays the beginning of those that follow."""

LONGEST_ARGUMENTS = 500
"""Characters of a call's arguments that tell a model which call a result is of."""


def async_tools(tools: Sequence[Tool], items: Iterable[Item] = ()) -> AsyncTools:
    """Return the tools among these, and those that items bring along, for whose output the model does not wait."""
    found = set(_among(tools))
    for item in items:
        if type(item) is OtherItem and item.type in kinds.BRINGERS:
            found |= set(_among(declared_later(item)))
    return frozenset(found)


def _among(tools: Iterable[Tool], namespace: str | None = None) -> Iterator[tuple[CallKind, str | None, str]]:
    for tool in tools:
        if isinstance(tool, NamespaceTool):
            yield from _among(tool.tools, tool.name)
        elif isinstance(tool, FunctionTool | CustomTool) and tool.asynchronous is True:
            yield (kinds.FUNCTION if isinstance(tool, FunctionTool) else kinds.CUSTOM), namespace, tool.name


def described(tool: FunctionTool | CustomTool) -> str:
    """Return what a model is told of a tool."""
    description = tool.description if isinstance(tool.description, str) else ""
    if tool.asynchronous is not True:
        return description
    return f"{description}\n{ABOUT}" if description else ABOUT


def late_output(name: str, arguments: str, output: str | JsonText | Sequence[Part]) -> Message:
    """Return the message that tells a model what such a call gave, at the place where that came."""
    if len(arguments) > LONGEST_ARGUMENTS:
        arguments = f"{arguments[:LONGEST_ARGUMENTS]} …"
    head = f"[Result of the background call {name} {arguments}]"
    if isinstance(output, str | JsonText):
        return Message(role="user", content=f"{head}\n{output}")
    parts = [InputText(text=part.text) if isinstance(part, PlainText) else part for part in output]
    return Message(role="user", content=[InputText(text=head), *parts])
