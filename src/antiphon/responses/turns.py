"""Turns: the loop of one response: model calls, and the work before, between and after them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

from msgspec.structs import replace

from antiphon.backends.base import RoutedStream, read
from antiphon.core import compaction
from antiphon.core.citations.citer import Citer
from antiphon.core.compaction import Compacted
from antiphon.core.context import kept_items, opaque_of
from antiphon.core.deltas import Delta, UsageReport
from antiphon.core.fast_path import offer, unwatch
from antiphon.core.opaque import NO_OPAQUE, OpaqueData
from antiphon.core.relay.end import counted
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.resume import checkpoint
from antiphon.core.stream.terms import Action
from antiphon.core.text.stop_sequences import StopFilter
from antiphon.core.turn import Turn, on_backend
from antiphon.errors import APIError, BackendError
from antiphon.responses.calls.server_calls import ToolWork, items_for_model
from antiphon.responses.compaction import sealed_compaction, summarise
from antiphon.responses.fast_path import MOST_EVENTS
from antiphon.responses.plan import Plan
from antiphon.responses.services import Services
from antiphon.responses.sink import Outlet
from antiphon.responses.structured_output import StructuredOutput, structured_output
from antiphon.responses.unsealing import Unsealing
from antiphon.types.items import Item
from antiphon.types.request import prewarms
from antiphon.types.response import Usage

MOST_TURNS = 128  # model calls for one response; a model that calls tools for ever is stopped

_CALL_MODEL, _DONE = Action.CALL_MODEL, Action.DONE  # looked up once: each time costs as much as a function call

Boundary = Callable[[bytes | None], Awaitable[None]]
"""Commits what was sent and, between two Turns, a checkpoint. Raises FenceError."""


class Turns:
    """The model calls of one response. `outlet` leads to its client; `spoke` is the time of the first Delta,
    `first_usage` that of the first call.

    `links`: web pages that the text cites are linked to in it.
    """

    def __init__(
        self, plan: Plan, services: Services, stream: ResponseStream, outlet: Outlet, links: bool = True
    ) -> None:
        self.spoke = 0.0
        self.steered = False
        self.first_usage: Usage | None = None
        self.boundary: Boundary | None = None
        self._plan = plan
        self._services = services
        self._stream = stream
        self._outlet = outlet
        self._turn = plan.turn
        self._seen = 0
        self._source: RoutedStream | None = None
        self._opening: asyncio.Task[RoutedStream] | None = None
        self._backend_id = ""
        self._ignored: Sequence[str] = ()
        self.tools = ToolWork(plan, stream, services, outlet.send, self._commit) if plan.remote or plan.hosted else None
        self._structured = structured_output(plan, services)
        self._citer: Citer | None = None
        if plan.hosted or plan.sources:
            stream.sources.load(plan.sources)
            self._citer = Citer(stream.sources, links=links)
        stops = plan.turn.options.stop
        self._stop = StopFilter(stops) if stops else None

    async def make(self) -> None:
        """Make all model calls, until nothing is left but to end the response. Raises APIError, and what the Sink raises."""
        stream, plan = self._stream, self._plan
        if plan.compaction or plan.failed or self.tools is not None:
            await self._prepare()
        elif stream.output_begun:  # a run taken over, behind asynchronous calls
            self._turn = self._grown_turn()
        if prewarms(plan.request):
            await self._prewarm()
            return
        turns = 0
        stage = stream.stage
        action = stage.state.action
        while action is _CALL_MODEL:
            await self._call_model()
            stream.end_turn()
            if not turns and (usage := plan.response.usage) is not None:  # later ones have grown, and usage is a sum
                self.first_usage = usage
                self._services.estimator.learn(plan.turn, usage.input_tokens)
            turns += 1
            if turns == MOST_TURNS:
                raise APIError(
                    500, f"The model called tools {MOST_TURNS} times without an answer.", code="too_many_turns"
                )
            action = stage.state.action
            if action is not _DONE:
                action = await self._between_turns(action)
        if self._structured is not None and stream.complete:
            await self._structured.check(stream.output)

    async def _prewarm(self) -> None:
        """Have the backend read the prompt, and pass on of its answer what it counted."""
        stream, usage = self._stream, None
        source = self._source if self._source is not None else await self._turn_stream()
        while deltas := await read(source):
            usage = counted(deltas) or usage
        self._backend_id, self._source = source.backend_id, None
        if usage is not None:
            self.first_usage = usage
            stream.feed(UsageReport(usage))
            stream.settle_usage()

    # One model call

    async def open(self, wait: float | None) -> bool:
        """Start the first call; False if it was not accepted within `wait` seconds: `make` goes on waiting. Raises APIError."""
        plan = self._plan
        first = plan.hosted and any(tool.use.comes_first(plan.turn.items) for tool in plan.hosted)
        if plan.compaction or plan.remote or plan.failed or first or self._stream.output_begun:
            return True  # there is something to do, and to tell, before the model is called
        if wait is None:
            self._source = await self._plan.route.open(self._plan.turn)
            return True
        self._opening = asyncio.ensure_future(self._plan.route.open(self._plan.turn))
        try:
            done, _ = await asyncio.wait((self._opening,), timeout=wait)
        except asyncio.CancelledError:
            self._opening.cancel()
            raise
        if not done:
            return False
        opening, self._opening = self._opening, None
        self._source = opening.result()
        return True

    @property
    def waiting(self) -> bool:
        """Tell whether no backend has accepted a call yet."""
        return self._source is None

    @property
    def backend_id(self) -> str:
        """Id of the backend that was called last (`core.turn.Hints`), "" if there is only one."""
        return self._source.backend_id if self._source is not None else self._backend_id

    def ignored(self) -> Sequence[str]:
        """Return the names of the request's wishes that backends were not told so far."""
        source = self._source
        if source is not None and source.ignored:
            self._ignored = list(dict.fromkeys((*self._ignored, *source.ignored)))
        return self._ignored

    async def _call_model(self) -> None:
        """Make one model call: its deltas go through the stream to the sink, one pass for all that has arrived."""
        source = self._source if self._source is not None else await self._turn_stream()
        self._backend_id = source.backend_id
        if self._stop is not None:
            self._stop.begin()
        if self._citer is not None:
            self._citer.begin()
        self._offer_ways(source)
        try:
            while not await source.pour(self._take):
                if self._stop is not None and self._stop.matched:
                    source.abort()
                    break
                await self._outlet.drain()
        finally:
            if self._citer is not None:
                self._end_citations(self._citer)
        self.ignored()
        self._source = None
        if self._structured is not None:
            await self._settle(self._structured)

    def _offer_ways(self, source: RoutedStream) -> None:
        """Offer a model call the ways past Deltas and Events, unless something here has to see each of them."""
        if self._stop is not None or self._citer is not None:
            return
        if self._structured is not None and self._structured.withholds:
            return
        if self._stream.unseen:
            unwatch(source)
        elif (path := self._outlet.fast_path()) is not None:
            offer(source, path)

    async def _turn_stream(self) -> RoutedStream:
        if self._opening is not None:
            opening, self._opening = self._opening, None
            try:
                self._source = await opening
            except asyncio.CancelledError:
                opening.cancel()
                raise
        else:
            self._source = await self._plan.route.open(self._turn)
        return self._source

    def _take(self, deltas: Sequence[Delta]) -> bool:
        """Pass on Deltas; False if the sink has no room for more."""
        if not self.spoke:
            self.spoke = perf_counter()
        if self._stop is not None:
            deltas = self._stop.take(deltas)
        if self._citer is not None:
            deltas = self._citer.take(deltas)
        stream = self._stream
        feed = stream.feed
        for delta in deltas if self._structured is None else self._structured.take(deltas):
            feed(delta)
        if stream.emitter.sequence_number > MOST_EVENTS:
            raise BackendError(502, f"The answer has more than {MOST_EVENTS} events.")
        return self._outlet.send() and (self._stop is None or not self._stop.matched)

    def _end_citations(self, citer: Citer) -> None:
        """Pass on the end of an answer, which may have been held back as the beginning of a citation."""
        rest = citer.close()
        for delta in rest if self._structured is None else self._structured.take(rest):
            self._stream.feed(delta)

    async def _settle(self, watch: StructuredOutput) -> None:
        """Send a withheld answer; one that does not fit its format is requested once more."""
        again = await watch.again(self._turn)
        if again is not None:
            self._source = await self._plan.route.open(again)
            await self._call_model()
            return
        for delta in watch.release():
            self._stream.feed(delta)
        self._outlet.send()

    # Before, between and behind model calls

    async def _prepare(self) -> None:
        """Prepare the first model call: compaction, listing the tools of servers."""
        plan = self._plan
        for call in plan.failed:
            self._stream.begin_call(call.start, call.arguments)
            self._stream.tool_result(call.start.key, call.result)
        if plan.failed:
            self._stream.end_without_model()
            return
        if plan.compaction == "trigger":
            await self._compact(plan.turn.items, None)
            self._stream.end_without_model()
        elif plan.compaction == "threshold" and self._stream.output:  # a run taken over has done it
            made = items_for_model(self._stream, self._stream.output)
            seals = Unsealing(self._services.sealer, plan.owner, ())
            self._replace_context(await seals.restored([*plan.turn.items, *made]), seals.opaque)
        elif plan.compaction == "threshold":
            head, tail = compaction.split_for_compaction(plan.turn.items)
            if head and plan.turn.options.pauses:
                await self._compact(plan.turn.items, None)
                self._stream.end_without_model()
                return
            if head:
                await self._compact(head, tail)
        if self.tools is not None:
            await self.tools.prepare()
            if self._stream.asked:  # a program goes on, and waits for the client again
                self._stream.end_without_model()
                return
            self._turn = self.tools.next_turn()
            self._outlet.send()
            await self._note_boundary()

    async def _compact(self, items: Sequence[Item], kept: Sequence[Item] | None) -> None:
        """Replace the items by a summary; `kept` items follow it unchanged."""
        plan = self._plan
        summary = await summarise(plan.route, self._turn, items)
        opaque = self._turn.opaque
        if kept is None:
            compacted = compaction.in_place_of(items, summary.text, opaque)
        else:
            beside = compaction.opaque_among(kept, opaque)
            compacted = Compacted(summary.text, kept_items(kept, plan.id_base), opaque=beside)
        sealed = await sealed_compaction(self._services.sealer, compacted, plan.owner)
        self._stream.add_item(
            "cmp", lambda id: compaction.compaction_item(id, sealed), "response.compaction.compacting"
        )
        self._stream.compacted(summary.text, sealed)
        if summary.usage is not None:
            self._stream.feed(UsageReport(summary.usage))
            self._stream.settle_usage()
        self._replace_context([compaction.summary_message(compacted), *(kept or ())])
        self._outlet.send()

    def _replace_context(self, items: list[Item], opaque: OpaqueData = NO_OPAQUE) -> None:
        """Replace the context, which includes all output so far."""
        self._turn = replace(self._turn, items=items, opaque={**self._turn.opaque, **opaque})
        self._seen = len(self._stream.output)
        if self.tools is not None:
            self.tools.compacted(self._turn)

    async def _between_turns(self, action: Action) -> Action:
        """Run the server's tools; then commit a checkpoint, from which another server can continue. Return what is next."""
        if self.tools is not None and action is Action.CALL_TOOLS:
            if self.boundary is not None:
                await self.boundary(None)  # whoever takes over shall know that the calls may have been made
            await self.tools.run_pending()
        self._outlet.send()  # ends of items, which a client may wait for, and a checkpoint stands behind
        if self._stream.action is not _CALL_MODEL:
            return self._stream.action
        if self.steered:
            self._stream.end_steered()
            return self._stream.action
        grown = self.tools.next_turn() if self.tools is not None else self._grown_turn()
        self._turn = on_backend(grown, self._backend_id)
        await self._note_boundary()
        return self._stream.action

    def _grown_turn(self) -> Turn:
        """Return the Turn that follows where this server runs no tools: with all output so far in its context."""
        stream, turn, new = self._stream, self._turn, self._stream.output[self._seen :]
        self._seen += len(new)
        made, opaque = items_for_model(stream, new), opaque_of(stream.model_texts)
        return replace(
            turn,
            items=[*turn.items, *made],
            opaque={**turn.opaque, **opaque} if opaque else turn.opaque,
            tool_choice=turn.tool_choice
            if turn.tool_choice == "none"
            else "auto",  # a call that was forced is forced once
            size=turn.size and turn.size + sum(map(len, new)),
        )

    async def _commit(self, closed: bool) -> None:
        """Commit what was sent; `closed`: another server can continue from here."""
        self._outlet.send()
        if closed:
            await self._note_boundary()
        elif self.boundary is not None:
            await self.boundary(None)

    async def _note_boundary(self) -> None:
        """Commit a checkpoint: all items are closed, so that another server can continue from here."""
        if self.boundary is not None:
            stream, usage = self._stream, self._plan.response.usage
            await self.boundary(checkpoint(stream.sequence_number, stream.output, usage, stream.model_texts))

    # The end

    def release(self) -> None:
        """Abort the backend call at once. Idempotent."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._source is not None:
            self._source.abort()
