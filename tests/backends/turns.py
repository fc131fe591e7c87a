"""Turns for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from antiphon.backends.base import TurnStream, read
from antiphon.core.deltas import CallDelta, Delta, ReasoningDelta, TextDelta
from antiphon.core.request.decoding import PLAIN, decode_items
from antiphon.core.turn import Turn
from antiphon.types.items import Item, Message
from antiphon.types.request import CreateResponse


def turn(*texts: str, items: Sequence[dict[str, Any]] = (), model: str = "m", **fields: Any) -> Turn:
    """Return a Turn of user messages, or of items as JSON."""
    found: list[Item] = [Message(role="user", content=text) for text in texts]
    found += decode_items([msgspec.Raw(msgspec.json.encode(item)) for item in items])
    request = fields.pop("request", CreateResponse(model=model, input="…"))
    given: dict[str, Any] = {
        "instructions": None,
        "tools": (),
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "text": PLAIN,
        "temperature": None,
        "top_p": None,
        "max_output_tokens": None,
        "reasoning_effort": None,
        "extra": {},
    }
    return Turn(model=model, request=request, items=found, **(given | fields))


async def read_all(stream: TurnStream) -> list[Delta]:
    """Read a stream to its end."""
    found: list[Delta] = []
    while deltas := await read(stream):
        found += deltas
    return found


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def thoughts_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))


def arguments_of(deltas: Sequence[Delta], key: str) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, CallDelta) and delta.key == key)
