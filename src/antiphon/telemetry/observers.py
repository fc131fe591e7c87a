"""Observers: notified of each Response by two calls, never per token.

An observer keeps no reference to a run behind `ended`, takes microseconds, and raises nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeAlias

from antiphon.core.turn import Turn
from antiphon.errors import APIError
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response, Usage

Spans: TypeAlias = Callable[[str, str, str], AbstractContextManager[Callable[[Usage], None]]]
"""Makes a span of a request that is no Response: operation, model, `traceparent` → the span's time, and who notes its tokens."""


@contextmanager
def no_spans(operation: str, model: str, traceparent: str) -> Iterator[Callable[[Usage], None]]:
    """Make no span (`Spans`)."""
    yield lambda usage: None


class ObservedPlan(Protocol):
    """What was asked for (`plan.Plan`). The `response` fills up as it is made: its `status`, and `usage` at the end."""

    @property
    def request(self) -> CreateResponse: ...
    @property
    def owner(self) -> str: ...
    @property
    def response(self) -> Response: ...
    @property
    def turn(self) -> Turn: ...
    @property
    def stored(self) -> bool: ...


class ObservedCache(Protocol):
    """What the backend's prompt cache did for a conversation's next request (`cache_diagnostics.CacheOutcome`)."""

    @property
    def outcome(self) -> str: ...
    @property
    def missed(self) -> int: ...


class Observed(Protocol):
    """A Response in the making (`run.Run`)."""

    @property
    def plan(self) -> ObservedPlan: ...

    began_at: float
    """When it began (Unix time)."""

    began: float
    """The same by the steady clock (`time.perf_counter`)."""

    @property
    def spoke(self) -> float:
        """When the model first said something, by the steady clock; 0 while it has not."""
        ...

    @property
    def cache(self) -> ObservedCache | None:
        """What its backend's prompt cache did; None where there was nothing to compare with."""
        ...

    @property
    def error(self) -> APIError | None:
        """What it failed with, or what the backend refused it with."""
        ...

    @property
    def ignored(self) -> Sequence[str]:
        """Names of what it asks for and does not get, as far as that is known."""
        ...

    @property
    def events_made(self) -> int:
        """How many Events there are so far: about one per token of a streamed one, none of one that is not streamed."""
        ...


class Observer(Protocol):
    """Notified of the start and the end of each Response."""

    def started(self, run: Observed) -> None:
        """A Response begins: the first model call is about to be opened."""
        ...

    def ended(self, run: Observed) -> None:
        """It is over. A `status` of "in_progress" or "queued" means that its client or its server let go of it."""
        ...


class Observers:
    """Notifies several observers; without any, does nothing."""

    def __init__(self, *observers: Observer) -> None:
        self._started = [one.started for one in observers]
        self._ended = [one.ended for one in observers]

    def started(self, run: Observed) -> None:
        """Tell all."""
        for tell in self._started:
            tell(run)

    def ended(self, run: Observed) -> None:
        """Tell all."""
        for tell in self._ended:
            tell(run)
