"""How many tokens a Turn's input has, where nobody can say: an estimate that learns from what backends report."""

from __future__ import annotations

import re
from collections.abc import Sequence

from antiphon.core.json_encoding import to_json
from antiphon.core.turn import Turn, all_instructions
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OtherItem,
    OutputText,
    Part,
    PlainText,
    Reasoning,
)

BYTES_PER_TOKEN = 4.0
_SMOOTHING = 0.2
_LEAST, _MOST = 1 / 64, 1.0  # tokens per byte: what a backend's nonsense may make of the estimates of others


MEDIUM = 4096
"""Bytes that stand for a picture or a sound: models count it by its pixels or seconds, which are not known, not by its bytes."""

_MEDIA = re.compile(rb'(?:;base64,|\\"(?:data|blob)\\":\\")([A-Za-z0-9+/]{4096,})')
"""Base64 of a medium in an item that is kept as JSON; in the text of an MCP call as its content spells it."""


def size(turn: Turn) -> int:
    """Return the bytes of a Turn's input as JSON: items, instructions and tools; of media, what stands for them."""
    whole = turn.size  # where it is known it is not worth another pass
    if not whole:
        whole = len(to_json(turn.items)) + len(to_json(all_instructions(turn) or "")) + len(to_json(turn.tools))
    if whole < 2 * MEDIUM:
        return whole
    return max(whole - sum([_media_of(item) for item in turn.items]), 1)


def _media_of(item: Item) -> int:
    """Return the bytes of an item that its media have too much."""
    if isinstance(item, OtherItem):
        raw = bytes(item.raw)
        runs = _MEDIA.finditer(raw) if len(raw) > MEDIUM else ()
        return sum([match.end() - match.start() - MEDIUM for match in runs])
    parts = item.content if isinstance(item, Message) else getattr(item, "output", None)
    return sum([max(_medium(part) - MEDIUM, 0) for part in parts]) if isinstance(parts, list) else 0


def _medium(part: Part) -> int:
    if isinstance(part, InputImage) and isinstance(part.image_url, str):
        return len(part.image_url)
    return len(part.input_audio.data) if isinstance(part, InputAudio) else 0


def size_of_large(turn: Turn) -> int:
    """Return about the same, item by item: other threads get their turn between two."""
    items = sum([_size_of(item) + 1 for item in turn.items])
    return items + len(all_instructions(turn) or "") + sum([len(to_json(tool)) for tool in turn.tools])


def _size_of(item: Item) -> int:
    """Return the bytes of an item as JSON; of texts, which files may have become, about those."""
    parts = item.content if isinstance(item, Message) else getattr(item, "output", None)
    if not isinstance(parts, list):
        return len(to_json(item))
    return sum([len(part.text) if isinstance(part, InputText) else len(to_json(part)) for part in parts])


class Estimator:
    """Tokens per byte, model by model, calibrated by the usage of real calls."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}
        self._seen: dict[str, int] = {}

    def estimate(self, turn: Turn) -> int:
        """Return about how many tokens the input has; at least 1."""
        return max(1, round(size(turn) * self._ratios.get(turn.model, 1 / BYTES_PER_TOKEN)))

    def learn(self, turn: Turn, input_tokens: int) -> None:
        """Take in a real count. Only the first calls and then one in 32 are looked at: the size costs a pass over the input."""
        seen = self._seen.get(turn.model, 0)
        self._seen[turn.model] = seen + 1
        if input_tokens <= 0 or (seen >= 8 and seen % 32):
            return
        ratio = min(max(input_tokens / max(1, size(turn)), _LEAST), _MOST)
        known = self._ratios.get(turn.model)
        self._ratios[turn.model] = ratio if known is None else known + _SMOOTHING * (ratio - known)


def texts_of(turn: Turn) -> list[str]:
    """Return the texts that a model reads of a Turn: instructions, what items say, declarations of tools."""
    instructions = all_instructions(turn)
    texts = [instructions] if instructions else []
    for item in turn.items:
        texts.append(_text_of(item))
    return [*texts, *(to_json(tool).decode() for tool in turn.tools)]


def _text_of(item: Item) -> str:
    if isinstance(item, Message):
        return _joined(item.content)
    if isinstance(item, FunctionCallOutput | CustomToolCallOutput):
        return _joined(item.output)
    if isinstance(item, FunctionCall):
        return f"{item.name} {item.arguments}"
    if isinstance(item, CustomToolCall):
        return f"{item.name} {item.input}"
    if isinstance(item, Reasoning):
        return "\n".join(part.text for part in item.content or ())
    if isinstance(item, OtherItem):
        return _MEDIA.sub(b"", bytes(item.raw)).decode()
    return to_json(item).decode()


def _joined(content: str | Sequence[Part]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if isinstance(part, InputText | OutputText | PlainText))
