"""The one owner of `sequence_number`: numbers, encodes and collects Events."""

from __future__ import annotations

import msgspec

from antiphon.core.json_encoding import to_json
from antiphon.types.events import Event, Numbered
from antiphon.types.response import Response

_encoder = msgspec.json.Encoder()


class Emitter:
    """Collects Events until somebody takes them."""

    __slots__ = ("_pending", "sequence_number")
    mute = False
    """Whether nobody wants the events: then they need not be made, only counted (`skip`)."""

    def __init__(self, first: int = 0) -> None:
        self.sequence_number = first
        self._pending: list[Event] = []

    def take(self) -> list[Event]:
        """Return the Events emitted since the last call, in order."""
        pending = self._pending
        self._pending = []
        return pending

    def put_back(self, events: list[Event]) -> None:
        """Put Events that were taken in front of those that came since."""
        self._pending = events + self._pending

    def skip(self, count: int = 1) -> None:
        """Count events that are not made."""
        self.sequence_number += count

    def delta(self, type: str, head: bytes, text: str) -> None:
        """Emit a delta event. `head` is its JSON up to the text; only the text is encoded (0.5 µs against 1.5 as a struct)."""
        number = self.sequence_number
        self.sequence_number = number + 1
        try:
            encoded = _encoder.encode(text)
        except UnicodeEncodeError:
            encoded = to_json(text)
        self._pending.append(Event(type, b'%b%b,"sequence_number":%d}' % (head, encoded, number)))

    def emit(self, event: Numbered) -> None:
        """Emit an event that is a struct."""
        event.sequence_number = self.sequence_number
        self.sequence_number += 1
        tag = event.__struct_config__.tag
        assert isinstance(tag, str)
        self._pending.append(Event(tag, to_json(event)))

    def responses(self, response: Response, *types: str) -> None:
        """Emit events that carry the response as it is now; it is encoded once."""
        fields = b'"response":' + to_json(response)
        for type in types:
            self.raw(type, fields)

    def raw(self, type: str, fields: bytes) -> None:
        """Emit an event of ready-made fields: `"name":value,…` without braces."""
        number = self.sequence_number
        self.sequence_number = number + 1
        body = b'{"type":%b,%b,"sequence_number":%d}' % (to_json(type), fields, number)
        self._pending.append(Event(type, body))


class MuteEmitter(Emitter):
    """Counts events that nobody wants: what is not streamed is read off the response (10 % of such a request's CPU)."""

    __slots__ = ()
    mute = True

    def delta(self, type: str, head: bytes, text: str) -> None:
        """Count one."""
        self.sequence_number += 1

    def emit(self, event: Numbered) -> None:
        """Count one."""
        self.sequence_number += 1

    def responses(self, response: Response, *types: str) -> None:
        """Count them."""
        self.sequence_number += len(types)

    def raw(self, type: str, fields: bytes) -> None:
        """Count one."""
        self.sequence_number += 1
