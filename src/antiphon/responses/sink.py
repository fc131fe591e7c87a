"""Sink: receives the Events of a Response; Outlet: passes them from the ResponseStream to the Sink."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from antiphon.core.stream.emitter import Emitter
from antiphon.core.stream.response_stream import ResponseStream
from antiphon.responses.fast_path import EventPath
from antiphon.types.events import Event


class Sink(Protocol):
    """Receives Events."""

    def send(self, events: Sequence[Event]) -> bool:
        """Take Events, in order, without waiting. Returns False where `drain` should come before more of them."""
        ...

    async def drain(self) -> None:
        """Return once there is room for more."""
        ...


class NullSink:
    """Drops Events: for answers that are not streamed."""

    def send(self, events: Sequence[Event]) -> bool:
        """Drop them."""
        return True

    async def drain(self) -> None:
        """Never wait."""


NULL = NullSink()


class Outlet(msgspec.Struct, eq=False):
    """Passes a ResponseStream's Events to the `sink`, once it is set."""

    _stream: ResponseStream
    sink: Sink | None = None

    def send(self) -> bool:
        """Send what has come up; False where `drain` should come before more."""
        events = self._stream.emitter.take()
        if not events or self.sink is None:
            return True
        return self.sink.send(events)

    def fast_path(self) -> EventPath | None:
        """Return the way past Deltas and Events, where the sink sends plain frames and the Emitter has nothing to add."""
        frames = getattr(self.sink, "frames", None)
        emitter = self._stream.emitter
        return EventPath(self._stream, frames) if frames and (type(emitter) is Emitter or emitter.framed) else None

    async def drain(self) -> None:
        """Wait until the sink has room."""
        if self.sink is not None:
            await self.sink.drain()
