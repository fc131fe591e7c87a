"""Plain items of an answer that came whole, for responses that nobody streams: written at once, without a Writer.

Most answers are a message of text, or calls of functions, with nothing in them that has to be mended. What a Writer
(`core/relay/writers`) makes of such an item, and how many events it counts, is known beforehand. Whatever else an item has
makes it one for its Writer; the two ways give the same bytes and the same count (`tests/core/relay/test_plain.py`).
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from antiphon.core.deltas import PlainItem, PlainType
from antiphon.core.json_encoding import to_json
from antiphon.core.relay.end import Counts
from antiphon.core.relay.shapes import MOST_NAME, WORKED_ON, Json, too_deep
from antiphon.core.stream.writers import TEXT_PART
from antiphon.core.tools.call_ids import FreshIds

MOST_PARTS = 100

OF_ITEM = 2
"""Events that an item has itself: it is added and done."""

OF_TEXT = 4
"""Events of a part of a message: it is added, its text comes in one piece, text and part are done."""

OF_ARGUMENTS = 2
"""Events of a call's arguments: they come in one piece and are done."""

_PLAIN = frozenset(get_args(PlainType))
_ENDED = WORKED_ON[1:]
_MESSAGE = b'{"id":%b,"type":"message","status":"%b","role":"assistant","content":[%b]}'
_CALL = b'{"id":%b,"type":"function_call","status":"%b","call_id":%b,"name":%b,"arguments":%b}'


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
    return response if all(map(events_of, response.output)) and not too_deep(body) else None


def plain_item(item: Json) -> PlainItem | None:
    """Return an item of another server as a plain one, None where it is none."""
    if item["type"] not in _PLAIN:
        return None
    try:
        made = msgspec.convert(item, PlainItem)
    except msgspec.ValidationError:
        return None
    return made if events_of(made) else None


def events_of(item: PlainItem) -> int:
    """Return how many events tell of an item, as the other server has it; 0 where it is not plain."""
    parts, name = item.content, item.name
    if item.type == "message":
        if not parts or len(parts) > MOST_PARTS or name or item.arguments or item.call_id is not None:
            return 0
        return OF_ITEM + OF_TEXT * len(parts)
    if parts is None and item.role is None and 0 < len(name) <= MOST_NAME and item.arguments.strip():
        return OF_ITEM + OF_ARGUMENTS
    return 0


def written(item: PlainItem, id: str, ids: FreshIds) -> bytes:
    """Return a plain item as its Writer closes it. `ids` gives a call one that no other call has."""
    status = (item.status if item.status in _ENDED else "completed").encode()
    if item.content is not None:
        texts = [TEXT_PART % (to_json(part.text), b"", b"") for part in item.content]
        return _MESSAGE % (to_json(id), status, b",".join(texts))
    call_id = item.call_id
    call_id = ids.take(call_id if call_id and len(call_id) <= MOST_NAME else id)
    return _CALL % (to_json(id), status, to_json(call_id), to_json(item.name), to_json(item.arguments))
