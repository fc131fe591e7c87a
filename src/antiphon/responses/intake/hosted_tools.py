"""Admission of hosted tools: each tool checks all declarations of its kind, before anything streams."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import msgspec

from antiphon.access.caller import TOOLS
from antiphon.access.tool_limits import ALL_RIGHTS, ToolRights, scope_of
from antiphon.core.kind import Kind
from antiphon.core.kinds import BY_DECLARATION, BY_NAME, kind_of
from antiphon.core.programs import BY_PROGRAM, DIRECT, callers_in
from antiphon.core.request.validation import decode
from antiphon.core.tools.environments import SHELL, in_container
from antiphon.errors import APIError, InvalidRequest
from antiphon.responses.calls.hosted_calls import in_programs as offered_in_programs
from antiphon.tools.base import AdmittedTool, Declaration, HostedTools
from antiphon.tools.containers.skills import MOST_MOUNTED, listed_skills
from antiphon.types.tools import OtherTool, Tool, ToolChoice

log = logging.getLogger("antiphon.responses.intake")

_told: set[tuple[str, str]] = set()


def settle_ignored(
    tools: Sequence[Tool],
    ignored: Sequence[str],
    off: Mapping[str, str],
    rights: ToolRights = ALL_RIGHTS,
    *,
    strict: bool = False,
) -> None:
    """Write a line for each declared tool that is off, once in a process: why, and what switches it on.

    `strict`: the request is refused instead. Raises InvalidRequest.
    """
    for index, tool in enumerate(tools if strict else ()):
        if isinstance(tool, OtherTool) and tool.type in ignored:
            raise InvalidRequest(
                f"The tool '{tool.type}' is not run here, or not for this API key.",
                param=f"tools[{index}].type",
                code="tool_not_available",
            )
    for type in ignored:
        row = BY_DECLARATION[type]
        kind = row.hosted or row.name
        why = off.get(kind, "")
        if not why and BY_NAME[kind].runs == "hosted" and not rights.may_run(kind):
            why = f"its API key has neither the scope `{TOOLS}` nor `{scope_of(kind)}`"
        if why and (kind, why) not in _told:
            _told.add((kind, why))
            log.warning("hosted tool %s: declared by a request, but off: %s", type, why)


def check_forced(choice: str | ToolChoice | None, rights: ToolRights, hosted: HostedTools) -> None:
    """Refuse a request that forces a tool of this server which its caller may not use. Raises APIError 403."""
    kind = forced_kind(choice)
    if kind is not None and kind.name in hosted and not rights.may_run(kind.name):
        raise APIError(
            403,
            f"The tool '{kind.name}' needs an API key with the scope 'tools' or '{scope_of(kind.name)}'.",
            param="tool_choice",
            code="insufficient_scope",
        )


def forced_kind(choice: str | ToolChoice | None) -> Kind | None:
    """Return the kind of hosted tool that a tool choice forces."""
    kind = BY_DECLARATION.get(choice.type) if isinstance(choice, ToolChoice) else None
    return kind if kind is not None and kind.runs == "hosted" else None


def run_here(found: Sequence[AdmittedTool]) -> list[str]:
    """Return the kinds of tools that offer something to the model."""
    return [tool.kind.name for tool in found if tool.use.offers()]


class LocalSkill(msgspec.Struct, frozen=True):
    """A skill in a folder of the client's own."""

    name: str
    description: str
    path: str


class _LocalEnvironment(msgspec.Struct):
    skills: list[LocalSkill] | None = None


class _LocalShell(msgspec.Struct):
    environment: _LocalEnvironment | None = None


_local_shell = msgspec.json.Decoder(_LocalShell)


def told_local_skills(tools: Sequence[Tool]) -> str:
    """Return what the model is told of the skills that the client's own shell has. Raises InvalidRequest."""
    found: list[LocalSkill] = []
    for index, tool in enumerate(tools):
        if isinstance(tool, OtherTool) and tool.type == SHELL and not in_container(tool.raw):
            param = f"tools[{index}]"
            environment = decode(_local_shell, tool.raw, param).environment
            found += (environment.skills or ()) if environment is not None else ()
            if len(found) > MOST_MOUNTED:
                raise InvalidRequest(f"At most {MOST_MOUNTED} skills are allowed.", param=f"{param}.environment.skills")
    return listed_skills([(skill.name, " ".join(skill.description.split()), skill.path) for skill in found])


async def admitted(
    tools: Sequence[Tool], owner: str, hosted: HostedTools, rights: ToolRights = ALL_RIGHTS
) -> list[AdmittedTool]:
    """Return the hosted tools that a request declares and its caller may use. Raises APIError."""
    declared: dict[str, list[Declaration]] = {}
    for index, tool in enumerate(tools):
        if isinstance(tool, OtherTool):
            kind = kind_of(tool.type, tool.raw).name
            if kind in hosted and rights.may_run(kind):
                param = f"tools[{index}]"
                declaration = Declaration(type=tool.type, raw=tool.own or tool.raw, param=param, beside=tools)
                declared.setdefault(kind, []).append(declaration)
    found = []
    for kind, declarations in declared.items():
        tool_of_kind = hosted[kind]
        use = await tool_of_kind.admit(declarations, owner)
        callers = {caller for one in declarations for caller in callers_in(one.raw)}
        direct, in_programs = DIRECT in callers, BY_PROGRAM in callers
        found.append(AdmittedTool(tool_of_kind.kind, tool_of_kind.bounds, use, direct, in_programs))
    if reached := offered_in_programs(found):
        for one in found:
            one.use.reaches(reached)
    return found
