"""Programmatic tool calling: programs of a model that call tools (OpenAI's "Programmatic tool calling").

The model is offered a function `program` with code of Python, in which `await tools.NAME(…)` calls a tool whose
`allowed_callers` has `programmatic`. A program runs in a sandbox of its own until it ends or waits for results; then its calls
are made, by this server or by the client, and with the results it is run again from its beginning: in the same response, or in
whichever server has the next request.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import BY_NAME, CUSTOM, FUNCTION, kind_of
from antiphon.core.program_history import CallOutput, EarlierProgram, ProgramCall, unfinished
from antiphon.core.programs import PROGRAM, PROGRAMMATIC, called_by_programs, program_call_id, program_mark
from antiphon.core.tools.call_items import fields_of
from antiphon.core.tools.input_unwrapper import Unwrapper
from antiphon.core.tools.offers import NO_PARAMETERS, Offer, Target
from antiphon.core.tools.results import AskedCall
from antiphon.core.tools.tool_map import free_name, full_name
from antiphon.errors import InvalidRequest
from antiphon.tools.base import Declaration, HostedRun, HostedUse, Progress, ToolBounds, ToolResult
from antiphon.tools.containers.containers import Containers
from antiphon.tools.sandbox.base import SandboxError
from antiphon.types.items import Item
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool, OtherTool, Tool

MOST_CALLS = 500
"""Calls of one program."""

MOST_ROUNDS = 64
"""How often a program is run in one response: each time it waits for calls, it is run again."""

MOST_LEFT = 8 << 20
"""Bytes of what a program leaves: its calls, and what it says."""

MOST_SECONDS = 8  # times the seconds of one call that a program may take with all its runs in a response

_PARAMETERS = Raw(
    b'{"type":"object","properties":{"code":{"type":"string","description":"Python code."}},"required":["code"]}'
)
_DESCRIPTION = (
    "Runs a Python program that calls tools, and returns what it prints. Use it for many calls, or where only a part of what"
    " they return matters. `result = await tools.NAME(argument=value)` calls a tool; asyncio.gather makes calls side by side."
    " A call returns text where nothing else is said, and raises `ToolError` where the tool fails."
    " There is no network, and nothing stays from one program to the next. While a program waits for results it may be run"
    " again from its beginning: what it does must follow from the results alone, not from the time.\nTools:\n"
)
_CODE = "import antiphon.tools.sandbox.inside.program as program; program.run()"
_left = msgspec.json.Decoder(dict[str, Any])


class ProgramFunction(msgspec.Struct, frozen=True):
    """A tool as programs call it: `takes_text` instead of named arguments, with `output_schema` its output is a value."""

    offer: Offer
    output_schema: Mapping[str, Any] | None = None
    takes_text: bool = False

    def told(self, name: str) -> str:
        """Return what the model is told of it."""
        offer = self.offer
        takes = "one text" if self.takes_text else f"arguments {bytes(offer.parameters).decode()}"
        returns = f" Returns a value of the schema {json.dumps(self.output_schema)}." if self.output_schema else ""
        about = f" {offer.description}" if offer.description else ""
        return f"- {name}: {takes}.{returns}{about}"


class ProgramTool:
    """The tool."""

    kind = BY_NAME[PROGRAMMATIC]

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self.bounds = ToolBounds(seconds=MOST_SECONDS * containers.bounds.call_seconds, bytes=16 << 20, total=48 << 20)

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Check which tools programs may call; where no sandbox holds on this machine, nothing is offered."""
        tools = declared[0].beside
        _check_callable(tools)
        usable = not await self._containers.source.usable()
        if usable:
            self._containers.source.warm()
        wanted = usable and any(called_by_programs(one) for tool in tools for one in _inner(tool))
        return ProgramUse(self._containers, _client_functions(tools) if wanted else (), owner, wanted=wanted)


def _inner(tool: Tool) -> Sequence[Tool]:
    return tool.tools if isinstance(tool, NamespaceTool) else (tool,)


def _check_callable(tools: Sequence[Tool]) -> None:
    """Raise InvalidRequest for a tool that programs cannot call although its declaration says so."""
    for index, tool in enumerate(tools):
        if isinstance(tool, OtherTool) and called_by_programs(tool) and not kind_of(tool.type, tool.raw).in_programs:
            raise InvalidRequest(
                f"Programs of this server cannot call a tool '{tool.type}'.",
                param=f"tools[{index}].allowed_callers",
                code="unsupported_value",
            )


