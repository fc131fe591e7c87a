"""ToolWork: the tools that this server runs within one Response: offers, calls, results for the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec
from msgspec import Raw

from antiphon.core.context import opaque_of, with_model_texts
from antiphon.core.deltas import CallStart
from antiphon.core.kinds import CALLED, MCP
from antiphon.core.request.decoding import decode_items
from antiphon.core.stream.response_stream import PendingCall, ResponseStream
from antiphon.core.tools.results import ToolResult
from antiphon.core.turn import Turn
from antiphon.responses.calls.hosted_calls import HostedWork
from antiphon.responses.calls.mcp_calls import McpWork
from antiphon.responses.calls.program_calls import Commit, ProgramCalls
from antiphon.responses.plan import Plan
from antiphon.responses.services import Services
from antiphon.runtime.offload import LARGE
from antiphon.tools.base import HostedRun
from antiphon.types.items import Item, OtherItem


class ToolWork:
    """The server-run tools of one Response. `show` sends the events that there are, `commit` commits them."""

    def __init__(
        self, plan: Plan, stream: ResponseStream, services: Services, show: Callable[[], object], commit: Commit
    ) -> None:
        self._turn = plan.turn
        self._history = plan.turn.items
        self._stream = stream
        self._show = show
        self._mcp = McpWork(plan.remote, plan.approvals, plan.owner, stream, services, show)
        take = partial(services.tool_meters.take, plan.rights, plan.route.card) if plan.rights.limits else None
        self._hosted = HostedWork(plan.hosted, self._progress, plan.request.include or (), take)
        self._run_of = HostedRun(
            owner=plan.owner, response_id=plan.response.id, items=plan.turn.items, sources=stream.sources
        )
        self._programs = ProgramCalls(stream, self._hosted, self._mcp, self._run, self._items_made, commit)
        self._guard = plan.guard
        self._seen = 0
        self._size = plan.turn.size
        self._called = False

    async def prepare(self) -> None:
        """Do what comes before the first model call. Raises APIError (424)."""
        self._stream.announce_calls(self._needs_approval)
        await self._hosted.prepare(self._run_of, self._stream)
        made = self._items_made()
        self._called = any(type(item) is OtherItem and item.type in CALLED for item in made)  # where it is taken over
        await self._mcp.prepare(self._history, made)
        self._hosted.reaches(self._mcp.in_programs())
        self._hosted.answered(self._items_made())
        for call in self._hosted.resumed():
            self._stream.resume_call(CallStart(call.key, call.call_id, call.name, kind=call.kind))
            await self._run(call)

    def compacted(self, turn: Turn) -> None:
        """Go on from a Turn that holds all output so far; `prepare` still finds listings and approvals of the whole context."""
        self._turn = turn
        self._seen = len(self._stream.output)

    def next_turn(self) -> Turn:
        """Return the Turn with all output so far in its context, and what this server runs offered."""
        new = self._stream.output[self._seen :]
        self._seen += len(new)
        made = items_for_model(self._stream, new)
        # What tools gave may make a Turn large.
        self._size += sum(map(len, new)) + sum(len(item.model_text or "") for item in made if type(item) is OtherItem)
        opaque = opaque_of(self._stream.model_texts)
        choice = (
            "auto" if self._called or self._stream.went_on else self._turn.tool_choice
        )  # a call that was forced is forced once
        self._turn = msgspec.structs.replace(
            self._turn,
            items=[*self._turn.items, *made],
            opaque={**self._turn.opaque, **opaque} if opaque else self._turn.opaque,
            server_tools=[*self._hosted.offers, *self._mcp.offers()],
            tool_choice=choice,
            size=self._size if self._size >= LARGE else 0,
        )
        return self._turn

    async def run_pending(self) -> None:
        """Make the calls that the model asked for, side by side; those that need agreement become requests for it."""
        self._called = True
        calls = []
        for call in list(self._stream.pending):
            if call.kind == MCP and self._mcp.needs_approval(call.namespace, call.name):
                self._mcp.ask(call)
            else:
                calls.append(self._run(call))
        await asyncio.gather(*calls)

    async def close(self) -> None:
        """Let go of all servers and tools."""
        await asyncio.gather(self._mcp.close(), self._hosted.close())

    def _needs_approval(self, call: CallStart) -> bool:
        return call.kind == MCP and self._mcp.needs_approval(call.namespace or "", call.name)

    async def _run(self, call: PendingCall) -> None:
        result = await self._call(call)
        if result.asks:
            result = await self._programs.go_on(call, result)
        if self._guard is not None:
            result = await self._guard.result(result)
        self._stream.tool_result(call.key, result)
        self._show()

    async def _call(self, call: PendingCall) -> ToolResult:
        return await (self._mcp.call(call) if call.kind == MCP else self._hosted.call(call))

    def _items_made(self) -> Sequence[Item]:
        return items_for_model(self._stream, self._stream.output)

    def _progress(self, key: str, stage: str, fields: Mapping[str, object]) -> None:
        self._stream.tool_progress(key, stage, fields)
        self._show()


def items_for_model(stream: ResponseStream, output: Sequence[bytes]) -> list[Item]:
    """Return output items of a response with what the model sees of them."""
    return with_model_texts(decode_items([Raw(item) for item in output]), stream.model_texts)
