"""The one async loop: drives a ResponseStream against a Route and a Store, into a Sink.

Foreground and background, streamed and not, HTTP and WebSocket differ in their Sink only. What is not streamed is a fold
of the stream: the terminal event's `response`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from antiphon.backends.base import TurnStream
from antiphon.core.context import item_id, split_array
from antiphon.core.stream import Action, ResponseStream
from antiphon.errors import APIError
from antiphon.intake import Plan
from antiphon.services import Services
from antiphon.stores.base import StoredItem, StoredResponse
from antiphon.types.events import Event

log = logging.getLogger("antiphon.engine")

_OUTPUT = b'"output":'


class Sink(Protocol):
    """Takes Events as they come up."""

    def send(self, events: Sequence[Event]) -> None:
        """Take Events, in order, without waiting."""
        ...

    async def drain(self) -> None:
        """Return once there is room for more."""
        ...


class Run:
    """One Response in the making.

    `open` starts the first model call and raises what the backend refused, while an HTTP status can still tell it.
    `run` does the rest and never raises for a failed response: that is an ending like others. Cancelling either lets the
    backend go at once.
    """

    def __init__(self, plan: Plan, services: Services) -> None:
        self.plan = plan
        self.stream = ResponseStream(plan.response, plan.id_base, plan.options)
        self.body = b""
        self.error: APIError | None = None
        self._services = services
        self._fence = 0
        self._boundary: Callable[[bytes], Awaitable[None]] | None = None
        self._source: TurnStream | None = None
        self._opening: asyncio.Task[TurnStream] | None = None
        self._sink: Sink | None = None
        self._silent = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._stop: APIError | None = None
        self._cancel = False
        self._steered = False

    def hold(self, fence: int, boundary: Callable[[bytes], Awaitable[None]]) -> None:
        """Run under a lease: writes carry its fence, `boundary` commits a checkpoint between two Turns."""
        self._fence = fence
        self._boundary = boundary

    async def open(self, wait: float | None = None) -> bool:
        """Start the first model call and wait until the backend accepts it, `wait` seconds at most.

        Returns False if it has not yet answered; `run` goes on waiting. Raises APIError.
        """
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
        self._sink = sink
        self._task = asyncio.current_task()
        self._watch()
        try:
            self.stream.start()
            self._send()
            await self._turns()
        except APIError as error:
            self._fail(error)
        except asyncio.CancelledError:
            self.abort()
            if self._task is None or not self._stopped():
                raise
            self._task.uncancel()
        except Exception:
            log.exception("response %s failed", self.plan.response.id)
            self._fail(APIError(500, "The server had an error while it made the response.", code="server_error"))
        finally:
            self._unwatch()
            self.abort()
        await self._end()

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
        """Let the backend go. Idempotent."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._source is not None:
            self._source.abort()

    # Turns

    async def _turns(self) -> None:
        while self.stream.action is Action.CALL_MODEL:
            source = await self._turn_stream()
            feed = self.stream.feed
            while deltas := await source.read():
                for delta in deltas:
                    feed(delta)
                await self._forward()
            self._source = None
            self.stream.end_turn()
        self.body = self.stream.finish(int(self._services.clock()))
        self._send()

    async def _turn_stream(self) -> TurnStream:
        if self._source is None:
            if self._opening is not None:
                opening, self._opening = self._opening, None
                try:
                    self._source = await opening
                except asyncio.CancelledError:
                    opening.cancel()
                    raise
            else:
                self._source = await self.plan.route.open(self.plan.turn)
        return self._source

    async def _forward(self) -> None:
        self._send()
        assert self._sink is not None
        await self._sink.drain()

    def _send(self) -> None:
        events = self.stream.take()
        if events and self._sink is not None:
            self._silent = False
            self._sink.send(events)

    # Endings

    def _fail(self, error: APIError) -> None:
        self.error = error
        self.body = self.stream.fail(error, int(self._services.clock()))
        self._send()

    async def _end(self) -> None:
        """Commit, then send the terminal event: an immediate `previous_response_id` finds the response."""
        if self.plan.stored:
            try:
                await self._commit()
            except Exception:
                log.exception("response %s could not be stored", self.plan.response.id)
                self._fail(APIError(500, "The response could not be stored.", code="server_error"))
        assert self.stream.terminal is not None
        assert self._sink is not None
        self._sink.send([self.stream.terminal])
        await self._sink.drain()

    async def _commit(self) -> None:
        joined: list[StoredItem] = []
        response = stored_response(self.plan, self.body, self.stream.output, self._services.config.store_days)
        if self.plan.conversation_id is not None:
            arrays = (response.input, response.output)
            joined = [_item(raw) for array in arrays for raw in split_array(array)]
        await self._services.store.put(response, conversation_items=joined, fence=self._fence)

    # Silence

    def _watch(self) -> None:
        self._silent = True
        self._timer = asyncio.get_running_loop().call_later(self._services.config.keepalive, self._tick)

    def _tick(self) -> None:
        """Send a sign of life if nothing else was sent since the last look."""
        if self._silent and self.stream.terminal is None:
            self.stream.keepalive()
            self._send()
        self._watch()

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def stored_response(plan: Plan, body: bytes, output: Sequence[bytes], days: float) -> StoredResponse:
    """Return what the store keeps of a response: its body as sent, and its own input."""
    response = plan.response
    own = plan.own_input()
    return StoredResponse(
        id=response.id,
        owner=plan.owner,
        model=response.model,
        status=response.status,
        created_at=response.created_at,
        body=body,
        output_span=output_span(body, output),
        input=own.array,
        previous_response_id=response.previous_response_id,
        conversation_id=plan.conversation_id,
        expires_at=response.created_at + int(days * 86400) if days else None,
        background=response.background,
        foreign_ids=own.foreign_ids,
    )


def output_span(body: bytes, output: Sequence[bytes]) -> tuple[int, int]:
    """Tell where the output array stands in a Response's JSON.

    The first such key is it: before it stand only scalars and strings, whose quotes are escaped.
    """
    start = body.index(_OUTPUT) + len(_OUTPUT)
    return start, start + sum(map(len, output)) + max(len(output) - 1, 0) + 2


def _item(raw: bytes) -> StoredItem:
    return StoredItem(item_id(raw), bytes(raw))
