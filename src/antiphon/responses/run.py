"""The one async loop: drives a ResponseStream against a Route and a Store, into a Sink.

Foreground and background, streamed and not, HTTP and WebSocket differ in their Sink only. What is not streamed is a fold
of the stream: the terminal event's `response`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

from msgspec.structs import replace

from antiphon.access.limits import FREE, Permit
from antiphon.backends.base import RoutedStream
from antiphon.core import compaction
from antiphon.core.compaction import Compacted
from antiphon.core.context import kept_items
from antiphon.core.deltas import Delta, UsageReport
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.resume import checkpoint
from antiphon.core.stream.terms import Action
from antiphon.core.turn import placed
from antiphon.errors import APIError, BackendError, Gone
from antiphon.responses.compaction import sealed_compaction, summarise
from antiphon.responses.plan import Plan
from antiphon.responses.server_calls import ToolWork, items_for_model
from antiphon.responses.services import Services
from antiphon.responses.sink import Sink
from antiphon.responses.stored_response import commit
from antiphon.responses.structured_output import StructuredOutput, structured_output
from antiphon.responses.unsealing import Unsealing
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.stores.base import FenceError
from antiphon.types.items import Item

log = logging.getLogger("antiphon.engine")

LOOKS = 4  # at a stream's silence, per keepalive
MOST_EVENTS = 2_000_000  # of one response: they are kept for a background one
MOST_TURNS = 128  # model calls for one response; a model that calls tools for ever is stopped


class Run:
    """One Response in the making.

    A `mute` one makes no Events but the terminal one: its `body` is all that is wanted.
    `open` starts the first model call and raises what the backend refused, while an HTTP status can still tell it.
    `run` does the rest and never raises for a failed response: that is an ending like others. Cancelling either lets the
    backend go at once.
    """

    def __init__(self, plan: Plan, services: Services, *, mute: bool = False, permit: Permit = FREE) -> None:
        self.plan = plan
        self.stream = ResponseStream(plan.response, plan.id_base, plan.options, mute=mute)
        self.body = b""
        self.error: APIError | None = None
        self._services = services
        self._permit = permit
        self._fence = self._quiet = 0  # quiet: looks since something was sent
        self._boundary: Callable[[bytes | None], Awaitable[None]] | None = None
        self._source: RoutedStream | None = None
        self._opening: asyncio.Task[RoutedStream] | None = None
        self._place = ""
        self._sink: Sink | None = None
        self._task: asyncio.Task[object] | None = None
        self._stop: APIError | None = None
        self._cancel = self._steered = self._observed = False
        self._observer = services.observer
        self.began_at = self.began = self.spoke = 0.0
        self._turn = plan.turn
        self._tools = ToolWork(plan, self.stream, services, self._send) if plan.remote or plan.hosted else None
        self._structured = structured_output(plan, services)

    def hold(self, fence: int, boundary: Callable[[bytes | None], Awaitable[None]]) -> None:
        """Run under a lease: writes carry its fence, `boundary` commits what was sent, and a checkpoint between two Turns."""
        self._fence = fence
        self._boundary = boundary

    async def open(self, wait: float | None = None) -> bool:
        """Start the first model call and wait until the backend accepts it, `wait` seconds at most.

        Returns False if it has not yet answered; `run` goes on waiting. Raises APIError.
        """
        self._observe()
        try:
            return await self._open(wait)
        except APIError as error:
            self.error = error
            raise

    async def _open(self, wait: float | None) -> bool:
        if self.plan.compaction or self.plan.remote:
            return True  # there is something to do, and to tell, before the model is called
        if wait is None:
            self._source = await self.plan.route.open(self.plan.turn)
            return True
        self._opening = asyncio.ensure_future(self.plan.route.open(self.plan.turn))
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

    async def run(self, sink: Sink) -> None:
        """Make the response, sending its Events; the last one is sent after the commit. `body` is then the Response's JSON."""
        self._observe()
        self._sink = sink
        self._task = asyncio.current_task()
        look = self._look
        self._services.pulse.join(look, self._services.config.keepalive / LOOKS)
        try:
            self.stream.start()
            self._send()
            await self._turns()
        except APIError as error:
            self._fail(error)
        except (Gone, FenceError):
            raise
        except asyncio.CancelledError:
            self._release()
            if self._task is None or not self._stopped():
                raise
            self._task.uncancel()
        except Exception:
            unexpected("response", log, "response %s failed", self.plan.response.id)
            self._fail(APIError(500, "The server had an error while it made the response.", code="server_error"))
        finally:
            self._services.pulse.leave(look)
            self._release()
            if self._tools is not None:
                await self._tools.close()
        await self._end()
        self._task = None  # else the two would wait for the garbage collector

    async def warm_up(self, sink: Sink) -> None:
        """Make the response without calling the model: its input is there for those that follow it."""
        self._sink = sink
        self.stream.start()
        self.body = self.stream.finish(int(self._services.clock()))
        self._send()
        await self._end()

    def steer(self) -> None:
        """End the response at its next safe boundary: between two model calls."""
        self._steered = True

    def stop(self, error: APIError) -> None:
        """End the response with an error, from outside: the server stops."""
        self._stop = error
        self._interrupt()

    def cancel(self) -> None:
        """End the response as cancelled, at the client's wish."""
        self._cancel = True
        self._interrupt()

    def _interrupt(self) -> None:
        if self._task is not None and self.stream.terminal is None:
            self._task.cancel()

    def _stopped(self) -> bool:
        """End a response that was stopped or cancelled from outside; False if neither was the case."""
        if self._cancel:
            self.body = self.stream.cancel(int(self._services.clock()))
            self._send()
        elif self._stop is not None:
            self._fail(self._stop)
        return self._cancel or self._stop is not None

    def abort(self) -> None:
        """Let the backend go: whatever the run has come to is its end. Idempotent."""
        self._release()
        self._account()
        self._task = None  # its context leads back here, and nobody is to wait for the garbage collector
        self._sink = None
        if self.error is not None:
            self.error.__traceback__ = None
        if self._observed:
            self._observed = False
            self._observer.ended(self)

    def _release(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._source is not None:
            self._source.abort()

    # Turns

    async def _turns(self) -> None:
        await self._prepare()
        turns = 0
        while self.stream.action is Action.CALL_MODEL:
            await self._call_model()
            self.stream.end_turn()
            if (usage := self.plan.response.usage) is not None:
                self._services.estimator.learn(self.plan.turn, usage.input_tokens)
            turns += 1
            if turns == MOST_TURNS:
                raise APIError(
                    500, f"The model called tools {MOST_TURNS} times without an answer.", code="too_many_turns"
                )
            await self._between_turns()
        if self._structured is not None and self.stream.complete:
            await self._structured.check(self.stream.output)
        self.body = self.stream.finish(int(self._services.clock()))
        if self.plan.stored:
            self._send()  # the commit takes a moment; else these go out with the terminal event

    async def _call_model(self) -> None:
        """Make one model call: its deltas go through the stream to the sink, one pass for all that has arrived."""
        source = await self._turn_stream()
        self._place = source.place
        assert self._sink is not None
        while not await source.pour(self._take):
            await self._sink.drain()
        self._source = None
        if self._structured is not None:
            await self._settle(self._structured)

    def _take(self, deltas: Sequence[Delta]) -> bool:
        """Pass on what the model says; False when the sink has no room for more."""
        if not self.spoke:
            self.spoke = perf_counter()
        feed = self.stream.feed
        for delta in deltas if self._structured is None else self._structured.take(deltas):
            feed(delta)
        if self.stream.sequence_number > MOST_EVENTS:
            raise BackendError(502, f"The answer has more than {MOST_EVENTS} events.")
        return self._send()

    async def _settle(self, watch: StructuredOutput) -> None:
        """Show an answer that was held back; one that does not fit its format is asked for once more."""
        again = await watch.again(self._turn)
        if again is not None:
            self._source = await self.plan.route.open(again)
            await self._call_model()
            return
        for delta in watch.release():
            self.stream.feed(delta)
        self._send()

    async def _prepare(self) -> None:
        """Do what comes before the first model call: compaction, listing the tools of servers."""
        plan = self.plan
        if plan.compaction == "trigger":
            await self._compact(plan.turn.items, None)
            self.stream.end_without_model()
        elif plan.compaction == "threshold" and self.stream.output:  # a run taken over has done it
            made = items_for_model(self.stream, self.stream.output)
            seals = Unsealing(self._services.sealer, plan.owner, ())
            self._replace_context(await seals.restored([*plan.turn.items, *made]))
        elif plan.compaction == "threshold":
            head, tail = compaction.split_for_compaction(plan.turn.items)
            if head:
                await self._compact(head, tail)
        if self._tools is not None:
            await self._tools.prepare()
            self._turn = self._tools.next_turn()
            self._send()
            await self._note_boundary()

    async def _compact(self, items: Sequence[Item], kept: Sequence[Item] | None) -> None:
        """Put a summary in the place of the items; those that are `kept` still stand as they are behind it."""
        plan = self.plan
        summary = await summarise(plan.route, self._turn, items)
        standing = None if kept is None else Compacted(summary.text, kept_items(kept, plan.id_base))
        compacted = standing or compaction.in_place_of(items, summary.text)
        sealed = await sealed_compaction(self._services.sealer, compacted, plan.owner)
        self.stream.add_item("cmp", lambda id: compaction.compaction_item(id, sealed), "response.compaction.compacting")
        if summary.usage is not None:
            self.stream.feed(UsageReport(summary.usage))
            self.stream.settle_usage()
        self._replace_context([compaction.summary_message(compacted), *(kept or ())])
        self._send()

    def _replace_context(self, items: list[Item]) -> None:
        """Go on from another context, in which all output so far has its place."""
        self._turn = replace(self._turn, items=items)
        if self._tools is not None:
            self._tools.compacted(self._turn)

    async def _between_turns(self) -> None:
        """Run the tools that are the server's; then there is a boundary from which another server could go on."""
        if self._tools is not None and self.stream.action is Action.CALL_TOOLS:
            if self._boundary is not None:
                await self._boundary(None)  # whoever takes over shall know that the calls may have been made
            await self._tools.run_pending()
            self._send()
        if self.stream.action is not Action.CALL_MODEL:
            return
        if self._steered:
            self.stream.end_steered()
            return
        if self._tools is not None:
            self._turn = placed(self._tools.next_turn(), self._place)
        await self._note_boundary()

    async def _note_boundary(self) -> None:
        """Commit a checkpoint: all items are closed, so that another server could go on from here."""
        if self._boundary is not None:
            stream, usage = self.stream, self.plan.response.usage
            await self._boundary(checkpoint(stream.sequence_number, stream.output, usage, stream.model_texts))

    async def _turn_stream(self) -> RoutedStream:
        if self._source is None:
            if self._opening is not None:
                opening, self._opening = self._opening, None
                try:
                    self._source = await opening
                except asyncio.CancelledError:
                    opening.cancel()
                    raise
            else:
                self._source = await self.plan.route.open(self._turn)
        return self._source

    def _send(self) -> bool:
        events = self.stream.take()
        if not events or self._sink is None:
            return True
        self._quiet = 0
        return self._sink.send(events)

    # Endings

    def _fail(self, error: APIError) -> None:
        self.error = error
        self.body = self.stream.fail(error, int(self._services.clock()))
        self._send()

    async def _end(self) -> None:
        """Commit, then send the terminal event: an immediate `previous_response_id` finds the response."""
        self._account()  # before anybody can know that it has ended, and ask for more
        if self.plan.stored:
            try:
                texts = self.stream.model_texts
                await commit(self._services, self.plan, self.body, self.stream.output, self._fence, texts)
            except FenceError:
                raise
            except APIError as error:  # the store is away, which its own log line tells
                self._fail(error)
            except Exception:
                unexpected("response", log, "response %s could not be stored", self.plan.response.id)
                self._fail(APIError(500, "The response could not be stored.", code="server_error"))
        assert self.stream.terminal is not None and self._sink is not None
        # Nobody waits until these are read: what they were made from is let go of before.
        self._sink.send([*self.stream.take(), self.stream.terminal])

    def _account(self) -> None:
        """Say what was used. A background response that has not ended goes on elsewhere: its reservation stands."""
        if self._permit is FREE:
            return
        if self._boundary is not None and self.stream.terminal is None:
            self._permit.hand_over()
        else:
            seen = max(self.events_made, 1) if self.stream.output_begun else 0
            self._permit.settle(self.plan.response.usage, seen)

    @property
    def place(self) -> str:
        """Where the model was called last (`core.turn.Hints`), "" where there is no choice."""
        return self._source.place if self._source is not None else self._place

    # Onlookers

    @property
    def events_made(self) -> int:
        """How many Events there are so far."""
        return self.stream.sequence_number

    def _observe(self) -> None:
        if not self._observed:
            self._observed = True
            self.began_at = self._services.clock()
            self.began = perf_counter()
            self._observer.started(self)

    # Silence

    def _look(self) -> None:
        """Send a sign of life where nothing was sent for so many looks: no silence is longer than `keepalive`."""
        self._quiet += 1
        if self._quiet >= LOOKS and self.stream.terminal is None:
            waits = self._source is None
            self.stream.keepalive(self.plan.route.position(self.plan.response.id) if waits else 0)
            with contextlib.suppress(Gone):  # the task is told by other ways
                self._send()
