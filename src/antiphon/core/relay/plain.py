"""Plain items of an answer that came whole, for responses that nobody streams: written at once, without a Writer.

Most answers are a message of text, or calls of functions, with nothing in them that has to be mended. What a Writer
(`core/relay/writers`) makes of such an item, and how many events it counts, is known beforehand. Whatever else an item has
makes it one for its Writer; the two ways give the same bytes and the same count (`tests/core/relay/test_plain.py`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from antiphon.core.deltas import PlainItem, PlainType
from antiphon.core.json_encoding import to_json
from antiphon.core.relay.end import Counts
from antiphon.core.relay.shapes import WORKED_ON, Json, too_deep

OF_ITEM = 2
"""Events that an item has itself: it is added and done."""

OF_TEXT = 4
"""Events of a part of a message: it is added, its text comes in one piece, text and part are done."""

OF_ARGUMENTS = 2
"""Events of a call's arguments: they come in one piece and are done."""

_PLAIN = frozenset(get_args(PlainType))
_ENDED = WORKED_ON[1:]
_NO_ENTRIES: list[Any] = []


class PlainResponse(msgspec.Struct):
    """What is read of a response that came whole. Its other fields are ours to say, and passed over: only their form counts."""

    object: Literal["response"]
    status: Literal["completed"]
    output: Annotated[list[PlainItem], Meta(min_length=1)]
    usage: Counts | None = None
    service_tier: str | None = None
    error: None = None
    incomplete_details: None = None


_response = msgspec.json.Decoder(PlainResponse).decode


def plain_response(body: bytes) -> PlainResponse | None:
    """Return a response that came whole, None where something in it is not plain, or is wrong."""
    try:
        if not body.isascii():
            body.decode()  # what is passed over would not be seen
        response = _response(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return response if all(map(is_plain, response.output)) and not too_deep(body) else None


def plain_item(item: Json) -> PlainItem | None:
    """Return an item of another server as a plain one, None where it is none."""
    if item["type"] not in _PLAIN:
        return None
    try:
        made = msgspec.convert(item, PlainItem)
    except msgspec.ValidationError:
        return None
    return made if is_plain(made) else None


def is_plain(item: PlainItem) -> bool:
    """Tell whether an item, as the other server has it, is one in which nothing has to be mended."""
    if item.type == "message":
        return item.content is not None and not (item.name or item.arguments or item.call_id is not None)
    return bool(item.name and item.arguments.strip()) and item.content is None and item.role is None


def events_of(item: PlainItem) -> int:
    """Return how many events tell of a plain item."""
    return OF_ITEM + (OF_TEXT * len(item.content) if item.content is not None else OF_ARGUMENTS)


def written(item: PlainItem, id: str) -> bytes:
    """Return a plain item as its Writer closes it: under an id of ours, and a call with the `call_id` that it was given."""
    item.id = id
    if item.status not in _ENDED:
        item.status = "completed"
    if item.content is not None:
        item.role = "assistant"
        for part in item.content:
            part.annotations = part.logprobs = _NO_ENTRIES
    return to_json(item)
