"""Programs in a history: which of them go on, with what their calls gave, and what a model sees of them.

A program's call is an item like any other, with the id that follows from its number (`core.programs`) and the program as its
`caller`: a call of the client's with its output in another item, or a call of this server with what it gave.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw

from antiphon.core import kinds
from antiphon.core.deltas import CallKind
from antiphon.core.programs import PROGRAM, PROGRAM_OUTPUT, mark_of, program_call_id
from antiphon.core.request.other_items import approval_request
from antiphon.core.tools.history import NOT_KEPT, HistoryCall, HistoryOutput
from antiphon.errors import InvalidRequest
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    OtherItem,
    Part,
    ToolCaller,
)
from antiphon.types.raw import JsonText

EXACT = frozenset((kinds.FUNCTION, kinds.CUSTOM, kinds.MCP))
"""Kinds whose items hold a call's arguments as they were."""

_FAILED = ("failed", "incomplete")
_OUTPUTS = (kinds.OUTPUTS - {PROGRAM_OUTPUT}) | {
    kind.owes for kind in kinds.KINDS if kind.owes and kind.name != kinds.MCP
}
"""Types of items that hold what a call gave whose item is another one."""


class CallOutput(msgspec.Struct, frozen=True):
    """What a call gave, as a program finds it; `failed` tells that it is why there is nothing."""

    text: str
    failed: bool = False


class ProgramCall(msgspec.Struct, frozen=True):
    """A call that a program has made. `arguments` are None where its item does not hold them, `output` where it has none yet."""

    call_id: str
    kind: CallKind
    name: str
    namespace: str | None
    arguments: str | None
    output: CallOutput | None = None


class EarlierProgram(msgspec.Struct, frozen=True):
    """A program of the history that has not ended, and its calls in their order. `mark`: of the response that began it."""

    call_id: str
    code: str
    calls: Sequence[ProgramCall]
    mark: str = ""


class _Program(msgspec.Struct):
    call_id: str = ""
    code: str = ""
    fingerprint: str = ""


class _Caller(msgspec.Struct):
    type: str = ""
    caller_id: str = ""


class _Inner(msgspec.Struct):
    """What tells an item of a program's call from others."""

    call_id: str | None = None
    status: str | None = None
    caller: _Caller | None = None


_program = msgspec.json.Decoder(_Program)
_inner = msgspec.json.Decoder(_Inner)


class _NoTools:
    """A history that offers nothing."""

    def names_of(self, tools: Sequence[Raw]) -> list[str]:
        """Return no name."""
        return []


_NO_TOOLS = _NoTools()


class _Found:
    """The programs of a history, their calls and all outputs, by their ids."""

    def __init__(self) -> None:
        self.programs: dict[str, tuple[str, str]] = {}
        self.calls: dict[str, dict[str, ProgramCall]] = {}
        self.outputs: dict[str, CallOutput] = {}

    def take(self, item: Item) -> None:
        """Take in an item."""
        if type(item) is OtherItem:
            self._other(item)
        elif isinstance(item, FunctionCall | CustomToolCall):
            if program := caller_of(item):
                namespace = item.namespace if isinstance(item.namespace, str) else None
                made = (
                    (kinds.FUNCTION, item.arguments) if isinstance(item, FunctionCall) else (kinds.CUSTOM, item.input)
                )
                kind, arguments = made
                self._call(program, ProgramCall(item.call_id, kind, item.name, namespace, arguments))
        elif type(item) in (FunctionCallOutput, CustomToolCallOutput):
            self.outputs[item.call_id] = CallOutput(_text_of(item.output))  # type: ignore[union-attr]  # `type` narrows nothing

    def _other(self, item: OtherItem) -> None:
        if item.type in (PROGRAM, PROGRAM_OUTPUT):
            found = _decoded(item)
            mark = mark_of(found.fingerprint, found.call_id, found.code) if item.type == PROGRAM else None
            if mark is not None:
                self.programs[found.call_id] = (found.code, mark)
            else:
                self.programs.pop(found.call_id, None)
            return
        inner = _inner_of(item)
        if inner is None or not inner.call_id:
            return
        program = _program_of(inner)
        if item.type == kinds.APPROVAL_REQUEST:
            if program:
                asked = approval_request(item)
                self._call(
                    program, ProgramCall(inner.call_id, kinds.MCP, asked.name, asked.server_label, asked.arguments)
                )
        elif program or item.type in _OUTPUTS:
            for entry in _entries(item):
                if isinstance(entry, HistoryCall) and program:
                    target = entry.target
                    arguments = entry.arguments if target.kind in EXACT else None
                    self._call(
                        program, ProgramCall(inner.call_id, target.kind, target.name, target.namespace, arguments)
                    )
                elif isinstance(entry, HistoryOutput) and entry.output != NOT_KEPT:
                    text, failed = _text_of(entry.output), inner.status in _FAILED
                    self.outputs[inner.call_id] = CallOutput(text.removeprefix("Error: ") if failed else text, failed)

    def _call(self, program: str, call: ProgramCall) -> None:
        self.calls.setdefault(program, {})[call.call_id] = call

    def earlier(self) -> Iterator[EarlierProgram]:
        """Yield the programs that have made calls."""
        for id, (code, mark) in self.programs.items():
            if calls := self.calls.get(id):
                numbered = [calls.get(program_call_id(id, number)) for number in range(len(calls))]
                found = [
                    msgspec.structs.replace(call, output=self.outputs.get(call.call_id))
                    for call in numbered
                    if call is not None
                ]
                yield EarlierProgram(id, code, found, mark)


