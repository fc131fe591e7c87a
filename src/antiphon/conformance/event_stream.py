"""Server-sent events with their names, which the Responses and the Messages API want to be the events' types."""

from __future__ import annotations

import msgspec

from antiphon.conformance.base import NonConforming

MOST_EVENT = 1024 * 1024
"""Bytes of one event."""


class ReadEvent(msgspec.Struct, frozen=True):
    """An event as it came: its name, "" where it has none, and its data."""

    name: str
    data: bytes


class EventReader:
    """Cuts bytes into events; what is not yet complete waits."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[ReadEvent]:
        """Return the events that are complete now. Raises NonConforming for one that is too long."""
        *blocks, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._rest) > MOST_EVENT:
            raise NonConforming(f"an event of more than {MOST_EVENT} bytes")
        found = [_event(block) for block in blocks]
        return [event for event in found if event.data]


def _event(block: bytes) -> ReadEvent:
    name, data = "", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.strip()[:200].decode(errors="replace")
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    return ReadEvent(name, b"\n".join(data))
