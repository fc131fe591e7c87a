"""Admission of hosted tools: each tool checks all declarations of its kind, before anything streams."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.core.kinds import BY_DECLARATION
from antiphon.tools.base import AdmittedTool, Declaration, HostedTools
from antiphon.types.tools import OtherTool, Tool


async def admitted(tools: Sequence[Tool], owner: str, hosted: HostedTools) -> list[AdmittedTool]:
    """Return the hosted tools that a request declares. Raises APIError."""
    declared: dict[str, list[Declaration]] = {}
    for index, tool in enumerate(tools):
        if isinstance(tool, OtherTool):
            kind = BY_DECLARATION[tool.type].name
            if kind in hosted:
                declaration = Declaration(type=tool.type, raw=tool.raw, param=f"tools[{index}]")
                declared.setdefault(kind, []).append(declaration)
    found = []
    for kind, declarations in declared.items():
        tool_of_kind = hosted[kind]
        use = await tool_of_kind.admit(declarations, owner)
        found.append(AdmittedTool(tool_of_kind.kind, tool_of_kind.bounds, use))
    return found
