"""HostedWork: the hosted tools of one Response: their offers, and their calls within bounds of time and size."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import perf_counter

from msgspec.structs import replace

from antiphon.access.tool_limits import Taken
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.response_stream import PendingCall, ResponseStream
from antiphon.core.tools.offers import Offer
from antiphon.core.tools.results import NO_FIELDS, ToolResult, hidden_fields, shown_fields
from antiphon.errors import APIError
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.tools.base import AdmittedTool, HostedRun, ToolServerError
from antiphon.types.items import Item

Take = Callable[[Mapping[str, float]], Awaitable[Taken]]
"""Takes what a call wants, by unit. Raises APIError."""

NOT_TOLD: Mapping[str, float] = {}
OVERHEAD = 256  # bytes that a passage or a file counts beside its text

TellProgress = Callable[[str, str, Mapping[str, object]], None]

log = logging.getLogger("antiphon.responses.calls")


class HostedWork:
    """The hosted tools of one Response. `progress` tells of a call by its key, `include` what clients see of their items.

    `take` takes what a call wants of the caller's limits.
    """

    def __init__(
        self,
        admitted: Sequence[AdmittedTool],
        progress: TellProgress,
        include: Sequence[str] = (),
        take: Take | None = None,
    ) -> None:
        self._admitted = {tool.kind.name: tool for tool in admitted}
        self._room = {tool.kind.name: tool.bounds.total for tool in admitted}
        self._progress = progress
        self._include = include
        self._take = take
        self._running: set[str] = set()
        self.offers: Sequence[Offer] = offered(admitted)
        self._in_programs = in_programs(admitted)

    async def prepare(self, run: HostedRun, stream: ResponseStream) -> None:
        """Prepare them, and tell the stream how their items begin. Raises APIError."""
        for tool in self._admitted.values():
            await tool.use.prepare(run)
        stream.open_hosted({name: opening for name, tool in self._admitted.items() if (opening := tool.use.opening())})

    def reaches(self, remote: Sequence[Offer]) -> None:
        """Tell programs what they may call: hosted tools, and those of MCP servers."""
        if remote:
            for tool in self._admitted.values():
                tool.use.reaches([*self._in_programs, *remote])
            self.offers = offered(list(self._admitted.values()))

    def answered(self, items: Sequence[Item]) -> None:
        """Tell programs what their calls gave."""
        for tool in self._admitted.values():
            tool.use.answered(items)

    def resumed(self) -> list[PendingCall]:
        """Return the calls of earlier responses that go on, as they are made."""
        return [
            PendingCall(id, tool.kind.name, "", tool.kind.call, to_json({"code": code}).decode(), id)
            for tool in self._admitted.values()
            for id, code in tool.use.resumed().items()
        ]

    async def call(self, call: PendingCall) -> ToolResult:
        """Make a call. A failure becomes the call's error; nothing is raised."""
        tool = self._admitted.get(call.kind)
        if tool is None:
            return ToolResult(error=f"There is no tool '{call.name}' here.")
        result = await self._metered(tool, call)
        size = _size(result)
        if size > tool.bounds.bytes:
            return ToolResult(error=f"The tool's answer has more than {tool.bounds.bytes} bytes.")
        if size > self._room[call.kind]:
            return ToolResult(
                error=f"The tool's answers in this response have more than {tool.bounds.total} bytes together."
            )
        self._room[call.kind] -= size
        if not tool.kind.hidden or not result.fields:
            return result
        shown = shown_fields(result.fields, tool.kind.hidden, self._include)
        return replace(result, fields=shown, hidden=hidden_fields(result.fields, shown))

    async def _metered(self, tool: AdmittedTool, call: PendingCall) -> ToolResult:
        """Make a call within the limits of the caller's key."""
        wanted = tool.use.demand(call.name, call.arguments) if self._take is not None else {}
        if self._take is None or not wanted:
            return await self._bounded(tool, call)
        try:
            taken = await self._take(wanted)
        except APIError as error:
            tool.use.limited(call.name)
            return ToolResult(error=error.message)
        began, used = perf_counter(), NOT_TOLD
        try:
            result = await self._bounded(tool, call)
            used = result.used
            return result
        finally:
            taken.settle(used, perf_counter() - began)

    async def _bounded(self, tool: AdmittedTool, call: PendingCall) -> ToolResult:
        self._running.add(call.key)
        try:
            async with asyncio.timeout(tool.bounds.seconds):
                if tool.kind.begins:
                    self._tell(call.key, tool.kind.begins)
                return await tool.use.call_as(call.call_id, call.name, call.arguments, partial(self._tell, call.key))
        except TimeoutError:
            return ToolResult(error=f"The tool did not answer within {tool.bounds.seconds:g} seconds.")
        except ToolServerError as error:
            return ToolResult(error=str(error), code=error.word)
        except APIError as error:
            return ToolResult(error=error.message)
        except Exception as error:  # its words may name addresses: the log has them, the client has the type
            unexpected("response", log, "hosted tool %s failed", call.kind)
            return ToolResult(error=f"The tool failed: {type(error).__name__}")
        finally:
            self._running.discard(call.key)

    def _tell(self, key: str, stage: str, fields: Mapping[str, object] = NO_FIELDS) -> None:
        """Emit a call's progress; progress of a call that has ended is ignored."""
        if key in self._running:
            self._progress(key, stage, fields)

    async def close(self) -> None:
        """Close all of them."""
        for tool in self._admitted.values():
            try:
                await tool.use.close()
            except Exception:
                unexpected("response", log, "hosted tool %s: closing it failed", tool.kind.name)


def offered(admitted: Sequence[AdmittedTool]) -> list[Offer]:
    """Return what hosted tools offer to the model."""
    return [offer for tool in admitted if tool.direct for offer in tool.use.offers()]


def in_programs(admitted: Sequence[AdmittedTool]) -> list[Offer]:
    """Return what hosted tools offer to programs of the model."""
    return [offer for tool in admitted if tool.in_programs for offer in tool.use.offers()]


def told(admitted: Sequence[AdmittedTool]) -> str:
    """Return what hosted tools tell the model as a system's text."""
    return "\n\n".join(text for tool in admitted if tool.direct and (text := tool.use.instructions()))


def _size(result: ToolResult) -> int:
    """Return the bytes of a result: item fields, text for the model."""
    return (
        len(to_json(result.fields))
        + len((result.model_text or "").encode(errors="replace"))
        + sum(len(passage.text.encode(errors="replace")) + OVERHEAD for passage in result.passages)
        + OVERHEAD * len(result.files)
    )
