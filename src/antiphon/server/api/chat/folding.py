"""Chunks of a streamed chat completion → the completion as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Json = dict[str, Any]

WHOLE = frozenset(("role", "type", "id", "index", "name", "format", "object", "model", "finish_reason"))
"""Fields whose text comes whole, and with some servers with every chunk; all other texts come in pieces."""


class ChunkFold:
    """Gathers the chunks of one answer. Texts are joined once, at the end."""

    def __init__(self) -> None:
        self._head: Json = {}
        self._choices: dict[int, Json] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take a chunk in."""
        for name, value in chunk.items():
            if name != "choices" and value is not None:
                self._head[name] = value
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._add_choice(choice)

    def _add_choice(self, choice: Json) -> None:
        index = choice.get("index")
        kept = self._choices.setdefault(index if isinstance(index, int) else 0, {})
        for name, value in choice.items():
            if value is not None:
                kept[name] = _added(name, kept.get(name), value)

    @property
    def complete(self) -> bool:
        """Tell whether every answer has come to its end."""
        return bool(self._choices) and all(choice.get("finish_reason") for choice in self._choices.values())

    def whole(self) -> Json:
        """Return the completion."""
        choices = []
        for index, choice in sorted(self._choices.items()):
            fields = {name: _joined(value) for name, value in choice.items() if name != "delta"}
            delta = choice.get("delta")
            message = {
                "role": "assistant",
                "content": None,
                "refusal": None,
                **(_joined(delta) if isinstance(delta, dict) else {}),
            }
            for call in message.get("tool_calls") or ():
                call.pop("index", None)
            choices.append({"logprobs": None, **fields, "index": index, "message": message})
        return {**self._head, "object": "chat.completion", "choices": choices}


class Pieces(list[str]):
    """A text that grows."""


def _added(name: str, kept: Any, new: Any) -> Any:
    """Return what a field holds with a further piece of it."""
    if isinstance(new, str):
        if name in WHOLE:
            return new or kept
        pieces = kept if isinstance(kept, Pieces) else Pieces()
        pieces.append(new)
        return pieces
    if isinstance(new, dict):
        grown: Json = kept if isinstance(kept, dict) else {}
        for key, value in new.items():
            if value is not None:
                grown[key] = _added(key, grown.get(key), value)
        return grown
    if isinstance(new, list):
        return _added_entries(kept if isinstance(kept, list) and not isinstance(kept, Pieces) else [], new)
    return new


def _added_entries(kept: list[Any], new: list[Any]) -> list[Any]:
    """Append the entries of a list; those with an `index` continue the entry that has it."""
    indexes = {entry["index"]: at for at, entry in enumerate(kept) if isinstance(entry, dict) and _indexed(entry)}
    for entry in new:
        at = indexes.get(entry["index"]) if isinstance(entry, dict) and _indexed(entry) else None
        if at is not None:
            kept[at] = _added("", kept[at], entry)
            continue
        if isinstance(entry, dict) and _indexed(entry):
            indexes[entry["index"]] = len(kept)
        kept.append(_added("", None, entry) if isinstance(entry, dict) else entry)
    return kept


def _indexed(entry: Json) -> bool:
    return isinstance(entry.get("index"), int)


def _joined(value: Any) -> Any:
    if isinstance(value, Pieces):
        return "".join(value)
    if isinstance(value, dict):
        return {name: _joined(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_joined(entry) for entry in value]
    return value


decode_chunk = msgspec.json.Decoder(Json).decode
