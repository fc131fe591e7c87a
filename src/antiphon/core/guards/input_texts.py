"""Texts of a request that a guard looks at: all that the model sees of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from antiphon.core.guards.base import GuardText
from antiphon.core.guards.delta_texts import NO_TEXT, arguments_texts, strings, together
from antiphon.core.json_encoding import to_json
from antiphon.core.turn import Turn
from antiphon.types.items import Item, OtherItem
from antiphon.types.tools import OtherTool


def input_texts(turn: Turn) -> list[GuardText]:
    """Return the texts of a request: instructions, items of history and input, tools, the schema of its format."""
    found: list[GuardText] = []
    if turn.request.instructions:
        found.append(GuardText("input", turn.request.instructions))
    for item in turn.items:
        found += _of_item(item)
    for tool in turn.tools:
        if not isinstance(tool, OtherTool):  # those are this server's or the backend's, and may hold secrets
            found += _as_input(strings(msgspec.json.decode(to_json(tool))))
    if turn.text.format.schema is not None:
        found += _as_input(strings(msgspec.json.decode(turn.text.format.schema), frozenset()))
    return found


def _as_input(texts: Iterator[str]) -> Iterator[GuardText]:
    return (GuardText("input", text) for text in texts)


def _of_item(item: Item) -> Iterator[GuardText]:
    if isinstance(item, OtherItem):
        decoded = msgspec.json.decode(item.raw)
        if item.model_text:
            yield GuardText("tool_results", item.model_text)
    else:
        decoded = msgspec.json.decode(to_json(item))
    kind = str(decoded.get("type"))
    if kind == "image_generation_call":
        decoded.pop("result", None)
    yield from together("tool_results" if kind.endswith("_output") else "input", list(strings(decoded, NO_TEXT)))
    arguments = decoded.get("arguments")
    if isinstance(arguments, str):
        yield from (GuardText("input", one.text) for one in arguments_texts(arguments))
