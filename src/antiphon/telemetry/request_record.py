"""Record of an HTTP request, for metrics and the access log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from time import perf_counter, time
from typing import TypeAlias

import msgspec

from antiphon.access.caller import Caller
from antiphon.telemetry.observers import Observed
from antiphon.types.response import Usage

CLIENT_GONE = 499
"""The status of a request whose client left before the answer, as nginx writes it."""

UPGRADED = 101


class Record(msgspec.Struct, eq=False):
    """One request. `client` is an address, "" where it has none. `route` is its path's template, "" where there is none; `run` is
    the Response that it makes, if any, until `end`.
    """

    method: str
    raw_path: bytes
    request_id: str
    client: str = ""
    route: str = ""
    run: Observed | None = None
    status: int = 200
    model: str = ""
    """The model that was called, "" where none was; of a Response only once that has ended, as `usage` and `error`."""
    caller: Caller | None = None
    """Who asked, once that is known."""
    usage: Usage | None = None
    """Tokens that were used, where they are known."""
    units: int = 0
    """Pictures, characters or seconds of a request that makes no Response."""
    error: str = ""
    """Code of what the Response failed with, also behind a 200."""
    made_response: bool = False
    ended_at: float = 0.0
    """When it was answered (Unix time)."""
    seconds: float = 0.0
    """From its beginning to its end."""
    _started: float = msgspec.field(default_factory=perf_counter)

    def end(self) -> None:
        """Note what came of the request, and let go of the Response."""
        self.ended_at, self.seconds = time(), perf_counter() - self._started
        run, self.run = self.run, None
        if run is not None:
            response, error = run.plan.response, run.error
            self.model, self.usage, self.made_response = response.model, response.usage, True
            if error is not None:
                self.error = error.code or error.type


Watcher: TypeAlias = Callable[[Record], None]
"""Is called with each request that has ended. Takes microseconds and raises nothing."""


current: ContextVar[Record | None] = ContextVar("antiphon_record", default=None)
"""The request that is being answered, in the tasks that answer it."""


def makes_response(run: Observed) -> None:
    """Note a Response that begins on the record of the request that makes it (`observers.Start`)."""
    record = current.get()
    if record is not None:
        record.run = run


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
        record.model = model


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
    """Return what ends a record and tells all watchers."""

    def answered(record: Record) -> None:
        record.end()
        for tell in watchers:
            tell(record)

    return answered
