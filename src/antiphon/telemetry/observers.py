"""Observers: functions that are called at the start and at the end of each Response, never per token.

An observer keeps no reference to a run behind its end, takes microseconds, and raises nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter
from typing import Protocol, TypeAlias

import msgspec

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


class Failure(msgspec.Struct, frozen=True):
    """Why a request failed. Its message is the client's: it may quote what the client sent."""

    status: int
    type: str
    code: str


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A running or ended response. Times in seconds after `started_at` (Unix).

    `cache` is what the backend's prompt cache did for a request that continues a conversation: `hit`, or why not.
    `stored`: it can be read by its id, once it has ended. `ignored` are names of what it asks for and does not get, as in
    `x-antiphon-ignored`.
    `events` are those made so far, about one per token of a streamed response; `status` "abandoned" means that the client left.
    """

    id: str
    model: str
    owner: str
    stream: bool
    background: bool
    started_at: float
    status: str = "in_progress"
    time_to_first_token: float | None = None
    duration: float
    events: int = 0
    stored: bool = True
    usage: Usage | None = None
    error: Failure | None = None
    cache: str | None = None
    ignored: Sequence[str] = ()


UNENDED = frozenset(("in_progress", "queued"))
"""Statuses of an ended Response of which its client or its server let go, or which its backend refused."""

MOST_IGNORED = 16
"""Names of what a request asks for and does not get: proxies refuse answers with long heads."""
LONGEST_IGNORED = 64
"""Characters of a name."""


def shown_ignored(names: Sequence[str]) -> Sequence[str]:
    """Return the names that are told of those of what a request asks for and does not get."""
    return [name[:LONGEST_IGNORED] for name in names[:MOST_IGNORED]]


def failure_of(error: APIError) -> Failure:
    """Return what is told of an error."""
    return Failure(error.status, error.type, error.code)


def record_of(run: Observed) -> RequestRecord:
    """Return what there is to tell of a Response, as it is now."""
    plan, spoke, error, cache, ignored = run.plan, run.spoke, run.error, run.cache, run.ignored
    response = plan.response
    return RequestRecord(
        id=response.id,
        model=response.model,
        owner=plan.owner,
        stream=plan.request.stream is True,
        background=response.background,
        started_at=run.began_at,
        status=response.status,
        time_to_first_token=spoke - run.began if spoke else None,
        duration=perf_counter() - run.began,
        events=run.events_made,
        stored=plan.stored,
        usage=response.usage,
        error=failure_of(error) if error is not None else None,
        cache=cache.outcome if cache is not None else None,
        ignored=shown_ignored(ignored) if ignored else (),
    )


Start = Callable[[Observed], None]
"""A Response begins: the first model call is about to be opened."""

End = Callable[[Observed, RequestRecord], None]
"""It is over: what there is to tell of it is put together once, for all observers. Its status may be one of UNENDED."""


class Observers:
    """Notifies several observers; without any, does nothing."""

    def __init__(self, starts: Sequence[Start] = (), ends: Sequence[End] = ()) -> None:
        self._starts = starts
        self._ends = ends

    def started(self, run: Observed) -> None:
        """Tell all of a start."""
        for tell in self._starts:
            tell(run)

    def ended(self, run: Observed) -> None:
        """Tell all of an end."""
        if self._ends:
            record = record_of(run)
            for tell in self._ends:
                tell(run, record)
