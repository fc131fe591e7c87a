"""A whole answer of a server that speaks Responses → the events that it would have streamed, so that guards see both alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from antiphon.core.deltas import Delta, Relay, RelayedText
from antiphon.core.json_encoding import to_json
from antiphon.core.kinds import PARTED
from antiphon.core.relay.shapes import TEXTS, Json, good_name

ADDED, DONE = "response.output_item.added", "response.output_item.done"

_DELTAS: Mapping[str, tuple[str, str]] = {
    target.part: (type, target.field) for type, target in reversed(list(TEXTS.items())) if target.part
}
"""Types of parts → the event that streams them, the field of their text."""


def unfolded(end: Relay) -> Iterator[Delta]:
    """Yield the events of the items that a last event holds, and the event itself."""
    response = end.fields.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    for index, item in enumerate(output if isinstance(output, list) else ()):
        if isinstance(item, dict) and item.get("type") in PARTED:
            yield from _told(item, index)
    yield end


def _told(item: Json, index: int) -> Iterator[Delta]:
    lists = [name for name in ("summary", "content") if isinstance(item.get(name), list)]
    yield Relay(ADDED, {"output_index": index, "item": {**item, **{name: [] for name in lists}}})
    for name in lists:
        for place, part in enumerate(item[name]):
            if not isinstance(part, dict):
                continue
            type, field = _DELTAS.get(str(part.get("type")), ("", ""))
            text, probabilities = part.get(field), part.get("logprobs")
            if type and isinstance(text, str) and text:
                told = to_json(probabilities)[1:-1] if isinstance(probabilities, list) else b""
                yield RelayedText(type, text, good_name(item.get("id")), index, place, told)
    yield Relay(DONE, {"output_index": index, "item": item})
