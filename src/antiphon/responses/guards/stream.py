"""GuardedRoute: a Route whose answers pass through the guards of a response before anything else sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from antiphon.backends.base import Route, RoutedStream, RouteProxy, Take
from antiphon.core.deltas import Delta
from antiphon.core.guards.base import refusing
from antiphon.core.guards.delta_texts import used
from antiphon.core.guards.pattern_hold import PatternHold
from antiphon.core.guards.window_hold import HeldPart, WindowHold
from antiphon.core.turn import Turn
from antiphon.errors import APIError
from antiphon.responses.guards.response_guard import ResponseGuard

MOST_PARTS = 64
"""Parts of an answer that one look is given."""


class GuardedRoute(RouteProxy):
    """The Route of one response with guards."""

    def __init__(self, route: Route, guard: ResponseGuard) -> None:
        super().__init__(route)
        self._guard = guard
        self._patterns = guard.pattern_hold()
        self._windows = guard.window_hold()

    async def open(self, turn: Turn) -> RoutedStream:
        """Start a Turn; behind something that was blocked the model is not called any more. Raises BackendError."""
        if self._guard.blocked:
            return RefusedStream(self._guard)
        source = await self._route.open(turn)
        if self._patterns is not None:
            self._patterns.begin()
        if self._windows is None and self._patterns is None:
            self._guard.tell()
            return source
        if self._windows is None:
            assert self._patterns is not None
            return PatternedStream(source, self._guard, self._patterns)
        self._windows.begin()
        return JudgedStream(source, self._guard, self._windows, self._patterns)


class RefusedStream:
    """The refusal, instead of a model call."""

    backend_id = ""
    ignored: Sequence[str] = ()

    def __init__(self, guard: ResponseGuard) -> None:
        self._guard = guard

    async def pour(self, take: Take) -> bool:
        """Give the refusal."""
        self._guard.tell()
        take(refusing(self._guard.refusal))
        return True

    def abort(self) -> None:
        """Do nothing: nobody was called."""


class PatternedStream:
    """A model call whose answer ends before the first match; the Deltas of one read are looked at where they arrive."""

    def __init__(self, source: RoutedStream, guard: ResponseGuard, patterns: PatternHold) -> None:
        self.backend_id = source.backend_id
        self._source = source
        self._guard = guard
        self._patterns = patterns
        self._over = False
        self.abort = source.abort

    @property
    def ignored(self) -> Sequence[str]:
        return self._source.ignored

    async def pour(self, take: Take) -> bool:
        """Give the Deltas that pass."""

        def hear(deltas: Sequence[Delta]) -> bool:
            return self._give(self._patterns.take(deltas), take)

        if self._over:
            return True
        try:
            if not await self._source.pour(hear):
                if self._over:
                    self._source.abort()  # not where its Deltas arrive: that is inside of its own work
                return self._over
        except APIError:
            self._give(self._patterns.end(), take)
            if self._over:
                return True
            raise
        if not self._over:
            self._give(self._patterns.end(), take)
        self._over = True
        self._guard.tell()
        return True

    def _give(self, deltas: list[Delta], take: Take) -> bool:
        if self._patterns.blocked and not self._over:
            self._over = True
            self._guard.note_hits(self._patterns.hits)
            self._guard.tell()
            deltas += refusing(self._guard.refusal)
        elif len(self._patterns.hits):
            self._guard.note_hits(self._patterns.hits)
        wanted = take(deltas) if deltas else True
        return wanted and not self._over


class JudgedStream:
    """A model call whose answer waits, window by window, for guards that take time."""

    def __init__(
        self, source: RoutedStream, guard: ResponseGuard, windows: WindowHold, patterns: PatternHold | None
    ) -> None:
        self.backend_id = source.backend_id
        self._source = source
        self._guard = guard
        self._windows = windows
        self._patterns = patterns
        self._pouring: asyncio.Task[bool] | None = None
        self._error: APIError | None = None
        self._heard = self._over = self._rang = False
        self._alarm: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ignored(self) -> Sequence[str]:
        return self._source.ignored

    def abort(self) -> None:
        """Let go of the call at once."""
        self._set_timer(wanted=False)
        if self._pouring is not None:
            if not self._pouring.cancel() and not self._pouring.cancelled():
                self._pouring.exception()  # nobody else asks for it any more
            self._pouring = None
        self._source.abort()

    async def pour(self, take: Take) -> bool:
        """Give the Deltas that pass."""
        while not self._over:
            if self._windows.parts:
                wanted = await self._pass_on(take)
            elif not self._heard:
                await self._hear_more()
                continue
            else:
                wanted = self._end(take)
            if not wanted:
                return self._over
        return True

    async def _hear_more(self) -> None:
        """Listen until something is to be looked at, or text has waited long enough."""
        if self._pouring is None:
            self._pouring = asyncio.ensure_future(self._source.pour(self._hear))
        if not self._rang:
            self._alarm = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._pouring, self._alarm), return_when=asyncio.FIRST_COMPLETED)
            self._alarm = None
        if self._rang:
            self._rang = False
            self._windows.flush()
        if not self._pouring.done():
            return
        pouring, self._pouring = self._pouring, None
        try:
            self._heard = pouring.result()
        except APIError as error:
            self._heard, self._error = True, error
        if self._patterns is not None:
            if self._heard and not self._patterns.blocked:
                self._windows.take(self._patterns.end())
            self._guard.note_hits(self._patterns.hits)
            self._heard = self._heard or self._patterns.blocked
        if self._heard:
            self._set_timer(wanted=False)
            self._windows.end()

    def _hear(self, deltas: Sequence[Delta]) -> bool:
        self._windows.take(self._patterns.take(deltas) if self._patterns is not None else deltas)
        if self._windows.parts:  # the time of what is held now begins with the next piece
            self._set_timer(wanted=False)
        self._set_timer(wanted=self._windows.holds)
        return not self._windows.parts and not (self._patterns is not None and self._patterns.blocked)

    def _set_timer(self, *, wanted: bool) -> None:
        """Let text that is held ring after its time, or not."""
        if wanted and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._guard.delay, self._ring)
        elif not wanted and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer, self._rang = None, True
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    async def _pass_on(self, take: Take) -> bool:
        """Look at the parts that wait; give those that pass."""
        some: list[HeldPart] = []
        while self._windows.parts and len(some) < MOST_PARTS:
            some.append(self._windows.parts.popleft())
        texts = [text for part in some for text in part.texts]
        passed = await self._guard.passes(texts) if texts else 0
        given: list[Delta] = []
        for place, part in enumerate(some):
            passed -= len(part.texts)
            if passed < 0:
                left = [delta for other in (*some[place:], *self._windows.parts) for delta in other.deltas]
                self._windows.parts.clear()
                return self._refuse([*given, *used(left)], take)
            given += part.deltas
        return take(given) if given else True

    def _end(self, take: Take) -> bool:
        if self._patterns is not None and self._patterns.blocked:
            return self._refuse([], take)
        self._over = True
        self._guard.tell()
        if self._error is not None:
            raise self._error
        return True

    def _refuse(self, given: list[Delta], take: Take) -> bool:
        self._over = True
        self._guard.tell()
        self.abort()
        return take([*given, *refusing(self._guard.refusal)])
