"""Admission of hosted tools: each tool checks all declarations of its kind, before anything streams."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from antiphon.core.kinds import BY_DECLARATION
from antiphon.tools.base import AdmittedTool, Declaration, HostedTools
from antiphon.types.tools import OtherTool, Tool

log = logging.getLogger("antiphon.responses.intake")

_told: set[str] = set()


def tell_ignored(ignored: Sequence[str], off: Mapping[str, str]) -> None:
    """Write a line for each declared tool that is off, once in a process: why, and what switches it on."""
    for type in ignored:
        kind = BY_DECLARATION[type].name
        if kind in off and kind not in _told:
            _told.add(kind)
            log.warning("a request declares the tool %s, which is off: %s", kind, off[kind])


def run_here(found: Sequence[AdmittedTool]) -> list[str]:
    """Return the kinds of tools that offer something to the model."""
    return [tool.kind.name for tool in found if tool.use.offers()]


async def admitted(tools: Sequence[Tool], owner: str, hosted: HostedTools) -> list[AdmittedTool]:
    """Return the hosted tools that a request declares. Raises APIError."""
    declared: dict[str, list[Declaration]] = {}
    for index, tool in enumerate(tools):
        if isinstance(tool, OtherTool):
            kind = BY_DECLARATION[tool.type].name
            if kind in hosted:
                declaration = Declaration(type=tool.type, raw=tool.own or tool.raw, param=f"tools[{index}]")
                declared.setdefault(kind, []).append(declaration)
    found = []
    for kind, declarations in declared.items():
        tool_of_kind = hosted[kind]
        use = await tool_of_kind.admit(declarations, owner)
        found.append(AdmittedTool(tool_of_kind.kind, tool_of_kind.bounds, use))
    return found
