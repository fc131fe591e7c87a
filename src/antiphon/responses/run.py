"""Run: the life of one response: opened, made by its loop of Turns, committed, ended, observed.

Foreground and background, streamed and not, HTTP and WebSocket differ in their Sink only. What is not streamed is a fold
of the stream: the terminal event's `response`. The loop itself is `turns.Turns`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter

from antiphon.access.limits import FREE, Permit
from antiphon.core.json_encoding import to_json
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.core.stream.writer_table import OPENAI, Dialect
from antiphon.errors import APIError, Gone, spelled
from antiphon.responses.caching.cache_diagnostics import CacheOutcome, compared, outcome, succeed
from antiphon.responses.log.entries import Timing
from antiphon.responses.plan import Plan
from antiphon.responses.services import Services
from antiphon.responses.sink import Outlet, Sink
from antiphon.responses.stored_response import NO_IDS, commit
from antiphon.responses.turns import Boundary, Turns
from antiphon.runtime.unexpected_errors import unexpected
from antiphon.stores.base import FenceError

log = logging.getLogger("antiphon.responses")

LOOKS = 4  # at a stream's silence, per keepalive


class Run:
    """One Response while it is made.

    `mute`: it makes no Events but the terminal one, because only its `body` is used. `dialect`: its front end's events.
    `open` starts the first model call and raises what the backend refused, while an HTTP status can still tell it.
    `run` does the rest and never raises for a failed response: that is an ending like others. Cancelling either lets the
    backend go at once.
    """

    def __init__(
        self,
        plan: Plan,
        services: Services,
        mute: bool = False,
        permit: Permit = FREE,
        dialect: Dialect = OPENAI,
    ) -> None:
        self.plan = plan
        emitter = dialect.mute() if mute else dialect.emitter()
        self.stream = ResponseStream(plan.response, plan.id_base, plan.options, emitter, dialect.writers)
        self.body = b""
        self.error: APIError | None = None
        self.began_at = self.began = 0.0
        self.cache: CacheOutcome | None = None
        self._is_openai = dialect is OPENAI
        self._services = services
        self._permit = permit
        self._outlet = Outlet(self.stream)
        self._turns = Turns(plan, services, self.stream, self._outlet, dialect.links)
        self._fence = 0
        self._quiet = self._seen = 0
        self._task: asyncio.Task[object] | None = None
        self._stop: APIError | None = None
        self._cancel = self._observed = self._ended = False

    def hold(self, fence: int, boundary: Boundary) -> None:
        """Run under a lease: writes carry its fence, `boundary` commits what was sent, and a checkpoint between two Turns."""
        self._fence = fence
        self._turns.boundary = boundary

    async def open(self, wait: float | None = None) -> bool:
        """Start the first model call and wait until the backend accepts it, `wait` seconds at most.

        Returns False if it has not yet answered; `run` goes on waiting. Raises APIError.
        """
        self._observe()
        try:
            return await self._turns.open(wait)
        except APIError as error:
            self.error = spelled(error, self.plan.spell)
            raise self.error from None

    async def run(self, sink: Sink) -> None:
        """Make the response, sending its Events; the last one is sent after the commit. `body` is then the Response's JSON."""
        self._observe()
        self._outlet.sink = sink
        self._task = asyncio.current_task()
        # Nobody hears that a mute one is being made.
        look = None if self.stream.emitter.mute else self._look
        if look is not None:
            self._services.pulse.join(look, self._services.config.keepalive / LOOKS)
        try:
            self.stream.start()
            self._outlet.send()
            await self._turns.make()
            await self._compare()
            self.body = self.stream.finish(int(self._services.clock()))
            if self.plan.stored:
                self._outlet.send()  # the commit takes a moment; else these go out with the terminal event
        except APIError as error:
            self._fail(error)
        except (Gone, FenceError):
            raise
        except asyncio.CancelledError:
            self._turns.release()
            if self._task is None or not self._stopped():
                raise
            self._task.uncancel()
        except Exception:
            unexpected("response", log, "response %s: run failed", self.plan.response.id)
            self._fail(APIError(500, "The server had an error while generating the response.", code="server_error"))
        finally:
            if look is not None:
                self._services.pulse.leave(look)
            self._turns.release()
            if self._turns.tools is not None:
                await self._turns.tools.close()
        await self._end()
        self._task = None  # else the two would wait for the garbage collector

    async def warm_up(self, sink: Sink) -> None:
        """Make the response without calling the model: its input is there for those that follow it."""
        self._outlet.sink = sink
        self.stream.start()
        await self._compare()
        self.body = self.stream.finish(int(self._services.clock()))
        self._outlet.send()
        await self._end()

    # From outside

    def steer(self) -> None:
        """End the response at its next safe boundary: between two model calls."""
        self._turns.steered = True

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
            self._outlet.send()
        elif self._stop is not None:
            self._fail(self._stop)
        return self._cancel or self._stop is not None

    def abort(self) -> None:
        """Abort the backend call. Idempotent."""
        self._turns.release()
        self._account()
        self._task = None  # its context leads back here, and nobody is to wait for the garbage collector
        self._outlet.sink = None
        if self.error is not None:
            self.error.__traceback__ = None
        if self._observed:
            self._observed = False
            self._services.observer.ended(self)
            if self.plan.stored and not self._ended and not self.plan.request.background:
                self._keep_the_rest()

    def _keep_the_rest(self) -> None:
        """Keep what there is of a response that the backend refused, or that its client left, without waiting for it."""
        stream, plan, now = self.stream, self.plan, int(self._services.clock())
        self._ended = True
        if stream.terminal is None:
            body = stream.cancel(now) if self.error is None else stream.fail(self.error, now)
            if not self._is_openai:
                body = to_json(stream.response)
            store = partial(
                commit, self._services, plan, body, stream.output, 0, stream.model_texts, NO_IDS, self._timing()
            )
            self._services.leftovers.keep(partial(store, joins=False))

    # Endings

    def _fail(self, error: APIError) -> None:
        self.error = error = spelled(error, self.plan.spell)
        self.body = self.stream.fail(error, int(self._services.clock()))
        self._outlet.send()

    async def _compare(self) -> None:
        """Tell why a prompt cache was not used, where the request asks for it."""
        options = self.plan.request.prompt_cache_options
        if options is not None and options.comparison_response_id is not None:
            self.plan.response.prompt_cache_diagnostics = await compared(self._services, self.plan)

    async def _end(self) -> None:
        """Commit, then send the terminal event: an immediate `previous_response_id` finds the response."""
        self._account()  # before anybody can know that it has ended, and ask for more
        plan, stream = self.plan, self.stream
        thoughts: Mapping[str, int] = NO_IDS
        if stream.calls_client or stream.relayed:
            thoughts = self._services.recall.keep(
                plan.owner, plan.turn.items, stream.output, stream.model_texts, plan.response.id, plan.turn.model
            )
        self._ended = True
        if plan.stored:
            try:
                body = self.body if self._is_openai else to_json(stream.response)
                output, texts = stream.output, stream.model_texts
                await commit(self._services, plan, body, output, self._fence, texts, thoughts, self._timing())
            except FenceError:
                raise
            except APIError as error:  # the store is away, which its own log line tells
                self._fail(error)
            except Exception:
                unexpected("response", log, "response %s: storing it failed", self.plan.response.id)
                self._fail(APIError(500, "The response could not be stored.", code="server_error"))
        assert stream.terminal is not None and self._outlet.sink is not None
        usage = self._turns.first_usage
        before = succeed(self._services, plan, usage, self._turns.backend_id)
        # Nobody waits until these are read: what they were made from is let go of before.
        self._outlet.sink.send([*stream.emitter.take(), stream.terminal])
        if before is not None and usage is not None:
            self.cache = await outcome(self._services, plan, before, usage, self.backend_id)

    def _account(self) -> None:
        """Settle the permit, or hand it over if another server continues the background response."""
        if self._permit is FREE:
            return
        if self._turns.boundary is not None and self.stream.terminal is None:
            self._permit.hand_over()
        else:
            seen = max(self.events_made, 1) if self.stream.output_begun else 0
            self._permit.settle(self.plan.response.usage, seen)

    # Onlookers

    def _timing(self) -> Timing:
        """Return how long it took, and when its first token came."""
        return Timing(perf_counter() - self.began, self.spoke - self.began if self.spoke else None)

    @property
    def backend_id(self) -> str:
        """Id of the backend that was called last (`core.turn.Hints`), "" if there is only one."""
        return self._turns.backend_id

    @property
    def ignored(self) -> Sequence[str]:
        """Names of what the request asks for and does not get, as far as that is known: wishes, and types of tools."""
        told, planned = self._turns.ignored(), self.plan.ignored
        return [*planned, *[name for name in told if name not in planned]] if told else planned

    @property
    def spoke(self) -> float:
        """Time of the first Delta (`monotonic`); 0 before it."""
        return self._turns.spoke

    @property
    def events_made(self) -> int:
        """Number of Events so far."""
        return self.stream.emitter.sequence_number

    def _observe(self) -> None:
        if not self._observed:
            self._observed = True
            self.began_at = self._services.clock()
            self.began = perf_counter()
            self._services.observer.started(self)

    # Silence

    def _look(self) -> None:
        """Emit `keepalive` after so many checks without an Event: no silence is longer than the setting `keepalive`."""
        number = self.events_made
        self._quiet = self._quiet + 1 if number == self._seen else 1
        self._seen = number
        if self._quiet >= LOOKS and self.stream.terminal is None:
            self.stream.keepalive(self.plan.route.position(self.plan.response.id) if self._turns.waiting else 0)
            self._quiet, self._seen = 0, self.events_made
            with contextlib.suppress(Gone):  # the task is told by other ways
                self._outlet.send()