def unfinished(items: Sequence[Item]) -> list[EarlierProgram]:
    """Return this server's programs of a history that have made calls and have no output yet.

    Those of a backend that runs programs itself have other fingerprints.
    """
    found = _Found()
    for item in items:
        found.take(item)
    return list(found.earlier())


def without_inner_calls(items: Sequence[Item]) -> Sequence[Item]:
    """Return a history as a model sees it: of a program it sees the code and what came of it, not the calls within."""
    if OtherItem not in set(map(type, items)):
        return items  # nearly all histories; a look at each item would cost a long one more than that
    if not any(type(item) is OtherItem and item.type == PROGRAM for item in items):
        return items
    inner = {id for item in items if (id := _inner_call_id(item))}
    return [item for item in items if not (inner and _call_id(item) in inner)]


def _inner_call_id(item: Item) -> str:
    """Return the id of a program's call, "" for any other item."""
    if isinstance(item, FunctionCall | CustomToolCall):
        return item.call_id if caller_of(item) else ""
    found = _inner_of(item) if type(item) is OtherItem and item.type not in (PROGRAM, PROGRAM_OUTPUT) else None
    return (found.call_id or "") if found is not None and _program_of(found) else ""


def _call_id(item: Item) -> str:
    if type(item) is OtherItem:
        found = _inner_of(item)
        return (found.call_id or "") if found is not None else ""
    return str(getattr(item, "call_id", ""))


def caller_of(call: FunctionCall | CustomToolCall) -> str:
    """Return the `call_id` of the program that made a call; "" where the model made it."""
    caller = call.caller
    if isinstance(caller, ToolCaller) and caller.type == PROGRAM and isinstance(caller.caller_id, str):
        return caller.caller_id
    return ""


def _program_of(inner: _Inner) -> str:
    return inner.caller.caller_id if inner.caller is not None and inner.caller.type == PROGRAM else ""


def _inner_of(item: OtherItem) -> _Inner | None:
    if b'"call_id"' not in bytes(item.raw):
        return None
    try:
        return _inner.decode(item.raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _entries(item: OtherItem) -> Sequence[HistoryCall | HistoryOutput]:
    found = kinds.READERS.get(item.type)
    if found is not None:
        kind, read = found
        with contextlib.suppress(InvalidRequest):  # not as this server writes them: then there is no such call
            return read(kind.name, item, _NO_TOOLS)
    return ()


def _decoded(item: OtherItem) -> _Program:
    try:
        return _program.decode(item.raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _Program()


def _text_of(output: str | JsonText | Sequence[Part]) -> str:
    if isinstance(output, str | JsonText):
        return str(output)
    return "\n".join(str(getattr(part, "text", "")) for part in output)
