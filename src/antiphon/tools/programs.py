"""Programmatic tool calling: programs of a model that call the client's functions (OpenAI's "Programmatic tool calling").

The model is offered a function `program` with code of Python, in which `await tools.NAME(…)` calls a function whose
`allowed_callers` has `programmatic`. A program runs in a sandbox of its own until it ends or waits for results; then its calls
go to the client, and with the results it is run again from its beginning, in whichever server has the next request.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BY_NAME, CUSTOM
from antiphon.core.programs import (
    BY_PROGRAM,
    PROGRAM,
    PROGRAMMATIC,
    EarlierProgram,
    ProgramCall,
    called_by_programs,
    program_call_id,
    unfinished,
)
from antiphon.core.tools.input_unwrapper import Unwrapper
from antiphon.core.tools.offers import Offer, Target
from antiphon.core.tools.results import ClientCall
from antiphon.errors import InvalidRequest
from antiphon.tools.base import Declaration, HostedRun, HostedUse, Progress, ToolBounds, ToolResult
from antiphon.tools.containers.containers import Containers
from antiphon.tools.sandbox.base import SandboxError
from antiphon.types.items import FunctionCallOutput, Item
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool, OtherTool, Tool

MOST_CALLS = 500
"""Calls of one program."""

MOST_LEFT = 8 << 20
"""Bytes of what a program leaves: its calls, and what it says."""

MOST_SECONDS = 8  # times the seconds of one call that a program may take with all its runs in a response

_PARAMETERS = Raw(
    b'{"type":"object","properties":{"code":{"type":"string","description":"Python code."}},"required":["code"]}'
)
_DESCRIPTION = (
    "Runs a Python program that calls tools, and returns what it prints. Use it for many calls, or where only a part of what"
    " they return matters. `result = await tools.NAME(argument=value)` calls a tool; asyncio.gather makes calls side by side."
    " There is no network, and nothing stays from one program to the next. While a program waits for results it may be run"
    " again from its beginning: what it does must follow from the results alone, not from time or chance.\nTools:\n"
)
_CODE = "import antiphon.tools.sandbox.inside.program as program; program.run()"
_left = msgspec.json.Decoder(dict[str, Any])


class ProgramTool:
    """The tool."""

    kind = BY_NAME[PROGRAMMATIC]

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self.bounds = ToolBounds(seconds=MOST_SECONDS * containers.bounds.call_seconds, bytes=16 << 20, total=48 << 20)

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Check which tools programs may call; where no sandbox holds on this machine, nothing is offered."""
        functions = dict(_functions(declared[0].beside))
        usable = not await self._containers.source.usable()
        if usable:
            self._containers.source.warm()
        return ProgramUse(self._containers, functions if usable else {}, owner)


def _functions(tools: Sequence[Tool]) -> list[tuple[str, tuple[FunctionTool, str | None]]]:
    """Return the functions that programs may call, by their names in programs. Raises InvalidRequest for other tools."""
    found: list[tuple[str, tuple[FunctionTool, str | None]]] = []
    for index, tool in enumerate(tools):
        if isinstance(tool, FunctionTool) and called_by_programs(tool):
            found.append((tool.name, (tool, None)))
        elif isinstance(tool, NamespaceTool):
            inner = [one for one in tool.tools if isinstance(one, FunctionTool) and called_by_programs(one)]
            found += [(f"{tool.name}__{one.name}", (one, tool.name)) for one in inner]
        elif _wants_programs(tool):
            type = tool.type if isinstance(tool, OtherTool) else CUSTOM
            raise InvalidRequest(
                f"Programs of this server call functions of the client: a tool '{type}' cannot be called by them.",
                param=f"tools[{index}].allowed_callers",
                code="unsupported_value",
            )
    return found


class _Callers(msgspec.Struct):
    allowed_callers: list[str] | None = None


_callers = msgspec.json.Decoder(_Callers)


def _wants_programs(tool: Tool) -> bool:
    if isinstance(tool, CustomTool):
        return called_by_programs(tool)
    if not isinstance(tool, OtherTool):
        return False
    try:
        return BY_PROGRAM in (_callers.decode(tool.raw).allowed_callers or ())
    except msgspec.MsgspecError:
        return False


