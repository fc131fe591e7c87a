"""Programs that a model writes and this server runs: which of their calls have results, and what a model sees of them.

The calls of a program are numbered; from its `call_id` and the number follows the id of each call, so that a program which is
run again finds the results of those that were made before.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from antiphon.types.items import FunctionCall, FunctionCallOutput, Item, OtherItem
from antiphon.types.tools import CustomTool, FunctionTool

PROGRAMMATIC = "programmatic_tool_calling"
PROGRAM = "program"
PROGRAM_OUTPUT = "program_output"
DIRECT, BY_PROGRAM = "direct", "programmatic"
"""Values of `allowed_callers`."""


class ProgramCall(msgspec.Struct, frozen=True):
    """A call that a program has made, with what it gave, None where that is not known."""

    call_id: str
    name: str
    namespace: str | None
    arguments: str
    output: FunctionCallOutput | None = None


class EarlierProgram(msgspec.Struct, frozen=True):
    """A program of the history that has not ended, and its calls in their order."""

    call_id: str
    code: str
    calls: Sequence[ProgramCall]


class _Program(msgspec.Struct):
    call_id: str = ""
    code: str = ""
    fingerprint: str = ""


_program = msgspec.json.Decoder(_Program)


def program_call_id(program: str, number: int) -> str:
    """Return the id of a program's call."""
    return f"call_{blake2b(f'{program}/{number}'.encode(errors='replace'), digest_size=16).hexdigest()}"


def fingerprint(call_id: str, code: str) -> str:
    """Return what tells a program from others."""
    return blake2b(f"{call_id}/{code}".encode(errors="replace"), digest_size=24).hexdigest()


def called_directly(tool: FunctionTool | CustomTool) -> bool:
    """Tell whether a model may call a tool itself; so it may where nothing is said of it."""
    callers = tool.allowed_callers
    return not isinstance(callers, list) or not callers or DIRECT in callers


def called_by_programs(tool: FunctionTool | CustomTool) -> bool:
    """Tell whether programs may call a tool."""
    return isinstance(tool.allowed_callers, list) and BY_PROGRAM in tool.allowed_callers


def unfinished(items: Sequence[Item]) -> list[EarlierProgram]:
    """Return this server's programs of a history that have made calls and have no output yet.

    Those of a backend that runs programs itself have other fingerprints.
    """
    programs: dict[str, str] = {}
    calls: dict[str, list[FunctionCall]] = {}
    outputs: dict[str, FunctionCallOutput] = {}
    for item in items:
        if type(item) is OtherItem and item.type in (PROGRAM, PROGRAM_OUTPUT):
            found = _decoded(item)
            if item.type == PROGRAM and found.fingerprint == fingerprint(found.call_id, found.code):
                programs[found.call_id] = found.code
            else:
                programs.pop(found.call_id, None)
        elif type(item) is FunctionCall and (program := caller_of(item)):
            calls.setdefault(program, []).append(item)
        elif type(item) is FunctionCallOutput:
            outputs[item.call_id] = item
    return [_earlier(id, code, calls[id], outputs) for id, code in programs.items() if id in calls]


def _earlier(
    id: str, code: str, calls: Sequence[FunctionCall], outputs: dict[str, FunctionCallOutput]
) -> EarlierProgram:
    by_id = {call.call_id: call for call in calls}
    numbered = [by_id.get(program_call_id(id, number)) for number in range(len(calls))]
    found = [
        ProgramCall(
            call.call_id,
            call.name,
            call.namespace if isinstance(call.namespace, str) else None,
            call.arguments,
            outputs.get(call.call_id),
        )
        for call in numbered
        if call is not None
    ]
    return EarlierProgram(id, code, found)


def without_inner_calls(items: Sequence[Item]) -> Sequence[Item]:
    """Return a history as a model sees it: of a program it sees the code and what came of it, not the calls within."""
    if OtherItem not in set(map(type, items)):
        return items  # nearly all histories; a look at each item would cost a long one more than that
    if not any(type(item) is OtherItem and item.type == PROGRAM for item in items):
        return items
    inner = {item.call_id for item in items if type(item) is FunctionCall and caller_of(item)}
    return [
        item for item in items if not (type(item) in (FunctionCall, FunctionCallOutput) and _call_id(item) in inner)
    ]


def _call_id(item: Item) -> str:
    return str(getattr(item, "call_id", ""))


def caller_of(call: FunctionCall) -> str:
    """Return the `call_id` of the program that made a call; "" where the model made it."""
    caller = call.caller
    if isinstance(caller, msgspec.Struct) and caller.type == PROGRAM and isinstance(caller.caller_id, str):
        return caller.caller_id
    return ""


def _decoded(item: OtherItem) -> _Program:
    try:
        return _program.decode(item.raw)
    except msgspec.MsgspecError:
        return _Program()
