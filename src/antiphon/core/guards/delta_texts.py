"""What of a Delta is text for guards, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from antiphon.core.deltas import (
    AnnotationDelta,
    CallDelta,
    CallStart,
    Delta,
    ReasoningDelta,
    RefusalDelta,
    Relay,
    RelayedText,
    TextDelta,
    UsageReport,
)
from antiphon.core.guards.base import GuardText, Place
from antiphon.core.kinds import MCP_LISTING, PARTED
from antiphon.core.relay.end import usage_of
from antiphon.core.relay.shapes import ENDS, LIFE, TEXTS

_RESULTS = frozenset(("output", "outputs", "result", "results", "error", "content", "text"))
"""Fields of a call's item that hold what the tool gave."""

NO_TEXT = frozenset(
    """
    type id call_id status role phase model object item_id container_id file_id image_url encrypted_content signature format
    result_b64 partial_image_b64 data file_data obfuscation logprobs server_label approval_request_id request_id
    fingerprint detail
    """.split()
)
"""Fields that hold no text for people: names and ids of this API, data of media, what is encrypted."""

_CITED = NO_TEXT | {"annotations"}
_IMAGES = "image_generation_call"


def place_of(delta: Delta) -> Place | None:
    """Return where the piece of text that a Delta is stands; None for one that is no such piece, or of a call."""
    if isinstance(delta, TextDelta | RefusalDelta):
        return "text"
    if isinstance(delta, ReasoningDelta):
        return "reasoning"
    if isinstance(delta, RelayedText):
        return _told_place(TEXTS[delta.type].item)
    return None


def _told_place(type: str) -> Place | None:
    """Return where the text of an item with parts stands; None for items of other types."""
    if type not in PARTED:
        return None
    return "reasoning" if type == "reasoning" else "text"


def strings(value: object, skipped: frozenset[str] = NO_TEXT) -> Iterator[str]:
    """Yield the texts of decoded JSON, in their order; where no field is skipped, names of fields are texts, too."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if one:
                yield one
        elif isinstance(one, dict):
            for name, part in reversed(one.items()):
                if name not in skipped:
                    waiting.append(part)
                if not skipped:
                    waiting.append(name)
        elif isinstance(one, list):
            waiting += reversed(one)


def together(place: Place, texts: Sequence[str]) -> Iterator[GuardText]:
    """Yield texts that stand beside each other: each of them, and all as one, as some clients show them."""
    for text in texts:
        yield GuardText(place, text)
    if len(texts) > 1:
        yield GuardText(place, "".join(texts))


def arguments_texts(arguments: str) -> Iterator[GuardText]:
    """Yield the texts of a call's arguments: as they stand, and as JSON has them, whose escapes hide nothing."""
    yield GuardText("tool_calls", arguments)
    if "\\" not in arguments:
        return
    try:
        decoded = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return
    yield from together("tool_calls", list(strings(decoded, frozenset())))


def relayed_texts(delta: Relay) -> Iterator[GuardText]:
    """Yield the texts of an event of a server that speaks Responses: whole texts, items, the whole output."""
    fields = delta.fields
    if delta.type in LIFE:
        return
    if delta.type in ENDS:
        response = fields.get("response")
        if isinstance(response, dict):
            output, text = response.get("output"), response.get("output_text")
            for item in output if isinstance(output, list) else ():
                yield from item_texts(item)
            yield from together("text", list(strings(text)))
        return
    item = fields.get("item")
    if isinstance(item, dict):
        yield from item_texts(item)
        return
    place = _place_of_event(delta.type)
    found = list(strings(fields))
    if place == "tool_calls":
        for text in found:
            yield from arguments_texts(text)
    yield from together(place, found)


def _place_of_event(type: str) -> Place:
    if "reasoning" in type:
        return "reasoning"
    if "output_content" in type:
        return "tool_results"
    return "tool_calls" if "_call" in type else "text"


