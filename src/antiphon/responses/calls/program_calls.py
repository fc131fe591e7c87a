"""ProgramCalls: calls that a model's programs make of tools of this server, within one Response.

A program that waits for calls is run again when they have their results, from its beginning. Calls of the client's tools, and
those that a person has to agree to, end the response first. Between two runs the response's log has a checkpoint where nothing
else is open: whoever takes it over goes on with the results, and makes no call again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from antiphon.core.deltas import CallStart
from antiphon.core.kinds import BY_NAME, MCP
from antiphon.core.stream.response_stream import PendingCall, ResponseStream
from antiphon.core.tools.results import AskedCall, ToolResult
from antiphon.responses.calls.hosted_calls import HostedWork
from antiphon.responses.calls.mcp_calls import McpWork
from antiphon.types.items import Item

SIDE_BY_SIDE = 16
"""Calls of one program that are made at the same time."""

MakeCall = Callable[[PendingCall], Awaitable[None]]
"""Makes a call that has begun, and tells its result."""

Commit = Callable[[bool], Awaitable[None]]
"""Commits what was sent; with True as a checkpoint: no item is open, but what waits for calls."""


class ProgramCalls:
    """The calls of all programs of one Response. `made` are the response's items so far, as the model sees them."""

    def __init__(
        self,
        stream: ResponseStream,
        hosted: HostedWork,
        mcp: McpWork,
        make: MakeCall,
        made: Callable[[], Sequence[Item]],
        commit: Commit,
    ) -> None:
        self._stream = stream
        self._hosted = hosted
        self._mcp = mcp
        self._make = make
        self._made = made
        self._commit = commit
        self._room = asyncio.Semaphore(SIDE_BY_SIDE)

    async def go_on(self, program: PendingCall, result: ToolResult) -> ToolResult:
        """Make the calls that a program waits for and run it again, until it ends or waits for the client."""
        while result.asks:
            own = [ask for ask in result.asks if self._is_made_here(ask)]
            if own:
                await self._commit(False)  # whoever takes over shall know that the calls may have been made
                refusal = await self._make_all(program, own)
                if refusal:
                    return ToolResult(error=refusal)
            if len(own) < len(result.asks):
                return replace(result, asks=[self._asked(program, ask) for ask in result.asks if ask not in own])
            if self._stream.waits_for(program.key):
                await self._commit(True)
            self._hosted.answered(self._made())
            result = await self._hosted.call(program)
        return result

    def _is_made_here(self, ask: AskedCall) -> bool:
        if ask.kind == MCP:
            return not self._mcp.needs_approval(ask.namespace or "", ask.name)
        return BY_NAME[ask.kind].serve is not None

    def _asked(self, program: PendingCall, ask: AskedCall) -> AskedCall:
        return self._mcp.asked_by(program.call_id, ask) if ask.kind == MCP else ask

    async def _make_all(self, program: PendingCall, asks: Sequence[AskedCall]) -> str:
        """Make calls side by side. Returns why one was not made, "" where all were: then the program ends."""
        calls, refusal = [], ""
        for ask in asks:
            start = CallStart(
                ask.call_id, ask.call_id, ask.name, ask.kind, namespace=ask.namespace, caller=program.call_id
            )
            refusal = self._stream.inner_call(start, ask.arguments)
            if refusal:
                break
            pending = PendingCall(ask.call_id, ask.kind, ask.namespace or "", ask.name, ask.arguments, ask.call_id)
            calls.append(self._make_one(pending))
        await asyncio.gather(*calls)
        return refusal

    async def _make_one(self, call: PendingCall) -> None:
        async with self._room:
            await self._make(call)
