"""fold: Events → Response, as a client assembles it. Pure; the reverse of ResponseStream.

The output is assembled from the items' events, not taken from the terminal event: the two must be equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import STREAMED
from antiphon.types.events import Event
from antiphon.types.raw import OptionalRaw
from antiphon.types.response import Response

Json = dict[str, Any]


class _Fields(msgspec.Struct, frozen=True):
    """The fields of an event that a fold looks at."""

    response: OptionalRaw = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    item: Json = {}
    part: Json = {}
    annotation: Json = {}
    delta: Any = None
    logprobs: list[Any] = []
    output: list[Any] = []


class _Target(NamedTuple):
    """Where a delta's text goes: a field of a part in the item's `list`, or of the item itself where that is ""."""

    list: str
    field: str


_TARGETS = {
    "response.output_text.delta": _Target("content", "text"),
    "response.refusal.delta": _Target("content", "refusal"),
    "response.reasoning_text.delta": _Target("content", "text"),
    "response.reasoning.delta": _Target("content", "text"),
    "response.reasoning_summary_text.delta": _Target("summary", "text"),
    "response.code_interpreter_call_code.delta": _Target("", "code"),
    **{f"response.{call}_{field}.delta": _Target("", field) for call, field in STREAMED.items()},
}

_fields = msgspec.json.Decoder(_Fields)
_response = msgspec.json.Decoder(Response)


def fold(events: Iterable[Event]) -> Response:
    """Fold a stream, whole or broken off, into its Response. Raises ValueError where there is no response in it."""
    folding = _Fold()
    for event in events:
        folding.apply(event)
    return folding.result()


class _Fold:
    """Items so far, and text deltas that have not been joined yet."""

    def __init__(self) -> None:
        self._response: Response | None = None
        self._items: dict[int, Json] = {}
        self._pieces: dict[tuple[int, _Target, int], list[str]] = {}

    def apply(self, event: Event) -> None:
        """Apply the next event; types without new information are ignored."""
        fields = _fields.decode(event.body)
        output_index = fields.output_index
        if fields.response is not None:
            self._response = _response.decode(fields.response)
            if event.type == "response.in_progress":  # a later one takes back what is not in its output
                self._items = {at: msgspec.json.decode(item) for at, item in enumerate(self._response.output)}
                self._pieces.clear()
        elif event.type in _TARGETS:
            self._add(_TARGETS[event.type], fields)
        elif event.type == "response.output_text.annotation.added":
            self._items[output_index]["content"][fields.content_index]["annotations"].append(fields.annotation)
        elif event.type == "response.output_item.added":
            self._items[output_index] = fields.item
        elif event.type == "response.output_item.done":
            self._forget(output_index)
            self._items[output_index] = fields.item
        elif event.type == "response.shell_call_output_content.done":
            self._items[output_index]["output"] += fields.output
        elif event.type in ("response.content_part.added", "response.content_part.done"):
            self._put(output_index, "content", fields.content_index, fields.part)
        elif event.type in ("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"):
            self._put(output_index, "summary", fields.summary_index, fields.part)

    def _add(self, target: _Target, fields: _Fields) -> None:
        part_index = fields.summary_index if target.list == "summary" else fields.content_index
        self._pieces.setdefault((fields.output_index, target, part_index), []).append(fields.delta)
        if fields.logprobs:
            part = self._items[fields.output_index]["content"][part_index]
            part["logprobs"] = [*part["logprobs"], *fields.logprobs]

    def _put(self, output_index: int, list: str, part_index: int, part: Json) -> None:
        """Put a part where it belongs; with it come its whole text and logprobs."""
        self._pieces = {
            key: pieces for key, pieces in self._pieces.items() if not _is_of(key, output_index, list, part_index)
        }
        parts = self._items[output_index].setdefault(list, [])
        parts[part_index : part_index + 1] = [part]

    def _forget(self, output_index: int) -> None:
        self._pieces = {key: pieces for key, pieces in self._pieces.items() if key[0] != output_index}

    def result(self) -> Response:
        """Return the Response so far. Raises ValueError without one."""
        if self._response is None:
            raise ValueError("The stream holds no response.")
        for (output_index, target, part_index), pieces in self._pieces.items():
            item = self._items[output_index]
            holder = item[target.list][part_index] if target.list else item
            holder[target.field] = "".join((holder[target.field], *pieces))
        self._pieces.clear()
        output = [Raw(to_json(item)) for _, item in sorted(self._items.items())]
        return msgspec.structs.replace(self._response, output=output)


def _is_of(key: tuple[int, _Target, int], output_index: int, list: str, part_index: int) -> bool:
    return key[0] == output_index and key[1].list == list and key[2] == part_index