def _client_functions(tools: Sequence[Tool]) -> list[ProgramFunction]:
    """Return the client's tools that programs may call."""
    return [
        _client_function(one, tool.name if isinstance(tool, NamespaceTool) else None)
        for tool in tools
        for one in _inner(tool)
        if called_by_programs(one) and not (isinstance(one, OtherTool) and kind_of(one.type, one.raw).runs != "client")
    ]


def _client_function(tool: Tool, namespace: str | None) -> ProgramFunction:
    if isinstance(tool, FunctionTool):
        target = Target(FUNCTION, tool.name, namespace)
        parameters = tool.parameters if tool.parameters is not None else NO_PARAMETERS
        schema = tool.output_schema if isinstance(tool.output_schema, dict) else None
        return ProgramFunction(Offer(target=target, description=tool.description or "", parameters=parameters), schema)
    if isinstance(tool, CustomTool):
        description = tool.description if isinstance(tool.description, str) else ""
        offer = Offer(target=Target(CUSTOM, tool.name, namespace), description=description)
        return ProgramFunction(offer, takes_text=True)
    assert isinstance(tool, OtherTool)
    kind = kind_of(tool.type, tool.raw)
    assert kind.offer is not None
    offer = Offer(
        target=Target(kind.name, kind.name), description=kind.offer.description, parameters=kind.offer.parameters
    )
    return ProgramFunction(offer)


