"""WatchedTool: a hosted tool whose calls are counted, timed and traced. No argument and no result is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from antiphon.access.usage import UsageLedger
from antiphon.core.kind import Kind
from antiphon.core.tools.offers import Offer
from antiphon.tools.base import Declaration, HostedRun, HostedTool, HostedUse, Progress, ToolBounds, ToolResult
from antiphon.types.items import Item

if TYPE_CHECKING:
    from antiphon.telemetry.otlp import Exporter, Span


class CallLabels(NamedTuple):
    """A call as metrics name it. `outcome`: `ok`, `error`, `cancelled`, or `limited` where its key's limits refused it."""

    tool: str
    kind: str
    provider: str
    outcome: str


CountCall = Callable[[CallLabels, float], None]
"""Takes note of a call and its seconds."""


class WatchedTool:
    """A HostedTool as its calls are seen by `count`, by the owner's usage and, as spans, by an `exporter`."""

    def __init__(
        self, tool: HostedTool, count: CountCall, exporter: Exporter | None, usage: UsageLedger | None = None
    ) -> None:
        self._tool = tool
        self._count = count
        self._usage = usage
        self._exporter = exporter

    @property
    def kind(self) -> Kind:
        """The tool's."""
        return self._tool.kind

    @property
    def bounds(self) -> ToolBounds:
        """The tool's."""
        return self._tool.bounds

    async def admit(self, declared: Sequence[Declaration], owner: str) -> HostedUse:
        """Check the declarations. Raises APIError."""
        use = await self._tool.admit(declared, owner)
        usage = self._usage
        if usage is None:
            return WatchedUse(use, self.kind.name, self._count, self._exporter)

        def count(call: CallLabels, seconds: float) -> None:
            self._count(call, seconds)
            usage.called(owner, call.kind, failed=call.outcome != "ok")

        return WatchedUse(use, self.kind.name, count, self._exporter)


class WatchedUse(HostedUse):
    """The tool within one response."""

    def __init__(self, use: HostedUse, kind: str, count: CountCall, exporter: Exporter | None) -> None:
        self._use = use
        self._kind = kind
        self._count = count
        self._exporter = exporter

    def offers(self) -> Sequence[Offer]:
        """Return what the model may call."""
        return self._use.offers()

    def instructions(self) -> str:
        """Return what the model is told of the tool."""
        return self._use.instructions()

    def ignored(self) -> Sequence[str]:
        """Return what the declarations ask for and do not get."""
        return self._use.ignored()

    def opening(self) -> Mapping[str, object]:
        """Return the fields that its items begin with."""
        return self._use.opening()

    async def prepare(self, run: HostedRun) -> None:
        """Do what comes before the first model call."""
        await self._use.prepare(run)

    def provider(self) -> str:
        """Return who does the work."""
        return self._use.provider()

    def limited(self, name: str) -> None:
        """Count a call that was refused."""
        self._count(CallLabels(name, self._kind, self._use.provider(), "limited"), 0.0)

    def demand(self, name: str, arguments: str) -> Mapping[str, float]:
        """Return what a call will take at most."""
        return self._use.demand(name, arguments)

    def comes_first(self, items: Sequence[Item]) -> bool:
        """Tell whether there is something to do before the model is called."""
        return self._use.comes_first(items)

    def resumed(self) -> Mapping[str, str]:
        """Return the calls that go on before the model is called."""
        return self._use.resumed()

    def reaches(self, offers: Sequence[Offer]) -> None:
        """Note what its calls may call in turn."""
        self._use.reaches(offers)

    def answered(self, items: Sequence[Item]) -> None:
        """Note the response's items so far."""
        self._use.answered(items)

    async def call(self, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Make a call. Raises what the tool raises."""
        return await self.call_as("", name, arguments, progress)

    async def call_as(self, call_id: str, name: str, arguments: str, progress: Progress) -> ToolResult:
        """Make a call. Raises what the tool raises."""
        span = self._span(name)
        began, outcome, error = perf_counter(), "error", ""
        try:
            result = await self._use.call_as(call_id, name, arguments, progress)
            if result.error is None:
                outcome = "ok"
            return result
        except asyncio.CancelledError:
            outcome = error = "cancelled"
            raise
        except Exception as failure:
            error = type(failure).__name__
            raise
        finally:
            self._count(CallLabels(name, self._kind, self._use.provider(), outcome), perf_counter() - began)
            if span is not None:
                span.error = error or ("" if outcome == "ok" else "tool_error")
                span.end()

    def _span(self, name: str) -> Span | None:
        if self._exporter is None:
            return None
        from antiphon.telemetry.tracing import tool_span

        return tool_span(self._exporter, name, self._kind, self._use.provider())

    async def close(self) -> None:
        """Let go of what the calls have opened."""
        await self._use.close()