class ProgramUse(HostedUse):
    """The tool within one response. `functions` are those that programs may call, with their namespaces."""

    def __init__(
        self, containers: Containers, functions: Mapping[str, tuple[FunctionTool, str | None]], owner: str
    ) -> None:
        self._containers = containers
        self._functions = functions
        self._owner = owner
        self._earlier: dict[str, EarlierProgram] = {}

    def offers(self) -> Sequence[Offer]:
        """Offer the function, where there is something that programs may call."""
        if not self._functions:
            return []
        told = "\n".join(_told(name, function) for name, (function, _) in self._functions.items())
        return [Offer(target=Target(PROGRAMMATIC, PROGRAM), description=_DESCRIPTION + told, parameters=_PARAMETERS)]

    def comes_first(self, items: Sequence[Item]) -> bool:
        """Tell whether a program of the history goes on before the model is called."""
        return bool(self._functions) and bool(unfinished(items))

    async def prepare(self, run: HostedRun) -> None:
        """Find the programs that go on."""
        if self._functions:
            self._earlier = {program.call_id: program for program in unfinished(run.items)}

    def resumed(self) -> Mapping[str, str]:
        """Return the programs that go on: their call ids and their code."""
        return {id: program.code for id, program in self._earlier.items()}

    def demand(self, name: str, arguments: str) -> Mapping[str, float]:
        """Return the seconds of a run."""
        return {"code_seconds": self._containers.bounds.call_seconds} if self._functions else {}

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Run a program that has no id: its calls have ids of their own in no other one."""
        return await self.call_as("", name, arguments, progress)

    async def call_as(self, call_id: str, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Run a program, until it ends or waits for its calls."""
        unwrapper = Unwrapper("code")
        code = unwrapper.feed(arguments) + unwrapper.close()
        earlier = self._earlier.pop(call_id, None)
        calls = earlier.calls if earlier is not None else ()
        lacking = [call.name for call in calls if call.output is None]
        if lacking:
            return _ended(f"The program was not continued: a call of '{lacking[0]}' has no output.", failed=True)
        known = [self._known(call) for call in calls]
        given = to_json({"code": code, "names": list(self._functions), "known": known})
        try:
            left = await self._containers.program(self._owner, given, _CODE, most=MOST_LEFT)
            found = _left.decode(left.content) if left.content else {}
        except SandboxError as error:
            return _ended(str(error), failed=True)
        except msgspec.MsgspecError:
            found = {}
        if left.ended.timed_out:
            return _ended(f"The program timed out after {self._containers.bounds.call_seconds:g} s.", failed=True)
        asked = found.get("asked")
        if not isinstance(asked, list) or not isinstance(found.get("text"), str):
            return _ended(f"The program ended: {left.ended.died or 'without a result'}.", failed=True)
        if not asked:
            return _ended(found["text"], failed=bool(found.get("failed")))
        if len(calls) + len(asked) > MOST_CALLS:
            return _ended(f"The program makes more than {MOST_CALLS} calls.", failed=True)
        return ToolResult(asks=[self._asked(call_id, len(calls) + n, one) for n, one in enumerate(asked)])

    def _asked(self, program: str, number: int, asked: Any) -> ClientCall:
        """Return a call as the client gets it; what the sandbox says is taken as hostile."""
        name = str(asked.get("name", "")) if isinstance(asked, dict) else ""
        if name not in self._functions:
            raise InvalidRequest(f"A program called '{name[:64]}', which it may not.")
        function, namespace = self._functions[name]
        arguments = asked.get("arguments")
        return ClientCall(
            call_id=program_call_id(program, number),
            name=function.name,
            namespace=namespace,
            arguments=arguments if isinstance(arguments, str) else "{}",
        )

    def _known(self, call: ProgramCall) -> dict[str, object]:
        """Return a call as the program finds it: with the value that its output holds where the function has a schema for it."""
        name = f"{call.namespace}__{call.name}" if call.namespace else call.name
        function = self._functions.get(name)
        assert call.output is not None
        value: object = _text_of(call.output)
        if function is not None and isinstance(function[0].output_schema, dict):
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(str(value))
        return {"name": name, "arguments": call.arguments, "value": value}

    async def close(self) -> None:
        """Do nothing: each run has ended with its sandbox."""


def _ended(text: str, *, failed: bool) -> ToolResult:
    return ToolResult(fields={"result": text, "status": "incomplete" if failed else "completed"})


def _text_of(output: FunctionCallOutput) -> str:
    if isinstance(output.output, str):
        return output.output
    return "\n".join(str(getattr(part, "text", "")) for part in output.output)


def _told(name: str, function: FunctionTool) -> str:
    parameters = bytes(function.parameters).decode() if function.parameters is not None else "{}"
    returns = f" Returns a value of the schema {json.dumps(function.output_schema)}." if function.output_schema else ""
    about = f" {function.description}" if function.description else ""
    return f"- {name}: arguments {parameters}.{returns}{about}"