def item_texts(item: Any) -> Iterator[GuardText]:
    """Yield the texts of an item of an answer."""
    if not isinstance(item, dict):
        return
    type = item.get("type")
    type = type if isinstance(type, str) else ""
    place = _told_place(type)
    if place is not None:
        yield from _told_texts(place, item)
    elif type == _IMAGES:
        yield from together("tool_calls", list(strings(item.get("revised_prompt"))))
    elif type.endswith("_output") or type == MCP_LISTING:
        yield from together("tool_results", list(strings(item)))
    else:
        given = {name: value for name, value in item.items() if name in _RESULTS}
        asked = {name: value for name, value in item.items() if name not in _RESULTS}
        yield from together("tool_results", list(strings(given)))
        for text in strings(asked):
            yield from arguments_texts(text)


def _told_texts(place: Place, item: Mapping[str, Any]) -> Iterator[GuardText]:
    """Yield the texts of a message or of thoughts: their parts, which some clients show as one, and what they cite."""
    for name in ("content", "summary"):
        parts = item.get(name)
        if isinstance(parts, str):
            yield GuardText(place, parts)
        for part in parts if isinstance(parts, list) else ():
            cited = part.get("annotations") if isinstance(part, dict) else None
            yield from (GuardText(place, text) for text in strings(cited))
        if isinstance(parts, list):
            yield from together(place, list(strings(parts, _CITED)))


def gathered_texts(deltas: Sequence[Delta]) -> Iterator[GuardText]:
    """Yield the texts of Deltas that waited for each other: pieces of a call, of a text, joined; events one by one."""
    calls: dict[object, list[str]] = {}
    unknown: dict[tuple[str, str], list[str]] = {}
    pieces: dict[Place, list[str]] = {}
    for delta in deltas:
        place = place_of(delta)
        if isinstance(delta, Relay):
            yield from relayed_texts(delta)
            piece = delta.fields.get("delta")
            if isinstance(piece, str):
                unknown.setdefault((delta.type, str(delta.fields.get("item_id"))), []).append(piece)
        elif isinstance(delta, CallStart):
            yield GuardText("tool_calls", delta.name)
        elif isinstance(delta, CallDelta):
            calls.setdefault(delta.key, []).append(delta.text)
        elif place is not None:
            pieces.setdefault(place, []).append(text_of(delta))
        elif isinstance(delta, RelayedText):
            calls.setdefault((delta.item_id, delta.output_index, delta.part_index), []).append(delta.text)
    for parts in calls.values():
        yield from arguments_texts("".join(parts))
    for (type, _), parts in unknown.items():
        yield GuardText(_place_of_event(type), "".join(parts))
    for place, parts in pieces.items():
        yield GuardText(place, "".join(parts))


def beside_texts(delta: Delta) -> Iterator[GuardText]:
    """Yield the texts of a Delta that stands beside a text: what a citation says of its source."""
    if isinstance(delta, AnnotationDelta):
        yield from (GuardText("text", text) for text in strings(msgspec.json.decode(delta.annotation)))
    elif isinstance(delta, Relay):
        yield from (GuardText("text", text) for text in strings(delta.fields.get("annotation")))


def used(deltas: Iterable[Delta]) -> list[UsageReport]:
    """Return what Deltas that are not passed on say of the tokens that were used."""
    found = []
    for delta in deltas:
        if isinstance(delta, UsageReport):
            found.append(delta)
        elif (
            isinstance(delta, Relay)
            and delta.type in ENDS
            and isinstance(response := delta.fields.get("response"), dict)
        ):
            usage = usage_of(response.get("usage"))
            found += [UsageReport(usage)] if usage is not None else []
    return found


def text_of(delta: Delta) -> str:
    """Return the text of a Delta that is a piece of text."""
    assert isinstance(delta, TextDelta | RefusalDelta | ReasoningDelta | RelayedText)
    return delta.text
