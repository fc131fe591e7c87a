"""Record of a finished HTTP request, for metrics and the access log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from time import perf_counter
from typing import Protocol

import msgspec

from antiphon.access.caller import Caller
from antiphon.errors import APIError
from antiphon.telemetry.observers import Observed
from antiphon.types.response import Usage

CLIENT_GONE = 499
"""The status of a request whose client left before the answer, as nginx writes it."""

UPGRADED = 101


class Record(msgspec.Struct, eq=False):
    """One request. `client` is an address, "" where it has none. `route` is its path's template, "" where there is none; `run` is
    the Response that it made, if any.
    """

    method: str
    raw_path: bytes
    request_id: str
    client: str = ""
    route: str = ""
    run: Observed | None = None
    status: int = 200
    _model: str = ""
    caller: Caller | None = None
    """Who asked, once that is known."""
    usage: Usage | None = None
    """Tokens of a request that makes no Response."""
    units: int = 0
    """Pictures, characters or seconds of such a request."""
    _started: float = msgspec.field(default_factory=perf_counter)

    @property
    def seconds(self) -> float:
        """The time since the request came."""
        return perf_counter() - self._started

    @property
    def model(self) -> str:
        """The model that was called, "" where none was."""
        return self.run.plan.response.model if self.run is not None else self._model

    def outcome(self) -> tuple[str, Usage | None, APIError | None]:
        """Return the model, the tokens of the Response where they are known, and what it failed with, also behind a 200."""
        run = self.run
        if run is None:
            return self._model, self.usage, None
        response = run.plan.response
        return response.model, response.usage, run.error

    def calls(self, model: str) -> None:
        """Note the model of a request that makes no Response."""
        self._model = model


class Watcher(Protocol):
    """Notified of each finished request. Takes microseconds and raises nothing."""

    def answered(self, record: Record) -> None:
        """Take note of a request; nothing of it may be kept."""
        ...


current: ContextVar[Record | None] = ContextVar("antiphon_record", default=None)
"""The request that is being answered, in the tasks that answer it."""


class RecordRuns:
    """Ties each Response to the request that makes it (an `observers.Observer`)."""

    def started(self, run: Observed) -> None:
        """Note the Response on the request's record."""
        record = current.get()
        if record is not None:
            record.run = run

    def ended(self, run: Observed) -> None:
        """Do nothing."""


def asking() -> Caller | None:
    """Return who asked for what is done here, where that is known."""
    record = current.get()
    return record.caller if record is not None else None


def answers_for(caller: Caller | None) -> None:
    """Note who asked for what is done from here on, outside of an HTTP request: on a WebSocket, in background; None: nobody."""
    before = current.get()
    if caller is None and before is not None:
        before.run = None  # tasks and timers that were begun meanwhile hold this record
    record = None if caller is None else Record("POST", b"", "")
    if record is not None:
        record.caller = caller
    current.set(record)


def calls_model(model: str) -> None:
    """Note the model that the request at hand calls without making a Response."""
    record = current.get()
    if record is not None:
        record.calls(model)


def uses_tokens(usage: Usage | None) -> None:
    """Note the tokens that the request at hand has used without making a Response."""
    record = current.get()
    if record is not None:
        record.usage = usage


def uses_units(count: int) -> None:
    """Note the pictures, characters or seconds that the request at hand was for."""
    record = current.get()
    if record is not None:
        record.units = count


def teller(watchers: Sequence[Watcher]) -> Callable[[Record], None]:
    """Return what tells all watchers."""
    tell = [watcher.answered for watcher in watchers]

    def answered(record: Record) -> None:
        for one in tell:
            one(record)

    return tell[0] if len(tell) == 1 else answered