class ProgramUse(HostedUse):
    """The tool within one response. `own` are the client's tools that programs may call, `wanted` tells that there are any."""

    def __init__(
        self, containers: Containers, own: Sequence[ProgramFunction], owner: str, *, wanted: bool = True
    ) -> None:
        self._containers = containers
        self._own = own
        self._owner = owner
        self._wanted = wanted
        self._functions = _named(own)
        self._mark = ""
        self._history: Sequence[Item] = ()
        self._earlier: dict[str, EarlierProgram] = {}
        self._made: dict[str, str] = {}
        self._rounds: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    def reaches(self, offers: Sequence[Offer]) -> None:
        """Note which tools of this server programs may call."""
        if self._wanted:
            own = (offer for offer in offers if offer.target.kind != PROGRAMMATIC)
            self._functions = _named([*self._own, *map(ProgramFunction, own)])

    def offers(self) -> Sequence[Offer]:
        """Offer the function, where there is something that programs may call."""
        if not self._wanted:
            return []
        told = "\n".join(function.told(name) for name, function in self._functions.items())
        return [Offer(target=Target(PROGRAMMATIC, PROGRAM), description=_DESCRIPTION + told, parameters=_PARAMETERS)]

    def comes_first(self, items: Sequence[Item]) -> bool:
        """Tell whether a program of the history goes on before the model is called."""
        return self._wanted and bool(unfinished(items))

    def opening(self) -> Mapping[str, object]:
        """Return the mark that the items of this response's programs get."""
        return {"mark": self._mark}

    async def prepare(self, run: HostedRun) -> None:
        """Find the programs that go on."""
        self._mark = program_mark(run.response_id)
        self._history = run.items
        self.answered(())

    def answered(self, items: Sequence[Item]) -> None:
        """Find the programs that go on, with what their calls gave."""
        if self._wanted:
            self._earlier = {program.call_id: program for program in unfinished([*self._history, *items])}

    def resumed(self) -> Mapping[str, str]:
        """Return the programs that go on: their call ids and their code."""
        return {id: program.code for id, program in self._earlier.items()}

    def demand(self, name: str, arguments: str) -> Mapping[str, float]:
        """Return the seconds of a run."""
        return {"code_seconds": self._containers.bounds.call_seconds} if self._wanted else {}

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Run a program that has no id: its calls have ids of their own in no other one."""
        return await self.call_as("", name, arguments, progress)

    async def call_as(self, call_id: str, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Run a program, until it ends or waits for its calls."""
        unwrapper = Unwrapper("code")
        code = unwrapper.feed(arguments) + unwrapper.close()
        earlier = self._earlier.pop(call_id, None)
        calls, mark = (earlier.calls, earlier.mark) if earlier is not None else ((), self._mark)
        if refusal := self._refusal(call_id, calls):
            return _ended(refusal, failed=True)
        known = [self._known(call) for call in calls]
        began = time.monotonic()
        try:
            return await self._run(call_id, code, known, seed=f"{mark}/{call_id}")
        except SandboxError as error:
            return _ended(str(error), failed=True)
        finally:
            self._seconds[call_id] = self._seconds.get(call_id, 0.0) + time.monotonic() - began

    def _refusal(self, call_id: str, calls: Sequence[ProgramCall]) -> str:
        """Return why a program is not run, "" where it is."""
        lacking = [call.name for call in calls if call.output is None]
        if lacking:
            return f"The program was not continued: a call of '{lacking[0]}' has no output."
        rounds = self._rounds[call_id] = self._rounds.get(call_id, 0) + 1
        if rounds > MOST_ROUNDS:
            return f"The program was ended: it waited {MOST_ROUNDS} times for calls; asyncio.gather makes them side by side."
        if self._seconds.get(call_id, 0.0) > self.most_seconds:
            return f"The program was ended: its runs took more than {self.most_seconds:g} s."
        return ""

    @property
    def most_seconds(self) -> float:
        """The seconds that a program may take with all its runs."""
        return MOST_SECONDS * self._containers.bounds.call_seconds

    async def _run(self, call_id: str, code: str, known: Sequence[Mapping[str, object]], *, seed: str) -> ToolResult:
        """Run a program with what is known of its calls; its chance follows from the seed. Raises SandboxError."""
        texts = [name for name, function in self._functions.items() if function.takes_text]
        names = list(self._functions)
        given = to_json({"code": code, "seed": seed, "names": names, "texts": texts, "known": known})
        left = await self._containers.program(self._owner, given, _CODE, most=MOST_LEFT)
        try:
            found = _left.decode(left.content) if left.content else {}
        except (msgspec.MsgspecError, ValueError, RecursionError):
            found = {}
        if left.ended.timed_out:
            return _ended(f"The program timed out after {self._containers.bounds.call_seconds:g} s.", failed=True)
        asked = found.get("asked")
        if not isinstance(asked, list) or not isinstance(found.get("text"), str):
            return _ended(f"The program ended: {left.ended.died or 'without a result'}.", failed=True)
        if not asked:
            return _ended(found["text"], failed=bool(found.get("failed")))
        if len(known) + len(asked) > MOST_CALLS:
            return _ended(f"The program makes more than {MOST_CALLS} calls.", failed=True)
        return ToolResult(asks=[self._asked(call_id, len(known) + n, one) for n, one in enumerate(asked)])

    def _asked(self, program: str, number: int, asked: Any) -> AskedCall:
        """Return a call that is to be made; what the sandbox says is taken as hostile."""
        name = str(asked.get("name", "")) if isinstance(asked, dict) else ""
        if name not in self._functions:
            raise InvalidRequest(f"A program called '{name[:64]}', which it may not.")
        function, given = self._functions[name], asked.get("arguments")
        arguments = given if isinstance(given, str) else ""
        if not arguments or fields_of(arguments) is None:
            raise InvalidRequest(f"A program called '{name}' with arguments that are no JSON object.")
        if function.takes_text:
            input = (fields_of(arguments) or {}).get("input")
            arguments = input if isinstance(input, str) else ""
        target, call_id = function.offer.target, program_call_id(program, number)
        self._made[call_id] = arguments
        return AskedCall(call_id, target.name, arguments, target.namespace, target.kind)

    def _known(self, call: ProgramCall) -> dict[str, object]:
        """Return a call as the program finds it: with the value that its output holds where there is a schema for it."""
        target = Target(call.kind, call.name, call.namespace)
        name = next((name for name, one in self._functions.items() if one.offer.target == target), full_name(target))
        function = self._functions.get(name)
        output = call.output or CallOutput("")
        arguments = self._made.get(call.call_id, call.arguments)
        if arguments is not None and call.kind == CUSTOM:
            arguments = to_json({"input": arguments}).decode()
        value: object = output.text
        if function is not None and function.output_schema is not None:
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(output.text)
        return {"name": name, "arguments": arguments, "value": value, "failed": output.failed}

    async def close(self) -> None:
        """Do nothing: each run has ended with its sandbox."""


def _named(functions: Sequence[ProgramFunction]) -> dict[str, ProgramFunction]:
    """Return tools by their names in programs."""
    named: dict[str, ProgramFunction] = {}
    for function in functions:
        target = function.offer.target
        name = full_name(target)
        named[name if name not in named else free_name(target, named)] = function
    return named


def _ended(text: str, *, failed: bool) -> ToolResult:
    return ToolResult(fields={"result": text, "status": "incomplete" if failed else "completed"})
