"""Plain items of an answer that came whole, for responses that nobody streams: written at once, without a Writer.

Most answers are a message of text, or calls of functions, with nothing in them that has to be mended. What a Writer
(`core/relay/writers`) makes of such an item, and how many events it counts, is known beforehand. Whatever else an item has
makes it one for its Writer; the two ways give the same bytes and the same count (`tests/core/relay/test_plain.py`).
"""

from __future__ import annotations

from antiphon.core.relay.items import encoded
from antiphon.core.relay.shapes import MOST_NAME, WORKED_ON, Json
from antiphon.core.tools.call_ids import FreshIds

MOST_PARTS = 100

OF_ITEM = 2
"""Events that an item has itself: it is added and done."""

OF_TEXT = 4
"""Events of a part of a message: it is added, its text comes in one piece, text and part are done."""

OF_ARGUMENTS = 2
"""Events of a call's arguments: they come in one piece and are done."""

_MESSAGE = frozenset(("id", "type", "status", "role", "content"))
_CALL = frozenset(("id", "type", "status", "call_id", "name", "arguments"))


def events_of(item: Json) -> int:
    """Return how many events tell of an item, as the other server has it; 0 where it is not plain."""
    if item["type"] == "message":
        parts = item.get("content")
        if not (item.keys() <= _MESSAGE and type(parts) is list and 0 < len(parts) <= MOST_PARTS):
            return 0
        for part in parts:
            if type(part) is not dict or part.get("type") != "output_text" or type(part.get("text")) is not str:
                return 0
            if not part["text"] or part.get("annotations") or part.get("logprobs"):
                return 0
        return OF_ITEM + OF_TEXT * len(parts)
    if item["type"] == "function_call" and item.keys() <= _CALL:
        name, text = item.get("name"), item.get("arguments")
        if type(name) is str and 0 < len(name) <= MOST_NAME and type(text) is str and text.strip():
            return OF_ITEM + OF_ARGUMENTS
    return 0


def written(item: Json, id: str, ids: FreshIds) -> bytes:
    """Return a plain item as its Writer closes it. `ids` gives a call one that no other call has."""
    said = item.get("status")
    made: Json = {"id": id, "type": item["type"], "status": said if said in WORKED_ON[1:] else "completed"}
    if item["type"] == "message":
        texts = [part["text"] for part in item["content"]]
        parts = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []} for text in texts]
        return encoded({**made, "role": "assistant", "content": parts})
    call_id = item.get("call_id")
    named = call_id if type(call_id) is str and len(call_id) <= MOST_NAME else ""
    made["call_id"] = ids.take(named or id)
    return encoded({**made, "name": item["name"], "arguments": item["arguments"]})
