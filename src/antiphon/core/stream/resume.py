"""Restart: the state of a background response, read from its event log, so that another server can continue or end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.stream.fold import fold
from antiphon.core.tools.results import ModelText, ModelTexts
from antiphon.types.events import Event
from antiphon.types.response import Usage

IN_PROGRESS = "response.in_progress"
_LIFECYCLE = frozenset(("response.created", "response.queued", IN_PROGRESS, "keepalive"))
TERMINAL = frozenset(("response.completed", "response.incomplete", "response.failed", "response.cancelled"))


class ReplayedEvent(Protocol):
    """An event of the event log: its number and its JSON."""

    @property
    def sequence_number(self) -> int:
        """Its `sequence_number`."""
        ...

    @property
    def type(self) -> str:
        """Its type."""
        ...

    @property
    def body(self) -> bytes:
        """Its JSON."""
        ...


class Checkpoint(msgspec.Struct, frozen=True):
    """A tool boundary: all items are closed, the next model call has not begun. `model_texts`: what it will see beside them."""

    sequence_number: int
    output: list[Raw]
    usage: Usage | None = None
    model_texts: dict[str, ModelText] = {}


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """State from which another server continues.

    `sequence_number` is the next free one. `output` holds the closed items in order, None where one was left open.
    `open` holds those as far as they had come. `model_texts` are those of the last boundary.
    `begun` tells that tokens have streamed since the last boundary: the model call must not be made again.
    `standing` are the items that stood at the last boundary.
    """

    sequence_number: int
    announced: bool
    begun: bool
    ended: bool
    output: list[bytes | None]
    usage: Usage | None
    open: Mapping[int, bytes] = {}
    model_texts: ModelTexts = {}
    standing: Sequence[bytes] = ()

    def taken_back(self) -> Restart:
        """Return the state from which the model call is made again: at the last boundary, which has to be announced anew."""
        output: list[bytes | None] = [*self.standing]
        return msgspec.structs.replace(self, announced=False, begun=False, output=output, open={})


class _Announced(msgspec.Struct):
    output: list[Raw] = []


class _AnnouncedEvent(msgspec.Struct):
    """`response.in_progress`: a later one takes back what has streamed since the last tool boundary."""

    response: _Announced


class _ItemEvent(msgspec.Struct):
    output_index: int
    item: Raw


def restart(events: Sequence[ReplayedEvent], checkpoint: bytes | None) -> Restart:
    """Read the state off the log. `checkpoint` is a Checkpoint's JSON."""
    boundary = msgspec.json.decode(checkpoint, type=Checkpoint) if checkpoint else None
    since = boundary.sequence_number if boundary else 0
    output: list[bytes | None] = []
    for event in events:
        if event.type == IN_PROGRESS:
            since = max(since, event.sequence_number)
            output = [bytes(item) for item in msgspec.json.decode(event.body, type=_AnnouncedEvent).response.output]
        elif event.type in ("response.output_item.added", "response.output_item.done"):
            found = msgspec.json.decode(event.body, type=_ItemEvent)
            output.extend([None] * (found.output_index + 1 - len(output)))
            if event.type.endswith("done"):
                output[found.output_index] = bytes(found.item)
    return Restart(
        sequence_number=events[-1].sequence_number + 1 if events else 0,
        announced=any(event.type == IN_PROGRESS for event in events),
        begun=any(event.type not in _LIFECYCLE and event.sequence_number >= since for event in events),
        ended=bool(events) and events[-1].type in TERMINAL,
        output=output,
        usage=boundary.usage if boundary else None,
        model_texts=boundary.model_texts if boundary else {},
        open=_open_items(events, output),
        standing=[bytes(item) for item in boundary.output] if boundary else [],
    )


def _open_items(events: Sequence[ReplayedEvent], output: Sequence[bytes | None]) -> dict[int, bytes]:
    """Return the items that were left open, as far as they had come, with the status `incomplete`."""
    unclosed = [index for index, item in enumerate(output) if item is None]
    if not unclosed:
        return {}
    folded = fold([Event(event.type, event.body) for event in events]).output
    return {index: _incomplete(folded[index]) for index in unclosed if index < len(folded)}


def _incomplete(item: Raw) -> bytes:
    fields = msgspec.json.decode(item, type=dict[str, Raw])
    if "status" in fields:
        fields["status"] = Raw(b'"incomplete"')
    return to_json(fields)


def checkpoint(
    sequence_number: int, output: Sequence[bytes], usage: Usage | None, model_texts: ModelTexts | None = None
) -> bytes:
    """Return a Checkpoint as JSON."""
    return to_json(Checkpoint(sequence_number, [Raw(item) for item in output], usage, dict(model_texts or {})))
