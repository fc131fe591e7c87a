"""What the backend said, beside the events that were made of it: SSE comments, for whoever asks for them with a header.

A traced response goes through a Route and a Sink of its own; others pay nothing for it. Every client skips comments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from antiphon.backends.base import Route, RoutedStream, RouteProxy, Take
from antiphon.core.deltas import Delta
from antiphon.core.json_encoding import to_json
from antiphon.core.text import sse
from antiphon.core.turn import Turn
from antiphon.responses.plan import Plan
from antiphon.server.http.messages import ByteSink, Request
from antiphon.types.events import Event

HEADER = b"x-antiphon-trace"
WANTED = b"deltas"


class Trace:
    """A Plan whose backend is listened to; `sink` sends what was heard before the events that came of it."""

    def __init__(self, plan: Plan) -> None:
        self.heard: list[Delta] = []
        self.plan = replace(plan, route=_TracedRoute(plan.route, self.heard))

    def sink(self, sink: ByteSink) -> TracingSink:
        """Return the Sink for a connection."""
        return TracingSink(sink, self.heard)


def trace(request: Request, plan: Plan) -> Trace | None:
    """Return a Trace where the request asks for one."""
    return Trace(plan) if request.header(HEADER) == WANTED else None


class TracingSink:
    """Sends Events as server-sent events, before them what the backend said as comments: `: backend [{"type": …}, …]`."""

    def __init__(self, sink: ByteSink, heard: list[Delta]) -> None:
        self._sink = sink
        self._heard = heard
        self.drain = sink.drain

    def send(self, events: Sequence[Event]) -> bool:
        """Frame what was heard and the events."""
        comment = b": backend %b\n\n" % to_json([_shown(delta) for delta in self._heard]) if self._heard else b""
        self._heard.clear()
        return self._sink.write_nowait(comment + sse.encode(events))


class _TracedRoute(RouteProxy):
    """A Route whose calls are listened to."""

    def __init__(self, route: Route, heard: list[Delta]) -> None:
        super().__init__(route)
        self._heard = heard

    async def open(self, turn: Turn) -> RoutedStream:
        return _TracedStream(await self._route.open(turn), self._heard)


class _TracedStream:
    """A model call that is listened to."""

    def __init__(self, source: RoutedStream, heard: list[Delta]) -> None:
        self.backend_id = source.backend_id
        self._source = source
        self._heard = heard
        self.abort = source.abort

    async def pour(self, take: Take) -> bool:
        def hear(deltas: Sequence[Delta]) -> bool:
            self._heard.extend(deltas)
            return take(deltas)

        return await self._source.pour(hear)


def _shown(delta: Delta) -> dict[str, Any]:
    """Return a Delta as JSON can have it, without what is empty."""
    fields = msgspec.structs.asdict(delta)
    logprobs = fields.pop("logprobs", b"")
    shown = {name: value for name, value in fields.items() if value not in ("", None)}
    if logprobs:
        shown["logprobs"] = Raw(b"[%b]" % logprobs)
    return {"said": type(delta).__name__, **shown}
