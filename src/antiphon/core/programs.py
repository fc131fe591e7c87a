"""Programs that a model writes and this server runs: their names, the ids of their calls, which tools they may call.

The calls of a program are numbered; from its `call_id` and the number follows the id of each call, so that a program which is
run again finds the results of those that were made before. What a history holds of them: `program_history`.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec
from msgspec import Raw

from antiphon.types.items import ToolCaller
from antiphon.types.tools import NamespaceTool, OtherTool, Tool

PROGRAMMATIC = "programmatic_tool_calling"
PROGRAM = "program"
PROGRAM_OUTPUT = "program_output"
DIRECT, BY_PROGRAM = "direct", "programmatic"
"""Values of `allowed_callers`."""
_DIGEST = 24


class _Callers(msgspec.Struct):
    allowed_callers: list[str] | None = None


CALLERS = msgspec.json.Decoder(_Callers)


def program_call_id(program: str, number: int) -> str:
    """Return the id of a program's call."""
    return f"call_{blake2b(f'{program}/{number}'.encode(errors='replace'), digest_size=16).hexdigest()}"


def program_mark(response_id: str) -> str:
    """Return the mark of a response's programs: ids of calls are a backend's, and count from 1 in each conversation of some."""
    return blake2b(response_id.encode(), digest_size=16).hexdigest()


def fingerprint(call_id: str, code: str, mark: str = "") -> str:
    """Return what tells a program from others: its response's mark (32 digits, or none), and a digest of it, id and code."""
    whole = f"{mark}/{call_id}/{code}" if mark else f"{call_id}/{code}"
    return mark + blake2b(whole.encode(errors="replace"), digest_size=_DIGEST).hexdigest()


def mark_of(found: str, call_id: str, code: str) -> str | None:
    """Return the mark in the fingerprint of a program; None where it is not one of this server's."""
    mark = found[: -2 * _DIGEST]
    return mark if len(mark) in (0, 32) and found == fingerprint(call_id, code, mark) else None


def caller(program: str) -> ToolCaller:
    """Return the `caller` of a program's calls."""
    return ToolCaller(PROGRAM, program)


def allowed_callers(tool: Tool) -> Sequence[str]:
    """Return who may call a tool: the model itself where nothing is said of it."""
    if isinstance(tool, NamespaceTool):
        return (DIRECT,)  # its tools say it each
    if isinstance(tool, OtherTool):
        return callers_in(tool.raw)
    found = tool.allowed_callers
    return found if isinstance(found, list) and found else (DIRECT,)


def callers_in(declaration: Raw) -> Sequence[str]:
    """Return who may call a tool that is declared so."""
    if b"allowed_callers" not in bytes(declaration):
        return (DIRECT,)
    try:
        return CALLERS.decode(declaration).allowed_callers or (DIRECT,)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return (DIRECT,)  # who decodes the declaration refuses it


def called_directly(tool: Tool) -> bool:
    """Tell whether a model may call a tool itself; so it may where nothing is said of it."""
    return DIRECT in allowed_callers(tool)


def called_by_programs(tool: Tool) -> bool:
    """Tell whether programs may call a tool."""
    return BY_PROGRAM in allowed_callers(tool)
