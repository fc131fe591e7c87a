"""Hosted tools whose calls give what a golden case says: `tests/golden/hosted/CASE/results.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from json import loads
from pathlib import Path
from typing import Any

import msgspec

from antiphon.core.citations.sources import ContainerFile, Passage
from antiphon.core.kinds import BY_NAME
from antiphon.core.program_history import ProgramCall, unfinished
from antiphon.core.programs import PROGRAMMATIC, program_call_id
from antiphon.core.tools.offers import Offer, Target
from antiphon.core.tools.results import AskedCall
from antiphon.tools.base import Declaration, HostedUse, Progress, ToolBounds, ToolResult, ToolServerError
from antiphon.types.items import Item

HOSTED = Path(__file__).parents[1] / "golden" / "hosted"
CASES = sorted(path.name for path in HOSTED.iterdir() if (path / "request.json").exists())
FUNCTIONS = {
    "web_search": ("web_search", "open_page", "find_in_page"),
    "file_search": ("file_search",),
    "code_interpreter": ("python",),
    "hosted_shell": ("shell",),
    PROGRAMMATIC: ("program",),
}


IN_CONTAINERS = ("code_interpreter", "hosted_shell")


class RecordedAsk(msgspec.Struct):
    """A call that a program makes."""

    kind: str
    name: str
    arguments: dict[str, Any]


class RecordedResult(msgspec.Struct):
    """An entry of `results.json`. `asks`: the calls of each round that a program waits for before it ends."""

    name: str
    arguments: dict[str, Any]
    fields: dict[str, Any] = {}
    model_text: str | None = None
    passages: list[Passage] = []
    files: list[ContainerFile] = []
    error: str | None = None
    progress: list[tuple[str, dict[str, Any]]] = []
    asks: list[list[RecordedAsk]] = []


def recorded() -> dict[str, RecordedResult]:
    """Return the results of all cases by function and arguments."""
    found: dict[str, RecordedResult] = {}
    for case in CASES:
        for result in msgspec.json.decode((HOSTED / case / "results.json").read_bytes(), type=list[RecordedResult]):
            found[_key(result.name, result.arguments)] = result
    return found


def _key(name: str, arguments: object) -> str:
    return f"{name} {json.dumps(arguments, sort_keys=True)}"


class RecordedTool:
    """A tool of one of OpenAI's kinds."""

    bounds = ToolBounds(seconds=5.0)

    def __init__(self, kind: str) -> None:
        self.kind = BY_NAME[kind]

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Take every declaration."""
        return RecordedUse(self.kind.name)


class RecordedUse(HostedUse):
    """The tool within one response."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._results = recorded()
        self._calls: Sequence[ProgramCall] = ()

    def answered(self, items: Sequence[Item]) -> None:
        """Note what the calls of a program gave."""
        self._calls = [call for program in unfinished(items) for call in program.calls]

    def instructions(self) -> str:
        """Tell how to cite."""
        return f"Cite what {self._kind} gives as 【1】."

    def opening(self) -> Mapping[str, object]:
        """Return the container of code."""
        return {"container_id": "cntr_golden"} if self._kind in IN_CONTAINERS else {}

    def offers(self) -> Sequence[Offer]:
        """Offer the kind's functions."""
        return [Offer(target=Target(self._kind, name), description=name) for name in FUNCTIONS[self._kind]]

    async def call_as(self, call_id: str, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Return what is recorded; of a program the calls that it waits for, as long as there are such."""
        made = 0
        for asks in self._results[_key(name, loads(arguments))].asks:
            if made == len(self._calls):
                return ToolResult(asks=[_asked(call_id, made + n, ask) for n, ask in enumerate(asks)])
            made += len(asks)
        assert all(call.output is not None for call in self._calls)
        return await self.call(name, arguments, progress)

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Return what is recorded."""
        result = self._results[_key(name, loads(arguments))]
        for stage, fields in result.progress:
            progress(stage, fields)
        if result.error is not None:
            raise ToolServerError(result.error)
        return ToolResult(
            fields=result.fields, model_text=result.model_text, passages=result.passages, files=result.files
        )

    async def close(self) -> None:
        """Do nothing."""


def _asked(program: str, number: int, ask: RecordedAsk) -> AskedCall:
    return AskedCall(program_call_id(program, number), ask.name, json.dumps(ask.arguments), kind=ask.kind)


def all_tools() -> list[RecordedTool]:
    """Return one of each kind."""
    return [RecordedTool(kind) for kind in FUNCTIONS]
